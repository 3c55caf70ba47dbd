"""Parallelised Q-learning with any memory: no replay buffer, no target network."""

import dataclasses
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, UInt32

from ._agent import QAgent
from ._algorithm import AbstractAlgorithm
from ._descent import StepParts, descend
from ._losses import explained_variance
from ._minibatch import environment_order, take_environments
from ._network import Exploring, QNetwork, replay
from ._optimizer import gradient_steps, linear, make_optimizer
from ._pqn_config import PQNConfig
from ._rollout import Rollout, collect
from ._state import AgentState, SharedState, TrainState
from ._targets import lambda_targets


class PQNMetrics(eqx.Module):
    """What one update of PQN reports, all scalars. Episodes are sums and a count.

    Attributes:
        update: Number of the update, from 1.
        frames: Environment steps taken so far (wraps at 2**32).
        episodes: Episodes that ended during the rollout.
        return_sum: Sum of their undiscounted returns, exploration included.
        length_sum: Sum of their lengths, in steps.
        value_loss: Half the squared error, mean over the minibatches.
        mean_value: Value of the actions that were taken, mean over the minibatches.
        explained_variance: Of the targets by the rollout's best values.
        epsilon: Probability of a random action during the rollout.
        grad_norm: Global norm of the gradient before clipping, mean over the minibatches.
        first_value_error: Largest difference, before any gradient step, of the best value of a
            step from the one that acted. What is not about 1e-6 (times the values' size) is a
            fault of the memory or of the reset.
    """

    update: Int[Array, ""]
    frames: UInt32[Array, ""]
    episodes: Int[Array, ""]
    return_sum: Float[Array, ""]
    length_sum: Int[Array, ""]
    value_loss: Float[Array, ""]
    mean_value: Float[Array, ""]
    explained_variance: Float[Array, ""]
    epsilon: Float[Array, ""]
    grad_norm: Float[Array, ""]
    first_value_error: Float[Array, ""]


@dataclasses.dataclass(frozen=True, eq=False)
class PQN(AbstractAlgorithm):
    """Recurrent PQN: lambda-returns of fresh rollouts, and layer norm instead of a target network.

    Args:
        env: An environment with finitely many actions; wrapped as `PPO` does it.
        params: The environment's parameters.
        agent: How to build the network.
        config: Hyper-parameters.

    Raises:
        TypeError: `agent` or `config` is something else, or the actions are continuous.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> config = ma.rl.PQNConfig(num_envs=4, num_steps=8, minibatches=2)
        >>> algo = ma.rl.PQN(env, params, ma.rl.QAgent("gru", width=8), config)
        >>> state, metrics = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 64)
        >>> int(state.shared.update), metrics.epsilon.shape
        (2, (2,))

    Source:
        Gallici et al. 2024, Simplifying Deep Temporal Difference Learning (arXiv 2407.04811),
        algorithm 1 with lambda-returns. Its public recurrent code also learns from the steps that
        only warm the memory up; here they are masked (`burn_in`).
    """

    agent_kind: ClassVar[type] = QAgent
    config_kind: ClassVar[type] = PQNConfig

    agent: QAgent = QAgent()  # noqa: RUF009 (a frozen recipe without arrays)
    config: PQNConfig = PQNConfig()  # noqa: RUF009

    def init_agent(self, params: PyTree[Array], key: PRNGKeyArray) -> AgentState:
        """Parameters, and a fresh optimiser for them."""
        optimizer = optimizer_of(self.config).init(eqx.filter(params, eqx.is_inexact_array))
        return AgentState(params, optimizer, self.first_env_params())

    def actor(self, agent: AgentState, shared: SharedState) -> Exploring:
        """The network, exploring as much as the schedule says."""
        return Exploring(self.network(agent), self._epsilon(shared))

    def update(self, state: TrainState) -> tuple[TrainState, PQNMetrics]:
        """One rollout and everything learned from it.

        Args:
            state: From `init` or a previous update.

        Returns:
            The next state and the update's metrics.
        """
        key, act_key, learn_key = jax.random.split(state.key, 3)
        config, env_params = self.config, self.env_params(state.agent)
        actor = self.actor(state.agent, state.shared)
        rollout, record, sums = collect(
            actor, self.env, env_params, state.rollout, act_key, config.num_steps
        )
        targets = lambda_returns(record, config)
        order = environment_order(learn_key, config.num_envs, config.epochs, config.minibatches)
        step = partial(_gradient_step, self.static, QBatch(record.carry, record, targets), config)
        agent, steps = jax.lax.scan(step, state.agent, order)
        agent, rollout = self.absorb(agent, rollout)
        shared, means = self.next_shared(state.shared), jax.tree.map(jnp.mean, steps)
        metrics = PQNMetrics(
            update=shared.update,
            frames=shared.frames,
            episodes=jnp.sum(sums.episodes),
            return_sum=jnp.sum(sums.return_sum),
            length_sum=jnp.sum(sums.length_sum),
            value_loss=means.parts.value_loss,
            mean_value=means.parts.mean_value,
            explained_variance=explained_variance(record.values[:-1], targets),
            epsilon=self._epsilon(state.shared),
            grad_norm=means.grad_norm,
            first_value_error=steps.parts.value_error[0],
        )
        return TrainState(shared=shared, agent=agent, rollout=rollout, key=key), metrics

    def _epsilon(self, shared: SharedState) -> Float[Array, ""]:
        config = self.config
        return linear(config.epsilon, config.epsilon_end, shared.frames, config.epsilon_frames)


