"""What wrappers share: delegation to the wrapped environment, and the check of their order."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree, UInt8

from .._environment import AbstractEnvironment, Params, State, Transition
from .._expect import require_environment
from ..spaces import AbstractSpace, Dict, Tuple
from ._order import check_order

Own = TypeVar("Own")
"""What a wrapper carries beside the wrapped environment's state."""


class Wrapped(eqx.Module, Generic[State, Own]):
    """The state of a wrapper that carries something of its own.

    Args:
        inner: the wrapped environment's state.
        own: the wrapper's.

    Example:
        >>> import jax
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import TimeLimit
        >>> env = TimeLimit(RepeatFirst(), 10)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(state.own)
        0
    """

    inner: State
    own: Own


class AbstractWrapper(AbstractEnvironment[State, Params]):
    """An environment around another one.

    A wrapper wraps `reset`, `restart` and `transition` and never `step`, so that episodes restart in
    one place and `final_observation` is what the outermost wrapper would have shown. `restart` must
    be passed on to the wrapped environment: it may have prepared its next episode.

    All other methods ask the wrapped environment and are hooks. One whose state or parameters are
    not the wrapped environment's says by `inner_state` and `inner_params` where those are.
    """

    env: eqx.AbstractVar[AbstractEnvironment[Any, Any]]

    def __check_init__(self):
        require_environment(f"{type(self).__name__}(env)", self.env)
        check_order(type(self).__name__, _names_inside(self.env))
        self.check()

    @abstractmethod
    def restart(
        self, key: PRNGKeyArray, state: State, over: Bool[Array, ""], params: Params
    ) -> tuple[PyTree[Array], State]:
        """Begin the next episode; must ask the wrapped environment's `restart`, not its `reset`."""

    @property
    def name(self) -> str:
        """The wrapped environment's."""
        return self.env.name

    def check(self) -> None:
        """Check the other arguments, at construction (hook; default: nothing to check)."""

    def inner_state(self, state: State) -> Any:
        """The wrapped environment's state (hook; default: the state itself)."""
        return state

    def inner_params(self, params: Params) -> Any:
        """The wrapped environment's parameters (hook; default: the parameters themselves)."""
        return params

    def default_params(self) -> Params:
        """The wrapped environment's (hook)."""
        return self.env.default_params()

    def observation_space(self, params: Params) -> AbstractSpace:
        """The wrapped environment's (hook)."""
        return self.env.observation_space(self.inner_params(params))

    def action_space(self, params: Params) -> AbstractSpace:
        """The wrapped environment's (hook)."""
        return self.env.action_space(self.inner_params(params))

    def report(self, state: State, params: Params) -> dict[str, PyTree[Array]]:
        """The wrapped environment's (hook)."""
        return self.env.report(self.inner_state(state), self.inner_params(params))

    def oracle(self, state: State, params: Params) -> PyTree[Array]:
        """The wrapped environment's (hook)."""
        return self.env.oracle(self.inner_state(state), self.inner_params(params))

    def describe(self, state: State) -> PyTree[Array]:
        """The wrapped environment's, and what this one carries beside it (hook)."""
        inner = self.env.describe(self.inner_state(state))
        return (inner, state.own) if isinstance(state, Wrapped) else inner

    def render(self, state: State) -> UInt8[np.ndarray, "height width 3"]:
        """The wrapped environment's (hook)."""
        return self.env.render(self.inner_state(state))


class AbstractObservationWrapper(AbstractWrapper[State, Params]):
    """A wrapper that shows something else and carries nothing: its state is the wrapped one's.

    Subclasses write `show` and `observation_space`.
    """

    @abstractmethod
    def show(
        self, observation: PyTree[Array], action: PyTree[Array] | None, state: State, params: Params
    ) -> PyTree[Array]:
        """What is shown instead.

        Args:
            observation: the wrapped environment's.
            action: the action that led to it; None for the first observation of an episode.
            state: the state that goes with the observation.
            params: see `default_params`.
        """

    @abstractmethod
    def observation_space(self, params: Params) -> AbstractSpace:
        """The set that `show`'s results are from."""

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], State]:
        """Begin an episode."""
        observation, state = self.env.reset(key, params)
        return self.show(observation, None, state, params), state

    def restart(
        self, key: PRNGKeyArray, state: State, over: Bool[Array, ""], params: Params
    ) -> tuple[PyTree[Array], State]:
        """Begin the next episode as the wrapped environment does."""
        observation, state = self.env.restart(key, state, over, params)
        return self.show(observation, None, state, params), state

    def transition(
        self, key: PRNGKeyArray, state: State, action: PyTree[Array], params: Params
    ) -> Transition[State]:
        """Advance one step."""
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        shown = self.show(observation, action, state, params)
        return shown, state, reward, terminated, truncated


class AbstractEpisodeWrapper(
    AbstractWrapper[Wrapped[State, Own], Params], Generic[State, Own, Params]
):
    """A wrapper that carries something of its own which begins anew with every episode.

    Subclasses write `begin` and `transition`.
    """

    @abstractmethod
    def begin(self, params: Params) -> Own:
        """What is carried at an episode's start."""

    def inner_state(self, state: Wrapped[State, Own]) -> State:
        """`state.inner`."""
        return state.inner

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], Wrapped[State, Own]]:
        """Begin an episode."""
        observation, inner = self.env.reset(key, params)
        return observation, Wrapped(inner, self.begin(params))

    def restart(
        self, key: PRNGKeyArray, state: Wrapped[State, Own], over: Bool[Array, ""], params: Params
    ) -> tuple[PyTree[Array], Wrapped[State, Own]]:
        """Begin the next episode as the wrapped environment does."""
        observation, inner = self.env.restart(key, state.inner, over, params)
        return observation, Wrapped(inner, self.begin(params))


def _names_inside(env: AbstractEnvironment) -> tuple[str, ...]:
    """The class names of `env` and of what is inside it, wrappers only."""
    if not isinstance(env, AbstractWrapper):
        return ()
    return (type(env).__name__, *_names_inside(env.env))


def append_space(space: AbstractSpace, name: str, extra: AbstractSpace) -> AbstractSpace:
    """The space of `append_value`'s results."""
    if isinstance(space, Tuple):
        return Tuple((*space.spaces, extra))
    if isinstance(space, Dict):
        return Dict({**space.spaces, name: extra})
    return Tuple((space, extra))


def append_value(observation: PyTree[Array], name: str, extra: PyTree[Array]) -> PyTree[Array]:
    """Append to a tuple, add to a dict under `name`, else make a pair: as the reference does."""
    if isinstance(observation, tuple):
        return (*observation, extra)
    if isinstance(observation, dict):
        return {**observation, name: extra}
    return (observation, extra)
