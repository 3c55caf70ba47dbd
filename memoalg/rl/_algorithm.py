"""What all algorithms have in common: a network, its first state, training, evaluation."""

import dataclasses
import operator
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, PRNGKeyArray, PyTree

from memoalg import envs
from memoalg.envs._expect import require_environment
from memoalg.envs.wrappers._normalise import AbstractNormaliser

from ._evaluate import play_episodes
from ._network import AbstractNetwork
from ._rollout import init_rollout
from ._state import Evaluation, RolloutState, SharedState, TrainState

Own = TypeVar("Own", bound="AbstractAlgorithm")

# Folding in a small number gives a key that `split` gave already.
_AGENT_STREAM = 0x61676E


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractAlgorithm(ABC):
    """Pure functions over a `TrainState`, to be jitted, vmapped and scanned at will.

    An object compares by identity and is no pytree: its methods go into `jax.jit` as they are, and
    the environment's parameters are constants of the program, unless a wrapper normalises.

    An algorithm of one's own is a frozen dataclass with the fields `agent` and `config` (which says
    `num_envs` and `frames_per_update`), the two class variables, and three methods: `init_agent`,
    `actor` and `update`.
    """

    agent_kind: ClassVar[type]
    config_kind: ClassVar[type]

    env: envs.AbstractEnvironment
    params: PyTree
    agent: Any
    config: Any
    # The network with ShapeDtypeStructs for its arrays: structure, sizes and static parts.
    template: PyTree = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        require_environment(f"{type(self).__name__}(env, ...)", self.env)
        self._check_kind("agent", self.agent_kind)
        self._check_kind("config", self.config_kind)
        object.__setattr__(self, "env", _fitted(self.env, self.params))
        template = eqx.filter_eval_shape(self._draw_network, jax.random.key(0))
        object.__setattr__(self, "template", template)

    @abstractmethod
    def init_agent(self, params: PyTree[Array], key: PRNGKeyArray) -> Any:
        """What learning changes, before the first update.

        Args:
            params: Of a fresh network.
            key: Random key.

        Returns:
            A module with `params` and `env_params` (see `AgentState`), and whatever else is needed.
        """

    @abstractmethod
    def actor(self, agent: Any, shared: SharedState) -> AbstractNetwork:
        """The network that acts, exploration included."""

    @abstractmethod
    def update(self, state: TrainState) -> tuple[TrainState, Any]:
        """One rollout and everything learned from it.

        Args:
            state: From `init` or a previous update.

        Returns:
            The next state and the update's metrics.
        """

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
        network_key, reset_key, key = jax.random.split(typed_key(key), 3)
        drawn = eqx.filter(self._draw_network(network_key), eqx.is_array)
        # A memory made by a user's function may carry lambdas, which are new objects in every
        # call: the arrays are put into the one structure that this object knows.
        like = jtu.tree_structure(eqx.filter(self.template, _is_struct))
        params = jtu.tree_unflatten(like, jtu.tree_leaves(drawn))
        agent = self.init_agent(params, jax.random.fold_in(network_key, _AGENT_STREAM))
        network, env_params = self.network(agent), self.env_params(agent)
        rollout = init_rollout(network, self.env, env_params, self.config.num_envs, reset_key)
        # What resetting gathered counts, as everything the agent sees does.
        agent, rollout = self.absorb(agent, rollout)
        return TrainState(
            shared=SharedState(update=jnp.zeros((), jnp.int32), frames=jnp.zeros((), jnp.uint32)),
            agent=agent,
            rollout=rollout,
            key=key,
        )

    def train(self, key: PRNGKeyArray, steps: int) -> tuple[TrainState, Any]:
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

        The environments, memories, statistics and randomness of training are not touched.

        Args:
            state: Whose parameters act.
            key: Random key of the evaluation's own.
            episodes: How many.
            greedy: Take the likeliest action; otherwise sample as in training.
            max_steps: An episode that has not ended by then is reported as not complete. The loop
                idles once all have ended; several members under one `vmap` run to the bound.

        Returns:
            Return, length and completeness of each episode.
        """
        return play_episodes(
            self.actor(state.agent, state.shared),
            self.env,
            self.env_params(state.agent),
            typed_key(key),
            episodes,
            max_steps=max_steps,
            greedy=greedy,
        )

    def network(self, agent: Any) -> Any:
        """The network that an agent's parameters belong to, ready to be called."""
        return eqx.combine(agent.params, self.static)

    @property
    def static(self) -> PyTree:
        """The network without its arrays."""
        return eqx.filter(self.template, _is_struct, inverse=True)

    def env_params(self, agent: Any) -> PyTree:
        """The environment's parameters, with the statistics that the agent has gathered."""
        return self.params if agent.env_params is None else agent.env_params

    def first_env_params(self) -> PyTree[Array] | None:
        """What `AgentState.env_params` begins with: None unless a wrapper normalises."""
        return jax.tree.map(jnp.asarray, self.params) if _normalises(self.env) else None

    def absorb(self, agent: Any, rollout: RolloutState) -> tuple[Any, RolloutState]:
        """Merge what the environments' normalising wrappers gathered into the agent.

        Args:
            agent: Whose statistics grow; returned as it is where nothing normalises.
            rollout: Where acting stopped; its gathered statistics are emptied.

        Returns:
            Both.
        """
        if agent.env_params is None:
            return agent, rollout
        params, states = envs.absorb(self.env, agent.env_params, rollout.env_state)
        agent = eqx.tree_at(lambda a: a.env_params, agent, params)
        return agent, eqx.tree_at(lambda r: r.env_state, rollout, states)

    def with_config(self: Own, **changes: Any) -> Own:
        """A copy with other hyper-parameters; numbers may be traced arrays.

        Args:
            changes: Fields of the configuration.

        Returns:
            The copy. Nothing is traced again: cheap within a mapped function.
        """
        copy = object.__new__(type(self))
        for field in dataclasses.fields(self):
            object.__setattr__(copy, field.name, getattr(self, field.name))
        object.__setattr__(copy, "config", _changed(self.config, changes))
        return copy

    def next_shared(self, shared: SharedState) -> SharedState:
        """The counters after one more update."""
        return SharedState(update=shared.update + 1, frames=shared.frames + self.frames_per_update)

    def _body(self, state: TrainState, _: None) -> tuple[TrainState, Any]:
        return self.update(state)

    def _draw_network(self, key: PRNGKeyArray) -> Any:
        observation_space = self.env.observation_space(self.params)
        return self.agent.init(key, observation_space, self.env.action_space(self.params))

    def _check_kind(self, name: str, kind: type) -> None:
        if not isinstance(getattr(self, name), kind):
            own, agent, config = (
                c.__name__ for c in (type(self), self.agent_kind, self.config_kind)
            )
            raise TypeError(
                f"{own}: {name} must be {kind.__name__}, not "
                f"{type(getattr(self, name)).__name__}; write "
                "env, params = ma.envs.make(...) and "
                f"ma.rl.{own}(env, params, ma.rl.{agent}(...), ma.rl.{config}(...))."
            )


def _fitted(env: Any, params: Any) -> Any:
    """The environment with a flat float vector as observation and one action, wrapped if need be."""
    space = env.observation_space(params)
    flat = isinstance(space, envs.Box) and len(space.shape) == 1
    if not (flat and jnp.issubdtype(space.dtype, jnp.floating)):
        env = envs.Flatten(env)
    several = isinstance(env.action_space(params), envs.MultiDiscrete)
    return envs.DiscreteAction(env) if several else env


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    """A configuration with other values: arrays are put in as they are, all else is checked."""
    arrays = {name: value for name, value in changes.items() if isinstance(value, jax.Array)}
    plain = {name: value for name, value in changes.items() if name not in arrays}
    config = dataclasses.replace(config, **plain)
    for name, value in arrays.items():
        config = eqx.tree_at(
            operator.attrgetter(name), config, value, is_leaf=lambda leaf: leaf is None
        )
    return config


def _normalises(env: Any) -> bool:
    while isinstance(env, envs.AbstractWrapper):
        if isinstance(env, AbstractNormaliser):
            return True
        env = env.env
    return False


def _is_struct(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def typed_key(key: Array) -> PRNGKeyArray:
    """A typed key, from a typed or an old one."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.wrap_key_data(key)