class QBatch(eqx.Module):
    """What a minibatch of PQN reads.

    Attributes:
        carry: The memory before step 0, leading `E`.
        record: The rollout of the same environments, without its carry.
        targets: Lambda-returns from the values that acted.
    """

    carry: PyTree[Array]
    record: Rollout
    targets: Float[Array, "T E"]

    def __init__(self, carry: PyTree[Array], record: Rollout, targets: Float[Array, "T E"]):
        self.carry, self.targets = carry, targets
        # Its carry has no time axis: it stands here alone.
        self.record = eqx.tree_at(lambda r: r.carry, record, None)


class QLossParts(eqx.Module):
    """What one minibatch reports, all scalars; see `PQNMetrics`."""

    value_loss: Float[Array, ""]
    mean_value: Float[Array, ""]
    value_error: Float[Array, ""]


def lambda_returns(record: Rollout, config: PQNConfig) -> Float[Array, "T E"]:
    """Lambda-returns, with the configuration's constants."""
    return lambda_targets(record, discount=config.discount, decay=config.trace_decay)


def loss(
    network: QNetwork, batch: QBatch, config: PQNConfig
) -> tuple[Float[Array, ""], QLossParts]:
    """Half the mean squared error of the values of the actions that were taken.

    Args:
        network: To be improved.
        batch: Whole environments.
        config: Hyper-parameters.

    Returns:
        The loss, and its parts.
    """
    record, burn_in = batch.record, config.burn_in
    rows = slice(None, -1)
    refresh = config.target_refresh == "minibatch"
    # Fresh targets need the value of the last observation too: one stream over all T + 1 of them.
    seen = slice(None) if refresh else rows
    policy, values = replay(
        network, batch.carry, record.observations[seen], record.start[seen], burn_in
    )
    targets = batch.targets[burn_in:]
    if refresh:
        policy = jax.tree.map(lambda x: x[rows], policy)
        targets = _fresh_targets(record, jax.lax.stop_gradient(values), config)
        values = values[rows]
    taken = policy.value(record.actions[burn_in:])
    value_loss = 0.5 * jnp.mean((taken - targets) ** 2)
    return value_loss, QLossParts(
        value_loss=value_loss,
        mean_value=jnp.mean(taken),
        value_error=jnp.max(jnp.abs(values - record.values[burn_in:-1])),
    )


def _fresh_targets(
    record: Rollout, values: Float[Array, "more n"], config: PQNConfig
) -> Float[Array, "T n"]:
    timed = eqx.tree_at(lambda r: (r.values, r.observations, r.start), record, (None, None, None))
    rest = jax.tree.map(lambda x: x[config.burn_in :], timed)
    whole = eqx.tree_at(lambda r: r.values, rest, values, is_leaf=lambda x: x is None)
    return lambda_returns(whole, config)


def optimizer_of(config: PQNConfig) -> optax.GradientTransformation:
    """The optimiser that a configuration asks for."""
    per_update = config.epochs * config.minibatches
    return make_optimizer(
        config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        eps=config.adam_eps,
        end=config.learning_rate_end,
        anneal_steps=gradient_steps(config.anneal_frames, config.frames_per_update, per_update),
        rectified=True,
    )


def _gradient_step(
    static: PyTree, batch: QBatch, config: PQNConfig, agent: AgentState, indices: Int[Array, " n"]
) -> tuple[AgentState, StepParts]:
    own = partial(loss, batch=take_environments(batch, indices), config=config)
    transformation = optimizer_of(config)
    params, optimizer, parts = descend(own, agent.params, static, transformation, agent.optimizer)
    return AgentState(params, optimizer, agent.env_params), parts
