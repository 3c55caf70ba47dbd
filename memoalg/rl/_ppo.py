"""Proximal policy optimisation with any memory."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from ._agent import ActorCritic
from ._algorithm import AbstractAlgorithm
from ._config import PPOConfig
from ._learn import Learned, learn, make_batch, optimizer_of, refreshed_memory
from ._losses import explained_variance
from ._minibatch import Batch
from ._network import ActorCriticNetwork
from ._rollout import EpisodeSums, collect
from ._state import AgentState, Metrics, SharedState, TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class PPO(AbstractAlgorithm):
    """Recurrent PPO: pure functions over a `TrainState`, to be jitted, vmapped and scanned at will.

    An object compares by identity and is no pytree: its methods go into `jax.jit` as they are, and
    the environment's parameters are constants of the program, unless a wrapper normalises.

    Args:
        env: An environment (`ma.envs.make`). One whose observation is not a flat float vector is
            wrapped in `ma.envs.Flatten`, one with several discrete actions in
            `ma.envs.DiscreteAction`.
        params: The environment's parameters.
        agent: How to build the network.
        config: Hyper-parameters.

    Raises:
        TypeError: `agent` or `config` is something else, or the action space is not supported.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> config = ma.rl.PPOConfig(num_envs=4, num_steps=8)
        >>> algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=8), config)
        >>> state, metrics = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 64)
        >>> int(state.shared.update), metrics.entropy.shape
        (2, (2,))

    Source:
        Schulman et al. 2017, arXiv 1707.06347.
    """

    agent_kind: ClassVar[type] = ActorCritic
    config_kind: ClassVar[type] = PPOConfig

    agent: ActorCritic = ActorCritic()  # noqa: RUF009 (a frozen recipe without arrays)
    config: PPOConfig = PPOConfig()  # noqa: RUF009

    def init_agent(self, params: PyTree[Array], key: PRNGKeyArray) -> AgentState:
        """Parameters, and a fresh optimiser for them."""
        optimizer = optimizer_of(self.config).init(eqx.filter(params, eqx.is_inexact_array))
        return AgentState(params, optimizer, self.first_env_params())

    def actor(self, agent: AgentState, shared: SharedState) -> ActorCriticNetwork:
        """The network itself: its policy is stochastic."""
        return self.network(agent)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One rollout and everything learned from it.

        Args:
            state: From `init` or a previous update.

        Returns:
            The next state and the update's metrics.
        """
        key, act_key, learn_key = jax.random.split(state.key, 3)
        network, env_params = self.network(state.agent), self.env_params(state.agent)
        config, frames = self.config, state.shared.frames
        rollout, record, sums = collect(
            network, self.env, env_params, state.rollout, act_key, config.num_steps
        )
        batch = make_batch(record, config)
        learned = learn(state.agent, self.static, record, batch, learn_key, config, frames)
        if config.refresh == "epoch":
            rollout = refreshed_memory(self.network(learned.agent), record, rollout)
        agent, rollout = self.absorb(learned.agent, rollout)
        shared = self.next_shared(state.shared)
        following = TrainState(shared=shared, agent=agent, rollout=rollout, key=key)
        return following, _metrics(shared, sums, learned, batch)


def _metrics(shared: SharedState, sums: EpisodeSums, learned: Learned, batch: Batch) -> Metrics:
    # Epochs after one that went beyond `target_kl` changed nothing, and do not count.
    steps, active = learned.steps, learned.active
    means = jax.tree.map(lambda x: jnp.mean(x, where=active), steps)
    parts = means.parts
    return Metrics(
        update=shared.update,
        frames=shared.frames,
        episodes=jnp.sum(sums.episodes),
        return_sum=jnp.sum(sums.return_sum),
        length_sum=jnp.sum(sums.length_sum),
        policy_loss=parts.policy_loss,
        value_loss=parts.value_loss,
        entropy=parts.entropy,
        explained_variance=explained_variance(batch.values, batch.targets),
        approx_kl=parts.approx_kl,
        clip_fraction=parts.clip_fraction,
        grad_norm=means.grad_norm,
        active_share=jnp.mean(active.astype(parts.entropy.dtype)),
        first_ratio_error=steps.parts.ratio_error[0],
    )
