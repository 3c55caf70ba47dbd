"""Environments with gymnax's old step of five values behind our protocol."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from .._tree import first_difference
from ._environment import AbstractEnvironment, Transition
from ._gymnax_rules import gymnax_rules, is_traced, narrow
from ._gymnax_spaces import conform, from_gymnax_space
from .spaces import AbstractSpace

LIMIT = "max_steps_in_episode"


class _Frozen:
    """A pytree of numbers that compares by value, so that it can be a static field."""

    def __init__(self, tree: PyTree):
        leaves, self._structure = jax.tree.flatten(tree)
        self._leaves = [np.asarray(leaf) for leaf in leaves]

    def tree(self) -> PyTree[Array]:
        """The tree again, of strongly typed arrays of at most 32 bits."""
        return jax.tree.unflatten(self._structure, [narrow(leaf) for leaf in self._leaves])

    def _key(self) -> tuple:
        values = [(leaf.dtype.str, leaf.shape, leaf.tobytes()) for leaf in self._leaves]
        return self._structure, *values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class LegacyEnvironment(AbstractEnvironment[Any, Any]):
    """An environment written for gymnax 0.0.x; made by `from_legacy`.

    Dtypes are treated as by `from_gymnax`: 32 bits inside, observations and rewards in the default
    float dtype, everything strongly typed. The old `info` is dropped.

    Args:
        legacy: the object with `step_env`, `reset_env` and the two spaces.
        defaults: its parameters.
    """

    legacy: Any = eqx.field(static=True)
    defaults: _Frozen = eqx.field(static=True)

    @property
    def name(self) -> str:
        """`legacy/` and the class's name."""
        return f"legacy/{type(self.legacy).__name__}"

    def default_params(self) -> Any:
        """The parameters given to `from_legacy`, as 32-bit arrays."""
        return self.defaults.tree()

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[PyTree[Array], Any]:
        """Begin an episode."""
        with gymnax_rules():
            observation, state = self.legacy.reset_env(key, jax.tree.map(narrow, params))
        return self._show(observation, params), jax.tree.map(narrow, state)

    def transition(
        self, key: PRNGKeyArray, state: Any, action: PyTree[Array], params: Any
    ) -> Transition[Any]:
        """Advance by the old `step_env` and take its `done` apart."""
        action, params_32 = jax.tree.map(narrow, action), jax.tree.map(narrow, params)
        with gymnax_rules():
            result = self.legacy.step_env(key, state, action, params_32)
            observation, after, reward, done, _ = _five(result, self.name)
            # The same step under no limit says whether the process ended by itself. XLA computes
            # what both have in common once.
            alone = self.legacy.step_env(key, state, action, _without_limit(params_32))
            late = _is_late(after, params_32)
        after = jax.tree.map(narrow, after)
        if difference := first_difference(state, after):
            raise TypeError(
                f"{self.name}: step_env changes the state that reset_env made: {difference}; make "
                f"both the same"
            )
        over, ended = _flag(done), _flag(alone[3])
        return (
            self._show(observation, params),
            after,
            jnp.asarray(reward).reshape(()).astype(float),
            over & ended,
            over & (~ended | late),
        )

    def observation_space(self, params: Any) -> AbstractSpace:
        """The old one, converted; where `params` are traced, that of the default parameters."""
        return self._space(self.legacy.observation_space, params)

    def action_space(self, params: Any) -> AbstractSpace:
        """The old one, converted; where `params` are traced, that of the default parameters."""
        return self._space(self.legacy.action_space, params)

    def _show(self, observation: PyTree, params: Any) -> PyTree[Array]:
        return conform(self.observation_space(params), observation)

    def _space(self, space: Callable[[Any], Any], params: Any) -> AbstractSpace:
        """Sizes cannot depend on traced numbers."""
        with jax.ensure_compile_time_eval(), gymnax_rules():
            theirs = space(self.default_params() if is_traced(params) else params)
        # Outside of gymnax's rules: a Box of ours has the user's default float dtype.
        return from_gymnax_space(theirs)


@runtime_checkable
class LegacyProtocol(Protocol):
    """What `from_legacy` needs of an object."""

    def reset_env(self, key: Any, params: Any) -> Any:
        """Return `(observation, state)`."""
        ...

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        """Return `(observation, state, reward, done, info)`."""
        ...

    def observation_space(self, params: Any) -> Any:
        """One of gymnax's spaces."""
        ...

    def action_space(self, params: Any) -> Any:
        """One of gymnax's spaces."""
        ...


def from_legacy(env: LegacyProtocol, params: Any = None) -> LegacyEnvironment:
    """Wrap an environment that was written for gymnax 0.0.x, with one `done` instead of two flags.

    `done` is a termination, but a truncation where only the time limit
    `params.max_steps_in_episode` made it true: the same step is asked again under no limit. Where
    the process ended by itself in the limit's last step both flags are true. Parameters without
    that field have no limit.

    Args:
        env: an object with `step_env(key, state, action, params) -> (observation, state, reward,
            done, info)`, `reset_env(key, params) -> (observation, state)`, `observation_space(params)`
            and `action_space(params)`, which give gymnax's spaces. Its `step` is not used. For an
            environment of gymnax 1.x, whose `done` leaves the limit out, use `from_gymnax`.
        params: its parameters, a pytree of numbers; None takes `env.default_params`.

    Returns:
        The environment; its parameters are `env.default_params()`.

    Raises:
        TypeError: a method is missing; when it is used: `step_env` returns another number of values,
            or a state of other dtypes than `reset_env`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from gymnax.environments import spaces
        >>> from memoalg.envs import from_legacy
        >>> class Countdown:
        ...     def reset_env(self, key, params):
        ...         return jnp.zeros(1), {"left": params["start"]}
        ...     def step_env(self, key, state, action, params):
        ...         left = state["left"] - action
        ...         return jnp.ones(1), {"left": left}, 1.0, left <= 0, {}
        ...     def observation_space(self, params):
        ...         return spaces.Box(0.0, 1.0, (1,))
        ...     def action_space(self, params):
        ...         return spaces.Discrete(2)
        >>> env = from_legacy(Countdown(), {"start": 3})
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> env.name, int(state["left"])
        ('legacy/Countdown', 3)
    """
    if isinstance(env, type) or not isinstance(env, LegacyProtocol):
        raise TypeError(
            f"from_legacy takes an object with step_env, reset_env, observation_space and "
            f"action_space, got {env!r}"
        )
    chosen: Any = env
    return LegacyEnvironment(env, _Frozen(chosen.default_params if params is None else params))


def _five(result: tuple, name: str) -> tuple:
    if len(result) != 5:
        raise TypeError(
            f"{name}: from_legacy takes a step_env that returns the five values (observation, state, "
            f"reward, done, info), got {len(result)}"
        )
    return result


def _flag(done: Any) -> Bool[Array, ""]:
    return jnp.asarray(done).reshape(()).astype(bool)


def _has_limit(params: Any) -> bool:
    is_record = dataclasses.is_dataclass(params)
    return is_record and LIMIT in {field.name for field in dataclasses.fields(params)}


def _without_limit(params: Any) -> Any:
    """The same parameters with a time limit that is never reached."""
    if not _has_limit(params):
        return params
    # Not the greatest number: an environment may add to it.
    return dataclasses.replace(params, **{LIMIT: jnp.full_like(getattr(params, LIMIT), 2**30)})


def _is_late(state: Any, params: Any) -> Bool[Array, ""]:
    if not _has_limit(params):
        return jnp.zeros((), bool)
    return _flag(state.time >= getattr(params, LIMIT))
