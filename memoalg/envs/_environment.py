"""The environment protocol: what a task implements, and the one place where episodes restart."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree, UInt8

from .._tree import tree_where
from .spaces import AbstractSpace

State = TypeVar("State")
"""What an environment carries from step to step: a pytree of strongly typed arrays."""

Params = TypeVar("Params")
"""What may vary without a change of shapes (deck count, time limit): a pytree of arrays."""

Transition = tuple[PyTree[Array], State, Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]
"""`(observation, state, reward, terminated, truncated)`."""


class AbstractEnvironment(eqx.Module, Generic[State, Params]):
    """A partially observed decision process, unbatched; use `jax.vmap` for many at once.

    An environment is a frozen module. Equal constructor arguments give equal environments with
    equal hashes, so it can be a static argument of `jax.jit` (or a pytree argument) and a second
    instance does not compile again. `step` is final; tasks and wrappers implement the others.
    `restart`, `report`, `describe`, `oracle` and `render` are hooks: an environment may leave them
    alone.

    Every leaf of the state, the observation and the reward is strongly typed, and its dtype is the
    same after `reset` and after `transition`, with x64 on or off.

    Example:
        >>> import jax, memoalg.envs as envs
        >>> env, params = envs.make("popgym/RepeatPreviousEasy")
        >>> key = jax.random.key(0)
        >>> obs, state = env.reset(key, params)
        >>> action = env.action_space(params).sample(key)
        >>> obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)
        >>> obs.shape, bool(terminated)
        ((), False)
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The registered id, or the constructor call where the arguments have no id."""

    @abstractmethod
    def default_params(self) -> Params:
        """The parameters that go with this environment's constructor arguments."""

    @abstractmethod
    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], State]:
        """Begin an episode.

        Args:
            key: a random key.
            params: see `default_params`.

        Returns:
            The first observation and the state.
        """

    @abstractmethod
    def transition(
        self, key: PRNGKeyArray, state: State, action: PyTree[Array], params: Params
    ) -> Transition[State]:
        """Advance one step without starting again at an episode's end.

        Args:
            key: a random key.
            state: as returned by `reset`, `transition` or `step`.
            action: an element of `action_space(params)`.
            params: see `default_params`.

        Returns:
            `(observation, state, reward, terminated, truncated)`: the observation that follows the
            action; `terminated` where the process itself ended (the value of what follows is 0),
            `truncated` where a time limit cut it. Both may be true.
        """

    @abstractmethod
    def observation_space(self, params: Params) -> AbstractSpace:
        """The set that observations are from."""

    @abstractmethod
    def action_space(self, params: Params) -> AbstractSpace:
        """The set that actions are from."""

    def restart(
        self, key: PRNGKeyArray, state: State, over: Bool[Array, ""], params: Params
    ) -> tuple[PyTree[Array], State]:
        """Begin the next episode (hook; default: `reset`, which forgets the state).

        `step` asks at every step and uses the answer where the episode is over, so this must be cheap.
        An environment that prepares the next episode during the current one, or counts over episodes,
        takes what it kept from `state`.

        Args:
            key: a random key.
            state: as `transition` left it, in the episode that ends.
            over: whether the episode ended. Where it did not, the result is not used.
            params: see `default_params`.

        Returns:
            The first observation and the state.
        """
        return self.reset(key, params)

    def report(self, state: State, params: Params) -> dict[str, PyTree[Array]]:
        """What `step` adds to `info`, from the state before a restart (hook; default: nothing)."""
        return {}

    def describe(self, state: State) -> PyTree[Array]:
        """What is hidden, as arrays of numbers: what `Markovian` shows (hook; default: the state)."""
        return state

    def oracle(self, state: State, params: Params) -> PyTree[Array]:
        """The action of a good policy that sees the whole state (hook); what the anchors are made with.

        Raises:
            NotImplementedError: the environment has no such policy.
        """
        raise NotImplementedError(
            f"{self.name} has no oracle; define oracle(self, state, params) -> action"
        )

    def render(self, state: State) -> UInt8[np.ndarray, "height width 3"]:
        """Draw a state as an RGB image (hook); always the same size, on the host, not under `jit`.

        Raises:
            NotImplementedError: the environment has no picture.
            ModuleNotFoundError: Pillow is missing.
        """
        raise NotImplementedError(
            f"{self.name} has no picture; define render(self, state) -> uint8 (height, width, 3)"
        )

    def step(
        self, key: PRNGKeyArray, state: State, action: PyTree[Array], params: Params
    ) -> tuple[
        PyTree[Array], State, Float[Array, ""], Bool[Array, ""], Bool[Array, ""], dict[str, Any]
    ]:
        """Advance one step; where the episode ended, begin the next one at once.

        Args:
            key: a random key.
            state: as returned by `reset` or `step`.
            action: an element of `action_space(params)`. Shape and dtype are checked; whether the value
                is in the space is not (`action_space(params).contains(action)` tells), and one
                that is not does some thing that is not documented.
            params: see `default_params`.

        Returns:
            `(observation, state, reward, terminated, truncated, info)`. At an episode's end
            `observation` and `state` already belong to the next episode, while `reward`,
            `terminated` and `truncated` belong to the one that ended. `info["final_observation"]`
            is the observation before the restart, at every step: what a value estimate at a
            truncation needs. What `report` says comes beside it.
        """
        key_transition, key_reset = jax.random.split(key)
        final, ended, reward, terminated, truncated = self.transition(
            key_transition, state, action, params
        )
        # Under vmap a branch is a select, so both sides run at every step: resets must be cheap.
        over = terminated | truncated
        first, fresh = self.restart(key_reset, ended, over, params)
        observation, state = tree_where(over, (first, fresh), (final, ended))
        info = {"final_observation": final, **self.report(ended, params)}
        return observation, state, reward, terminated, truncated, info
