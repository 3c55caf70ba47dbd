"""Deep Q-learning with replay and any memory."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, UInt32

from memoalg import envs

from ._agent import QAgent
from ._algorithm import AbstractAlgorithm
from ._descent import StepParts
from ._dqn_config import DQNConfig
from ._dqn_learn import Learner, learn, no_steps, optimizer_of, table_of
from ._network import Exploring
from ._optimizer import linear
from ._ring import Ring, empty_ring, filling, ring_rows, write_ring
from ._rollout import collect, init_rollout
from ._state import SharedState, TrainState
from ._tokens import EpisodeTable


class DQNState(eqx.Module):
    """What learning changes.

    Attributes:
        params: The network with everything but its arrays removed.
        target: Its slow copy.
        optimizer: The state of the optimiser, the schedules' counters included.
        env_params: The environment's parameters where a wrapper normalises; None where nothing does.
        replay: The last steps of every environment. How far it is written follows from the shared
            counter of updates.
    """

    params: PyTree[Array]
    target: PyTree[Array]
    optimizer: PyTree[Array]
    env_params: PyTree[Array] | None
    replay: Ring


class DQNMetrics(eqx.Module):
    """What one update of DQN reports, all scalars. Episodes are sums and a count.

    Losses are means over the update's gradient steps, and 0 where none was made.

    Attributes:
        update: Number of the update, from 1.
        frames: Environment steps taken so far (wraps at 2**32).
        episodes: Episodes that ended during the rollout.
        return_sum: Sum of their undiscounted returns, exploration included.
        length_sum: Sum of their lengths, in steps.
        value_loss: Huber's loss of the temporal-difference error.
        td_error: Mean absolute error.
        mean_value: Value of the actions that were taken.
        grad_norm: Global norm of the gradient before clipping.
        epsilon: Probability of a random action during the rollout.
        gradient_steps: How many were made: none during the warm-up, and none while no whole episode
            is stored.
        stored_episodes: Whole episodes in the ring. If it stays 0, episodes are longer than a lane:
            raise `capacity`.
        real_share: Transitions that count, as a share of all tokens of the batches.
    """

    update: Int[Array, ""]
    frames: UInt32[Array, ""]
    episodes: Int[Array, ""]
    return_sum: Float[Array, ""]
    length_sum: Int[Array, ""]
    value_loss: Float[Array, ""]
    td_error: Float[Array, ""]
    mean_value: Float[Array, ""]
    grad_norm: Float[Array, ""]
    epsilon: Float[Array, ""]
    gradient_steps: Int[Array, ""]
    stored_episodes: Int[Array, ""]
    real_share: Float[Array, ""]


@dataclasses.dataclass(frozen=True, eq=False)
class DQN(AbstractAlgorithm):
    """Recurrent DQN from a replay ring on the device: double, dueling, on tapes or on segments.

    Args:
        env: An environment with finitely many actions; wrapped as `PPO` does it.
        params: The environment's parameters.
        agent: How to build the network.
        config: Hyper-parameters.

    Raises:
        TypeError: `agent` or `config` is something else, or the actions are continuous.
        ValueError: By `init`: a lane of the ring, or a tape, is shorter than the time limit of the
            environment, where a `TimeLimit` or a parameter `max_steps` tells it.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatFirstEasy")
        >>> config = ma.rl.DQNConfig(num_envs=4, num_steps=64, capacity=512, batch_size=64)
        >>> algo = ma.rl.DQN(env, params, ma.rl.QAgent("gru", width=8), config)
        >>> state, metrics = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 512)
        >>> metrics.stored_episodes.tolist()
        [4, 8]

    Source:
        Mnih et al. 2015, Human-level control through deep reinforcement learning; the tape after
        Morad et al. 2024, Recurrent Reinforcement Learning with Memoroids (arXiv 2402.09900),
        stored memory and burn-in after Kapturowski et al. 2019 (R2D2).
    """

    agent_kind: ClassVar[type] = QAgent
    config_kind: ClassVar[type] = DQNConfig

    agent: QAgent = QAgent()  # noqa: RUF009 (a frozen recipe without arrays)
    config: DQNConfig = DQNConfig()  # noqa: RUF009

    def init_agent(self, params: PyTree[Array], key: PRNGKeyArray) -> DQNState:
        """Parameters, a target equal to them, a fresh optimiser, an empty ring."""
        check_lane(self.env, self.params, self.config)
        optimizer = optimizer_of(self.config).init(eqx.filter(params, eqx.is_inexact_array))
        env_params = self.first_env_params()
        ring = empty_ring(self._row_shapes(params, env_params), self.config.lane_capacity)
        return DQNState(params, params, optimizer, env_params, ring)

    def actor(self, agent: DQNState, shared: SharedState) -> Exploring:
        """The network, exploring as much as the schedule says."""
        return Exploring(self.network(agent), self._epsilon(shared))

    def update(self, state: TrainState) -> tuple[TrainState, DQNMetrics]:
        """One rollout, written to the ring, and gradient steps on batches from it.

        Args:
            state: From `init` or a previous update.

        Returns:
            The next state and the update's metrics.
        """
        key, act_key, learn_key = jax.random.split(state.key, 3)
        config, agent = self.config, state.agent
        actor, env_params = self.actor(agent, state.shared), self.env_params(agent)
        rollout, record, sums = self._collect(actor, env_params, state.rollout, act_key)
        rows = ring_rows(record, state.rollout.episode_length)
        shared = self.next_shared(state.shared)
        sizes = config.num_steps, config.lane_capacity
        ring = write_ring(agent.replay, rows, filling(state.shared.update, *sizes).head)
        table = table_of(ring, filling(shared.update, *sizes), config)
        learner = Learner(agent.params, agent.target, agent.optimizer)
        # The counter is shared by all seeds: under a vmap over them this stays a branch.
        ready = shared.update >= config.warmup_updates
        learner, steps = jax.lax.cond(
            ready, self._learn, self._wait, learner, ring, table, learn_key
        )
        agent = DQNState(learner.params, learner.target, learner.optimizer, agent.env_params, ring)
        agent, rollout = self.absorb(agent, rollout)
        means = jax.tree.map(jnp.mean, steps)
        made = jnp.where(ready & (table.total > 0), config.gradient_steps, 0)
        metrics = DQNMetrics(
            update=shared.update,
            frames=shared.frames,
            episodes=jnp.sum(sums.episodes),
            return_sum=jnp.sum(sums.return_sum),
            length_sum=jnp.sum(sums.length_sum),
            value_loss=means.parts.value_loss,
            td_error=means.parts.td_error,
            mean_value=means.parts.mean_value,
            grad_norm=means.grad_norm,
            epsilon=self._epsilon(state.shared),
            gradient_steps=made.astype(jnp.int32),
            stored_episodes=table.episodes,
            real_share=means.parts.real_share,
        )
        return TrainState(shared=shared, agent=agent, rollout=rollout, key=key), metrics

    def _collect(
        self, actor: Exploring, env_params: PyTree, rollout: Any, key: PRNGKeyArray
    ) -> Any:
        return collect(
            actor,
            self.env,
            env_params,
            rollout,
            key,
            self.config.num_steps,
            final_observations=True,
            carries=self.config.carry == "stored",
        )

    def _learn(
        self, learner: Learner, ring: Ring, table: EpisodeTable, key: PRNGKeyArray
    ) -> tuple[Learner, StepParts]:
        return learn(learner, self.static, ring, table, key, self.config)

    def _wait(
        self, learner: Learner, ring: Ring, table: EpisodeTable, key: PRNGKeyArray
    ) -> tuple[Learner, StepParts]:
        return learner, no_steps(self.config)

    def _epsilon(self, shared: SharedState) -> Float[Array, ""]:
        config = self.config
        return linear(config.epsilon, config.epsilon_end, shared.frames, config.epsilon_frames)

    def _row_shapes(self, params: PyTree[Array], env_params: PyTree[Array] | None) -> PyTree:
        """Shapes of what a rollout writes, found by trying one out without computing it."""
        env_params = self.params if env_params is None else env_params

        def rows(params: PyTree[Array], env_params: PyTree, key: PRNGKeyArray) -> Ring:
            network = Exploring(eqx.combine(params, self.static), jnp.ones(()))
            state = init_rollout(network, self.env, env_params, self.config.num_envs, key)
            _, record, _ = self._collect(network, env_params, state, key)
            return ring_rows(record, state.episode_length)

        return jax.eval_shape(rows, params, env_params, jax.random.key(0))


def check_lane(env: Any, params: Any, config: DQNConfig) -> None:
    """Refuses lanes and tapes that cannot hold an episode that goes on to its time limit."""
    limit, lane = time_limit(env, params), config.lane_capacity
    if limit is not None and limit > lane:
        blocks = -(-limit // config.num_steps)
        raise ValueError(
            f"DQN: an episode may have {limit} steps, but each of num_envs={config.num_envs} lanes "
            f"holds capacity / num_envs = {lane}, and only whole episodes are learned from; write "
            f"a capacity of at least {blocks * config.frames_per_update}, better several times "
            "that, or fewer environments."
        )
    if limit is not None and config.replay == "tape" and limit >= config.batch_size:
        raise ValueError(
            f"DQN: an episode may have {limit} steps, but a tape of batch_size={config.batch_size} "
            f"tokens cuts it, and its end would never be learned; write a batch_size of at least "
            f"{limit + 1}, better several times that, or replay='segment'."
        )


def time_limit(env: Any, params: Any) -> int | None:
    """The most steps of an episode as far as a wrapper or the parameters tell, else None."""
    limits = []
    while isinstance(env, envs.AbstractWrapper):
        if isinstance(env, envs.TimeLimit):
            limits.append(env.max_steps)
        env = env.env
    for path, leaf in jtu.tree_flatten_with_path(params)[0]:
        named = jtu.keystr(path[-1:], simple=True) in ("max_steps", "max_steps_in_episode")
        if named and not isinstance(leaf, Tracer) and jnp.ndim(leaf) == 0:
            limits.append(int(leaf))
    return min(limits, default=None)
