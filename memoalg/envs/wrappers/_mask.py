"""Hide some entries of a vector observation."""

import re

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped

from .._checks import int_in_range
from .._environment import AbstractEnvironment, Params, State
from .._expect import require_environment
from ..spaces import Box
from ._box_only import require_box
from ._wrapper import AbstractObservationWrapper

# Where positions and velocities are in the observations of classic control, and how many entries
# there are: (position, velocity, angle, angular velocity), (cos, sin, angular velocity), (cos, sin
# of both joints, both angular velocities), (position, velocity).
CLASSIC: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "CartPole": ((0, 2), (1, 3)),
    "Pendulum": ((0, 1), (2,)),
    "Acrobot": ((0, 1, 2, 3), (4, 5)),
    "MountainCar": ((0,), (1,)),
    "MountainCarContinuous": ((0,), (1,)),
}


class Mask(AbstractObservationWrapper[State, Params]):
    """Show some entries of a vector observation only.

    Args:
        env: the environment to wrap; its observations are vectors of floats (`Box`).
        indices: the entries to keep, in this order, each once.

    Raises:
        TypeError: the observations are no vectors of floats.
        ValueError: an index is out of range or there twice, or there are none, or the wrappers are
            in the wrong order.

    Example:
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> from memoalg.envs import Mask
        >>> env = Mask(PositionOnlyCartPole(), (1,))  # the angle
        >>> env.observation_space(env.default_params()).shape
        (1,)
    """

    env: AbstractEnvironment[State, Params]
    indices: tuple[int, ...] = eqx.field(static=True, converter=tuple)

    def check(self) -> None:
        """Refuse observations that are no vectors, and indices that are not in them."""
        space = require_box(self._space(self.default_params()), "Mask(env, indices)", vector=True)
        last = space.shape[0] - 1
        for index in self.indices:
            int_in_range(index, "Mask(indices=...): every index", 0, last)
        if not self.indices or len(set(self.indices)) < len(self.indices):
            raise ValueError(
                f"Mask(env, indices) takes at least one index, each once, got {self.indices}"
            )

    def show(
        self,
        observation: Shaped[Array, " entries"],
        action: PyTree[Array] | None,
        state: State,
        params: Params,
    ) -> Shaped[Array, " kept"]:
        """The entries at `indices`."""
        # Slices at fixed places, because a gather under vmap is slow on a CPU.
        return jnp.concatenate([observation[a:b] for a, b in _runs(self.indices)])

    def observation_space(self, params: Params) -> Box:
        """The bounds of the entries that are kept."""
        space = self._space(params)
        kept = np.array(self.indices)
        return Box(space.low[kept], space.high[kept], kept.shape, space.dtype)

    def _space(self, params: Params) -> Box:
        space = self.env.observation_space(params)
        return require_box(space, "Mask(env, indices)", vector=True)


def positions_only(env: AbstractEnvironment[State, Params]) -> Mask[State, Params]:
    """Hide the velocities of a classic control task, so that they must be remembered.

    Args:
        env: CartPole, Pendulum, Acrobot, MountainCar or MountainCarContinuous, by its name, of any
            suite and version.

    Returns:
        The environment in a `Mask`.

    Raises:
        ValueError: the environment is none of these.

    Example:
        >>> from memoalg.envs import from_gymnax
        >>> from memoalg.envs import positions_only
        >>> positions_only(from_gymnax("Pendulum-v1")).indices
        (0, 1)
    """
    return Mask(env, _classic(env, "positions_only")[0])


def velocities_only(env: AbstractEnvironment[State, Params]) -> Mask[State, Params]:
    """Hide the positions of a classic control task.

    Args:
        env: as for `positions_only`.

    Returns:
        The environment in a `Mask`.

    Raises:
        ValueError: the environment is none of these.

    Example:
        >>> from memoalg.envs import from_gymnax
        >>> from memoalg.envs import velocities_only
        >>> velocities_only(from_gymnax("CartPole-v1")).indices
        (1, 3)
    """
    return Mask(env, _classic(env, "velocities_only")[1])


def _classic(env: AbstractEnvironment, what: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The entries of positions and of velocities, found by the name."""
    require_environment(f"{what}(env)", env)
    # "gymnax/CartPole-v1", "suite/CartPoleEasy", "CartPole(max_steps=3)"; not "StatelessCartPole".
    found = re.match(r"[A-Z][a-zA-Z]*?(?=-v\d|Easy|Medium|Hard|\(|$)", env.name.split("/")[-1])
    places = CLASSIC.get(found.group() if found else "")
    space = env.observation_space(env.default_params())
    if places is None or not isinstance(space, Box) or space.shape != (sum(map(len, places)),):
        raise ValueError(
            f"{what}(env) knows {', '.join(CLASSIC)} with all their entries, got {env.name} with "
            f"{space}; say which entries to keep: Mask(env, indices)"
        )
    return places


def _runs(indices: tuple[int, ...]) -> list[tuple[int, int]]:
    """Indices as half-open ranges, in order: (0, 1, 3) are 0..2 and 3..4."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs
