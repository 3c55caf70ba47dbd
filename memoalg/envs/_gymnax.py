"""Environments of gymnax 1.x behind our protocol."""

import contextlib
import difflib
import functools
import importlib.metadata
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from ._environment import AbstractEnvironment, Transition
from .spaces import AbstractSpace, Box, Dict, Discrete, Tuple

GYMNAX_NAMES = (
    "Acrobot-v1",
    "Asterix-MinAtar",
    "BernoulliBandit-misc",
    "Breakout-MinAtar",
    "CartPole-v1",
    "Catch-bsuite",
    "DeepSea-bsuite",
    "DiscountingChain-bsuite",
    "FourRooms-misc",
    "Freeway-MinAtar",
    "FrozenLake-misc",
    "GaussianBandit-misc",
    "MemoryChain-bsuite",
    "MetaMaze-misc",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "PointRobot-misc",
    "Pong-misc",
    "Reacher-misc",
    "Seaquest-MinAtar",
    "SimpleBandit-bsuite",
    "SpaceInvaders-MinAtar",
    "Swimmer-misc",
    "UmbrellaChain-bsuite",
)
"""gymnax's own ids, without MNISTBandit-bsuite (needs a data set). Kept here so that listing them
does not import gymnax, which takes seconds."""


class GymnaxEnvironment(AbstractEnvironment[Any, Any]):
    """An environment of gymnax 1.x; made by `from_gymnax`.

    gymnax's raw `reset_env`, `step_env` and `is_truncated` are called; the restart is ours. With
    the same keys the numbers are those of gymnax's own `step`. What differs:

    - The state is strongly typed and its dtypes are the same after reset and step; gymnax computes
      in 32 bits even where x64 is on (several of its environments fail otherwise).
    - Observations from a Box and rewards have the default float dtype, those from a Discrete int32.
    - The parameters are gymnax's own class with strongly typed arrays as leaves.
    - gymnax's `info` is dropped, and so are the two counters that DeepSea keeps over a restart.

    Args:
        id: gymnax's id, without the prefix `gymnax/`.
    """

    id: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        """`gymnax/` and the id."""
        return f"gymnax/{self.id}"

    def default_params(self) -> Any:
        """gymnax's default parameters as 32-bit arrays."""
        return jax.tree.map(_narrow, _load(self.id).default_params)

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[PyTree[Array], Any]:
        """Begin an episode."""
        self._check(params)
        with _gymnax_rules():
            observation, state = _load(self.id).reset_env(key, jax.tree.map(_narrow, params))
        return self._show(observation, params), jax.tree.map(_narrow, state)

    def transition(
        self, key: PRNGKeyArray, state: Any, action: PyTree[Array], params: Any
    ) -> Transition[Any]:
        """Advance by gymnax's `step_env` and ask `is_truncated` of the new state."""
        env, params_32 = _load(self.id), jax.tree.map(_narrow, params)
        action = jax.tree.map(_narrow, action)
        with _gymnax_rules():
            observation, state, reward, terminated, _ = env.step_env(key, state, action, params_32)
            truncated = env.is_truncated(state, params_32)
        return (
            self._show(observation, params),
            jax.tree.map(_narrow, state),
            jnp.asarray(reward).reshape(()).astype(float),
            jnp.asarray(terminated).reshape(()).astype(bool),
            jnp.asarray(truncated).reshape(()).astype(bool),
        )

    def observation_space(self, params: Any) -> AbstractSpace:
        """gymnax's, converted; where `params` are traced, that of the default parameters."""
        with jax.ensure_compile_time_eval(), _gymnax_rules():
            space = _load(self.id).observation_space(self._concrete(params))
        if self.id == "MemoryChain-bsuite":
            # It shows -1 for a context bit of 0, outside of the declared Box(0, 2).
            return Box(-1.0, space.high, space.shape)
        return _convert(space)

    def action_space(self, params: Any) -> AbstractSpace:
        """gymnax's, converted; where `params` are traced, that of the default parameters."""
        with jax.ensure_compile_time_eval(), _gymnax_rules():
            space = _load(self.id).action_space(self._concrete(params))
        return _convert(space)

    def _show(self, observation: PyTree, params: Any) -> PyTree[Array]:
        return _conform(self.observation_space(params), observation)

    def _concrete(self, params: Any) -> Any:
        """`params`, or gymnax's defaults under a trace: sizes cannot depend on traced numbers."""
        if _is_traced(params):
            return _load(self.id).default_params
        self._check(params)
        return params

    def _check(self, params: Any) -> None:
        """Refuse a MemoryChain whose time limit comes before its only rewarded step."""
        if self.id != "MemoryChain-bsuite" or _is_traced(params):
            return
        length, limit = np.asarray(params.memory_length), np.asarray(params.max_steps_in_episode)
        if np.any(limit <= length):
            raise ValueError(
                f"MemoryChain with memory_length={length} and max_steps_in_episode={limit} is cut "
                f"before its only rewarded step: every reward would be 0. Write "
                f"params.replace(memory_length=n, max_steps_in_episode=n + 2)"
            )


