"""Environments of gymnax 1.x behind our protocol."""

import difflib
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from ._environment import AbstractEnvironment, Transition
from ._gymnax_rules import gymnax_rules, import_gymnax, is_traced, narrow
from ._gymnax_spaces import conform, from_gymnax_space
from .spaces import AbstractSpace, Box

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
"""gymnax's own ids, without those of `GYMNAX_EXCLUDED`. Kept here so that listing them does not
import gymnax, which takes seconds."""

GYMNAX_EXCLUDED = {
    "MNISTBandit-bsuite": "its constructor downloads the MNIST images; from_gymnax works where it may"
}
"""gymnax's own ids that are not listed, and why."""


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
        return jax.tree.map(narrow, _load(self.id).default_params)

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[PyTree[Array], Any]:
        """Begin an episode."""
        self._check(params)
        with gymnax_rules():
            observation, state = _load(self.id).reset_env(key, jax.tree.map(narrow, params))
        return self._show(observation, params), jax.tree.map(narrow, state)

    def transition(
        self, key: PRNGKeyArray, state: Any, action: PyTree[Array], params: Any
    ) -> Transition[Any]:
        """Advance by gymnax's `step_env` and ask `is_truncated` of the new state."""
        env, params_32 = _load(self.id), jax.tree.map(narrow, params)
        action = jax.tree.map(narrow, action)
        with gymnax_rules():
            observation, state, reward, terminated, _ = env.step_env(key, state, action, params_32)
            truncated = env.is_truncated(state, params_32)
        return (
            self._show(observation, params),
            jax.tree.map(narrow, state),
            jnp.asarray(reward).reshape(()).astype(float),
            jnp.asarray(terminated).reshape(()).astype(bool),
            jnp.asarray(truncated).reshape(()).astype(bool),
        )

    def observation_space(self, params: Any) -> AbstractSpace:
        """gymnax's, converted; where `params` are traced, that of the default parameters."""
        with jax.ensure_compile_time_eval(), gymnax_rules():
            space = _load(self.id).observation_space(self._concrete(params))
        if self.id == "MemoryChain-bsuite":
            # It shows -1 for a context bit of 0, outside of the declared Box(0, 2).
            return Box(-1.0, space.high, space.shape)
        return from_gymnax_space(space)

    def action_space(self, params: Any) -> AbstractSpace:
        """gymnax's, converted; where `params` are traced, that of the default parameters."""
        with jax.ensure_compile_time_eval(), gymnax_rules():
            space = _load(self.id).action_space(self._concrete(params))
        return from_gymnax_space(space)

    def _show(self, observation: PyTree, params: Any) -> PyTree[Array]:
        return conform(self.observation_space(params), observation)

    def _concrete(self, params: Any) -> Any:
        """`params`, or gymnax's defaults under a trace: sizes cannot depend on traced numbers."""
        if is_traced(params):
            return _load(self.id).default_params
        self._check(params)
        return params

    def _check(self, params: Any) -> None:
        """Refuse a MemoryChain whose time limit comes before its only rewarded step."""
        if self.id != "MemoryChain-bsuite" or is_traced(params):
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
    known = import_gymnax().registered_envs
    if not isinstance(name, str):
        raise TypeError(f"from_gymnax(name) takes gymnax's id as a string, got {name!r}")
    if name not in known:
        near = difflib.get_close_matches(name, known, 5, 0.4) or known
        raise ValueError(f"unknown gymnax environment {name!r}; nearest: {', '.join(near)}")
    _load(name)
    return GymnaxEnvironment(name)


@functools.cache
def _load(name: str) -> Any:
    """gymnax's environment object, one for each id: it hashes by identity."""
    # Some constructors make arrays; inside a trace those would be leaked tracers.
    with jax.ensure_compile_time_eval(), gymnax_rules():
        env, _ = import_gymnax().make(name)
    return env
