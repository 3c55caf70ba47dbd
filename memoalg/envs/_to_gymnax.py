"""Our environments for gymnax's own tools."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from .._tree import tree_where
from ._checks import int_in_range
from ._environment import AbstractEnvironment
from ._expect import require_environment
from ._gymnax_rules import import_gymnax
from ._gymnax_spaces import from_gymnax_value, to_gymnax_space, to_gymnax_value
from .spaces import Box, Discrete, MultiDiscrete

NO_LIMIT = 2**31 - 1


class ToGymnaxParams(eqx.Module):
    """Parameters as gymnax's tools want them.

    Args:
        inner: our environment's parameters.
        max_steps_in_episode: a time limit beside the environment's own.
    """

    inner: PyTree[Array]
    max_steps_in_episode: Any

    def replace(self, *, inner: Any = None, max_steps_in_episode: Any = None) -> "ToGymnaxParams":
        """A copy with one or both exchanged."""
        new = {"inner": inner, "max_steps_in_episode": max_steps_in_episode}
        return dataclasses.replace(self, **{k: v for k, v in new.items() if v is not None})


class ToGymnaxState(eqx.Module):
    """A state as gymnax's tools want it.

    Args:
        inner: our environment's state.
        time: int32, steps since the episode began.
        terminated: whether the last step ended the process.
        truncated: whether the environment's own time limit cut it.
    """

    inner: PyTree[Array]
    time: Int[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]


class _Methods:
    """What the adapter adds to gymnax's `Environment`.

    It keeps the contract of gymnax 1.x, `step_env` and `reset_env` included. `step` differs from
    gymnax's in one point: the next episode is begun by `restart`, so that an environment that
    prepares it (or a wrapper that counts over episodes) loses nothing.
    """

    def __init__(self, env: AbstractEnvironment[Any, Any], max_steps: int):
        self.env = env
        self.max_steps = max_steps

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Methods) and self._key() == other._key()

    def __hash__(self) -> int:
        # gymnax's jitted methods take the environment as a static argument: equal ones share them.
        return hash(self._key())

    def _key(self) -> tuple:
        return self.env, self.max_steps

    @property
    def name(self) -> str:
        """Our name."""
        return self.env.name

    @property
    def default_params(self) -> ToGymnaxParams:
        """Our default parameters, and the time limit."""
        return ToGymnaxParams(self.env.default_params(), self.max_steps)

    @property
    def num_actions(self) -> int:
        """How many actions there are; for a Box how many entries an action has, as in gymnax."""
        space = self.env.action_space(self.env.default_params())
        if isinstance(space, MultiDiscrete):
            return math.prod(space.nvec)
        if isinstance(space, Discrete | Box):
            return space.flat_size
        raise NotImplementedError(f"{self.name}: actions of {space} are not numbered")

    def action_space(self, params: Any = None) -> Any:
        """gymnax's space; our MultiDiscrete is a Tuple of Discrete."""
        return to_gymnax_space(self.env.action_space(self._params(params).inner))

    def observation_space(self, params: Any = None) -> Any:
        """gymnax's space; our MultiDiscrete is a Tuple of Discrete."""
        return to_gymnax_space(self.env.observation_space(self._params(params).inner))

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[PyTree[Array], ToGymnaxState]:
        """Begin an episode."""
        return self._begin(*self.env.reset(key, params.inner), params)

    def step_env(
        self, key: PRNGKeyArray, state: ToGymnaxState, action: PyTree, params: Any
    ) -> tuple[PyTree[Array], ToGymnaxState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Advance one step without a restart; `is_truncated` of the new state says the rest."""
        action = from_gymnax_value(self.env.action_space(params.inner), action)
        observation, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, action, params.inner
        )
        state = ToGymnaxState(inner, state.time + 1, terminated, truncated)
        info = self.env.report(inner, params.inner)
        return self._show(observation, params), state, reward, terminated, info

    @functools.partial(jax.jit, static_argnames=("self",))
    def step(
        self, key: PRNGKeyArray, state: ToGymnaxState, action: PyTree, params: Any = None
    ) -> tuple[PyTree, ToGymnaxState, Array, Array, Array, dict[str, Any]]:
        """Advance one step; where the episode ended, begin the next one at once."""
        params = self._params(params)
        key_step, key_reset = jax.random.split(key)
        final, ended, reward, terminated, info = self.step_env(key_step, state, action, params)
        truncated = self.is_truncated(ended, params)
        over = terminated | truncated
        begun = self.env.restart(key_reset, ended.inner, over, params.inner)
        observation, state = tree_where(over, self._begin(*begun, params), (final, ended))
        info |= {"terminated": terminated, "truncated": truncated, "final_observation": final}
        return observation, state, reward, terminated, truncated, info

    def is_truncated(self, state: ToGymnaxState, params: Any) -> Bool[Array, ""]:
        """Whether our time limit or the one in the parameters was reached."""
        return state.truncated | (state.time >= params.max_steps_in_episode)

    def is_terminated(self, state: ToGymnaxState, params: Any) -> Bool[Array, ""]:
        """Whether the step that led here ended the process."""
        return state.terminated

    def render(self, state: ToGymnaxState, params: Any = None) -> np.ndarray:
        """Our picture of the state."""
        return self.env.render(state.inner)

    def _params(self, params: Any) -> ToGymnaxParams:
        return self.default_params if params is None else params

    def _begin(self, observation: PyTree[Array], inner: PyTree[Array], params: Any) -> tuple:
        no = jnp.zeros((), bool)
        state = ToGymnaxState(inner, jnp.zeros((), jnp.int32), no, no)
        return self._show(observation, params), state

    def _show(self, observation: PyTree[Array], params: Any) -> PyTree[Array]:
        return to_gymnax_value(self.env.observation_space(params.inner), observation)


def to_gymnax(
    env: AbstractEnvironment[Any, Any], name: str | None = None, *, max_steps: int = NO_LIMIT
) -> Any:
    """Make an environment of gymnax 1.x of one of ours.

    gymnax's wrappers, rollouts and its auto-reset take the result. With the same keys the numbers are
    those of our own `step`. A MultiDiscrete space, which gymnax lacks, becomes a Tuple of Discrete
    (or wrap the environment in `DiscreteAction` first). `observe` and `state_space` are not there:
    an observation of ours may depend on more than the state.

    Args:
        env: an environment, wrapped or not.
        name: an id to register with `gymnax.register`, so that `gymnax.make(name)` finds it; None
            registers nothing. gymnax's registry holds for the whole process and takes an id once.
        max_steps: a time limit beside the environment's own, gymnax's `max_steps_in_episode`.

    Returns:
        An instance of `gymnax.environments.environment.Environment`. Its parameters hold ours as
        `inner`, its state ours as `inner`.

    Raises:
        ModuleNotFoundError: gymnax (or `six`, which it needs and does not declare) is missing.
        TypeError: `env` is no environment of ours.
        ValueError: the id is taken, or `max_steps` is out of range.

    Example:
        >>> import jax, memoalg.envs as envs
        >>> from memoalg.envs import to_gymnax
        >>> env = to_gymnax(envs.RepeatFirst())
        >>> obs, state = env.reset(jax.random.key(0), env.default_params)
        >>> env.action_space(env.default_params)
        Discrete(4, dtype=int32)
    """
    require_environment("to_gymnax(env)", env)
    int_in_range(max_steps, "to_gymnax(env, max_steps=...)", 1, NO_LIMIT)
    gymnax = import_gymnax()
    if name is not None:
        gymnax.register(name, functools.partial(to_gymnax, env, max_steps=max_steps))
    return _adapter()(env, max_steps)


@functools.cache
def _adapter() -> Callable[[AbstractEnvironment[Any, Any], int], Any]:
    """The class, made on first use: gymnax takes seconds to import."""
    from gymnax.environments.environment import Environment

    class MemoalgEnvironment(_Methods, Environment):
        """One of our environments behind gymnax's interface; made by `to_gymnax`."""

    return MemoalgEnvironment