def from_gymnax(name: str) -> GymnaxEnvironment:
    """Wrap one of gymnax's environments.

    In MemoryChain-bsuite the time limit must be longer than the memory: its default limit of 1,000
    silently makes a `memory_length` of 1,000 or more impossible. Concrete parameters are checked.

    Args:
        name: gymnax's id, without a prefix: one of its own or one given to `gymnax.register`.

    Returns:
        The environment; its parameters are `env.default_params()`.

    Raises:
        ModuleNotFoundError: gymnax (or `six`, which it needs and does not declare) is missing.
        ImportError: gymnax is older than 1.0.
        ValueError: the id is unknown; the message lists the nearest ones.

    Example:
        >>> import jax, memoalg.envs as envs
        >>> env = envs.from_gymnax("MemoryChain-bsuite")
        >>> params = env.default_params().replace(memory_length=20)
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> obs.shape
        (3,)
    """
    known = _import_gymnax().registered_envs
    if name not in known:
        near = difflib.get_close_matches(name, known, 5, 0.4) or known
        raise ValueError(f"unknown gymnax environment {name!r}; nearest: {', '.join(near)}")
    _load(name)
    return GymnaxEnvironment(name)


def _import_gymnax() -> Any:
    """gymnax, or one line that says what to install."""
    try:
        import gymnax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"gymnax environments need gymnax and six (missing: {error.name}); "
            f'pip install "memoalg[gymnax]"'
        ) from None
    version = importlib.metadata.version("gymnax")
    if int(version.split(".")[0]) < 1:
        raise ImportError(
            f'gymnax {version} has no six-value step; pip install "memoalg[gymnax]" (1.0.1 on)'
        )
    return gymnax


@functools.cache
def _load(name: str) -> Any:
    """gymnax's environment object, one for each id: it hashes by identity."""
    # Some constructors make arrays; inside a trace those would be leaked tracers.
    with jax.ensure_compile_time_eval(), _gymnax_rules():
        env, _ = _import_gymnax().make(name)
    return env


@contextlib.contextmanager
def _gymnax_rules() -> Iterator[None]:
    """Trace gymnax's code under the rules that it was written for, whatever the user's are."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


def _narrow(leaf: Any) -> Array:
    """A strongly typed array of at most 32 bits."""
    array = jnp.asarray(leaf)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    dtype = np.dtype(narrow.get(array.dtype.name, array.dtype))
    # convert_element_type drops the weak type even where the dtype is already right.
    return jax.lax.convert_element_type(array, dtype)


def _is_traced(tree: PyTree) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def _convert(space: Any) -> AbstractSpace:
    """One of gymnax's spaces as ours."""
    from gymnax.environments import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box):
        return Box(space.low, space.high, space.shape)
    if isinstance(space, spaces.Tuple):
        return Tuple(tuple(_convert(child) for child in space.spaces))
    if isinstance(space, spaces.Dict):
        return Dict({name: _convert(child) for name, child in space.spaces.items()})
    raise TypeError(f"gymnax's space {space!r} is none of Discrete, Box, Tuple, Dict")


def _conform(space: AbstractSpace, observation: PyTree) -> PyTree[Array]:
    """Cast to the space's dtypes: some of gymnax's environments declare others than they return."""
    if isinstance(space, Tuple):
        return tuple(_conform(s, x) for s, x in zip(space.spaces, observation, strict=True))
    if isinstance(space, Dict):
        return {name: _conform(child, observation[name]) for name, child in space.entries}
    assert isinstance(space, Discrete | Box)
    return jax.lax.convert_element_type(jnp.asarray(observation), space.dtype)
