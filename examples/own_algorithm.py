"""A new algorithm from the library's pieces: advantage actor-critic (A2C), with any memory.

    python examples/own_algorithm.py

What is new is one configuration and one `update`. The driver (progress, metrics, checkpoints, resume,
seeds, sweeps) and the diagnosis take it as they take PPO.
"""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp

import memoalg as ma


class A2CConfig(eqx.Module):
    num_envs: int = 64
    num_steps: int = 16
    learning_rate: float = 2e-3
    discount: float = 0.99
    gae_decay: float = 0.8
    entropy: float = 0.01

    @property
    def frames_per_update(self):
        return self.num_envs * self.num_steps


@dataclasses.dataclass(frozen=True, eq=False)
class A2C(ma.rl.AbstractAlgorithm):
    agent_kind, config_kind = ma.rl.ActorCritic, A2CConfig

    @property
    def optimizer(self):
        return ma.rl.make_optimizer(self.config.learning_rate, max_grad_norm=0.5, eps=1e-5)

    def init_agent(self, params, key):
        optimizer = self.optimizer.init(eqx.filter(params, eqx.is_inexact_array))
        return ma.rl.AgentState(params, optimizer, self.first_env_params())

    def actor(self, agent, shared):
        return self.network(agent)

    def loss(self, record, advantages, network):
        _, policy, values = network(record.carry, record.observations[:-1], record.start[:-1])
        old = record.values[:-1]
        parts = {
            "policy_loss": ma.rl.policy_gradient_loss(policy.log_prob(record.actions), advantages),
            "value_loss": ma.rl.value_loss(values, old, advantages + old, clip=None),
            "entropy": jnp.mean(policy.entropy()),
        }
        total = parts["policy_loss"] + 0.5 * parts["value_loss"]
        return total - self.config.entropy * parts["entropy"], parts

    def update(self, state):
        key, act_key = jax.random.split(state.key)
        agent, c = state.agent, self.config
        network, params = self.network(agent), self.env_params(agent)
        rollout, record, sums = ma.rl.collect(
            network, self.env, params, state.rollout, act_key, c.num_steps
        )
        advantages = ma.rl.gae_advantages(record, discount=c.discount, decay=c.gae_decay)
        loss = functools.partial(self.loss, record, advantages)
        arrays, optimizer, steps = ma.rl.descend(
            loss, agent.params, self.static, self.optimizer, agent.optimizer
        )
        agent = ma.rl.AgentState(arrays, optimizer, agent.env_params)
        agent, rollout = self.absorb(agent, rollout)  # normalising wrappers' statistics
        metrics = steps.parts | {name: jnp.sum(x) for name, x in vars(sums).items()}
        return ma.rl.TrainState(self.next_shared(state.shared), agent, rollout, key), metrics


if __name__ == "__main__":
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    algo = A2C(env, params, ma.rl.ActorCritic("lru"), A2CConfig())
    print(ma.rl.fit(algo, jax.random.key(0), 400_000))
