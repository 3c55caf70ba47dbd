"""Proximal policy optimisation with any memory."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, PRNGKeyArray, PyTree

from memoalg import envs
from memoalg.envs._expect import require_environment

from ._agent import ActorCritic, ActorCriticNetwork
from ._config import PPOConfig
from ._evaluate import play_episodes
from ._learn import LossParts, learn, make_batch
from ._losses import explained_variance
from ._minibatch import Batch
from ._optimizer import make_optimizer
from ._rollout import EpisodeSums, collect, init_rollout
from ._state import AgentState, Evaluation, Metrics, SharedState, TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class PPO:
    """Recurrent PPO: pure functions over a `TrainState`, to be jitted, vmapped and scanned at will.

    An object compares by identity and is no pytree: its methods go into `jax.jit` as they are, and
    the environment's parameters are constants of the program. To vmap over hyper-parameters, build
    the object inside the mapped function.

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

    env: envs.AbstractEnvironment
    params: PyTree
    agent: ActorCritic = ActorCritic()  # noqa: RUF009 (a frozen recipe without arrays)
    config: PPOConfig = PPOConfig()  # noqa: RUF009
    # The network with ShapeDtypeStructs for its arrays: structure, sizes and static parts.
    template: PyTree = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        require_environment("PPO(env, ...)", self.env)
        _check_kind("agent", self.agent, ActorCritic)
        _check_kind("config", self.config, PPOConfig)
        object.__setattr__(self, "env", _fitted(self.env, self.params))
        template = eqx.filter_eval_shape(self._draw_network, jax.random.key(0))
        object.__setattr__(self, "template", template)

    @property
    def frames_per_update(self) -> int:
        """Environment steps that one update takes."""
        return self.config.frames_per_update

    def init(self, key: PRNGKeyArray) -> TrainState:
        """A fresh state: new parameters, all environments reset.

        Args:
            key: Random key; everything random in the run comes from it.

        Returns:
            The state before the first update.
        """
        network_key, reset_key, key = jax.random.split(_typed(key), 3)
        drawn = eqx.filter(self._draw_network(network_key), eqx.is_array)
        # A memory made by a user's function may carry lambdas, which are new objects in every
        # call: the arrays are put into the one structure that this object knows.
        like = jtu.tree_structure(eqx.filter(self.template, _is_struct))
        params = jtu.tree_unflatten(like, jtu.tree_leaves(drawn))
        optimizer = make_optimizer(self.config).init(eqx.filter(params, eqx.is_inexact_array))
        agent = AgentState(params=params, optimizer=optimizer)
        config = self.config
        return TrainState(
            shared=SharedState(update=jnp.zeros((), jnp.int32), frames=jnp.zeros((), jnp.uint32)),
            agent=agent,
            rollout=init_rollout(
                self.network(agent), self.env, self.params, config.num_envs, reset_key
            ),
            key=key,
        )

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One rollout and everything learned from it.

        Args:
            state: From `init` or a previous update.

        Returns:
            The next state and the update's metrics.
        """
        key, act_key, learn_key = jax.random.split(state.key, 3)
        network = self.network(state.agent)
        rollout, record, sums = collect(
            network, self.env, self.params, state.rollout, act_key, self.config.num_steps
        )
        batch = make_batch(record, self.config)
        agent, parts = learn(state.agent, self._static(), batch, learn_key, self.config)
        shared = SharedState(
            update=state.shared.update + 1,
            frames=state.shared.frames + self.frames_per_update,
        )
        following = TrainState(shared=shared, agent=agent, rollout=rollout, key=key)
        return following, _metrics(shared, sums, parts, batch)

    def train(self, key: PRNGKeyArray, steps: int) -> tuple[TrainState, Metrics]:
        """`init` and as many updates as `steps` needs, in one scan.

        Args:
            key: Random key.
            steps: Environment steps, rounded up to whole updates.

        Returns:
            The last state, and the metrics stacked over updates.
        """
        return jax.lax.scan(self._body, self.init(key), length=self.num_updates(steps))

    def num_updates(self, steps: int) -> int:
        """Updates that `steps` environment steps need, rounded up."""
        return -(-steps // self.frames_per_update)

    def evaluate(
        self,
        state: TrainState,
        key: PRNGKeyArray,
        episodes: int,
        *,
        greedy: bool = True,
        max_steps: int = 4096,
    ) -> Evaluation:
        """Play `episodes` complete episodes, one in each of as many lanes.

        The environments, memories and randomness of training are not touched.

        Args:
            state: Whose parameters act.
            key: Random key of the evaluation's own.
            episodes: How many.
            greedy: Take the likeliest action; otherwise sample.
            max_steps: An episode that has not ended by then is reported as not complete. A bound
                far above the true length costs nothing: the loop idles once all have ended.

        Returns:
            Return, length and completeness of each episode.
        """
        network = self.network(state.agent)
        return play_episodes(
            network,
            self.env,
            self.params,
            _typed(key),
            episodes,
            max_steps=max_steps,
            greedy=greedy,
        )

    def network(self, agent: AgentState) -> ActorCriticNetwork:
        """The network that an agent's parameters belong to, ready to be called."""
        return eqx.combine(agent.params, self._static())

    def _body(self, state: TrainState, _: None) -> tuple[TrainState, Metrics]:
        return self.update(state)

    def _draw_network(self, key: PRNGKeyArray) -> ActorCriticNetwork:
        observation_space = self.env.observation_space(self.params)
        return self.agent.init(key, observation_space, self.env.action_space(self.params))

    def _static(self) -> PyTree:
        return eqx.filter(self.template, _is_struct, inverse=True)


def _fitted(env: Any, params: Any) -> Any:
    """The environment with a flat float vector as observation and one action, wrapped if need be."""
    space = env.observation_space(params)
    flat = isinstance(space, envs.Box) and len(space.shape) == 1
    if not (flat and jnp.issubdtype(space.dtype, jnp.floating)):
        env = envs.Flatten(env)
    several = isinstance(env.action_space(params), envs.MultiDiscrete)
    return envs.DiscreteAction(env) if several else env


def _metrics(shared: SharedState, sums: EpisodeSums, parts: LossParts, batch: Batch) -> Metrics:
    means = jax.tree.map(jnp.mean, parts)
    return Metrics(
        update=shared.update,
        frames=shared.frames,
        episodes=jnp.sum(sums.episodes),
        return_sum=jnp.sum(sums.return_sum),
        length_sum=jnp.sum(sums.length_sum),
        policy_loss=means.policy_loss,
        value_loss=means.value_loss,
        entropy=means.entropy,
        explained_variance=explained_variance(batch.values, batch.targets),
        approx_kl=means.approx_kl,
        clip_fraction=means.clip_fraction,
        grad_norm=means.grad_norm,
        first_ratio_error=parts.ratio_error[0],
    )


def _check_kind(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(
            f"PPO: {name} must be {kind.__name__}, not {type(value).__name__}; write "
            "env, params = ma.envs.make(...) and "
            "ma.rl.PPO(env, params, ma.rl.ActorCritic(...), ma.rl.PPOConfig(...))."
        )


def _is_struct(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _typed(key: Array) -> PRNGKeyArray:
    """A typed key, from a typed or an old one."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.wrap_key_data(key)
