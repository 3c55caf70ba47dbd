"""Agents trained side by side: every point of a sweep over hyper-parameters, times seeds."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from ._errors import FitArgumentError, check_sizes
from ._seeds import Algorithm, SweepableAlgorithm, seed_keys


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """An algorithm times the points of a sweep times seeds: its members are trained in one program.

    The members are the grid of all swept values, the first name slowest, times the seeds, which
    vary fastest. Seed `i` has the same random key at every point of the grid, so that points are
    compared in pairs.

    Args:
        algo: such as `PPO(env, params, agent, config)`; its configuration holds for whatever is
            not swept.
        seeds: agents at every point, at least 1.
        sweep: the values of hyper-parameters, by name; those of `algo.config` that are floats can
            be swept. Sizes, words, switches, and what is None change the program: for them, make
            one algorithm each.

    Raises:
        FitArgumentError: `seeds` is out of range, or a name cannot be swept (a ValueError).
        ValueError: the configuration refuses a value.

    Example:
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=8))
        >>> population = ma.rl.Population(algo, seeds=2, sweep={"learning_rate": [3e-4, 1e-3]})
        >>> population.size, population.values(2)
        (4, {'learning_rate': 0.001})
    """

    algo: Algorithm
    seeds: int = 1
    sweep: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sizes({"seeds": self.seeds})
        for name in self.sweep:
            _check_name(self.algo, name)
        listed = {name: _check_values(name, values) for name, values in self.sweep.items()}
        object.__setattr__(self, "sweep", listed)
        for point in self.points if listed else ():
            # The configuration's own checks, which cannot see a traced value.
            member_algorithm(self.algo, point)

    @property
    def points(self) -> list[dict[str, float]]:
        """The grid: the swept values of each point; one without values if nothing is swept."""
        names = list(self.sweep)
        return [
            dict(zip(names, point, strict=True))
            for point in itertools.product(*self.sweep.values())
        ]

    @property
    def size(self) -> int:
        """Number of members: points times seeds."""
        return math.prod(len(values) for values in self.sweep.values()) * self.seeds

    def seed(self, member: int) -> int:
        """The seed of a member, from 0."""
        return member % self.seeds

    def values(self, member: int) -> dict[str, float]:
        """The swept values of a member, by name."""
        return self.points[member // self.seeds]

    def keys(self, key: Key[Array, ""] | UInt32[Array, " 2"]) -> Key[Array, " members"]:
        """The random key of each member, equal for the same seed at different points.

        Args:
            key: random key of the run, typed or old.
        """
        return jnp.tile(seed_keys(key, self.seeds), self.size // self.seeds)

    def stacked_values(self) -> dict[str, Float[Array, " members"]]:
        """The swept values of all members, by name."""
        points = self.points
        return {
            name: jnp.asarray(np.repeat([p[name] for p in points], self.seeds), float)
            for name in self.sweep
        }

    def labels(self) -> list[dict[str, Any]]:
        """What marks the rows of each member: `seed`; with a sweep `member` and its values too.

        A value stands under `config.` and its name: metrics may have the same one (`entropy`).
        """
        if not self.sweep:
            return [{"seed": seed} for seed in range(self.seeds)]
        return [
            {
                "member": i,
                "seed": self.seed(i),
                **{f"config.{name}": value for name, value in self.values(i).items()},
            }
            for i in range(self.size)
        ]


def member_algorithm(algo: Any, values: Mapping[str, Any]) -> Any:
    """The algorithm of one member.

    Args:
        algo: that of the population.
        values: hyper-parameters by name, numbers or traced scalars; where there are none, `algo`
            itself is returned.
    """
    return algo.with_config(**values) if values else algo


def label_text(label: Mapping[str, Any]) -> str:
    """A member's label for people.

    >>> label_text({"seed": 3})
    'seed 3'
    >>> label_text({"member": 1, "seed": 0, "config.clip": 0.1})
    'member 1 (clip=0.1, seed 0)'
    """
    seed = f"seed {label['seed']}"
    if "member" not in label:
        return seed
    values = {k.removeprefix("config."): v for k, v in label.items() if k.startswith("config.")}
    return f"member {label['member']} ({values_text(values)}, {seed})"


def values_text(values: Mapping[str, float]) -> str:
    """Swept values for people.

    >>> values_text({"clip": 0.1, "discount": 0.99})
    'clip=0.1, discount=0.99'
    """
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def _check_name(algo: Any, name: str) -> None:
    if not isinstance(algo, SweepableAlgorithm):
        raise FitArgumentError(
            f"Population: {type(algo).__name__} cannot be swept over: it has no `config` and "
            "`with_config`; leave sweep out"
        )
    fields = {f.name: getattr(algo.config, f.name) for f in dataclasses.fields(algo.config)}
    fitting = [known for known, value in fields.items() if _is_number(value)]
    if name in fitting:
        return
    owner = type(algo.config).__name__
    reason = f"{owner} has no such field"
    if name in fields:
        reason = f"it is {fields[name]!r}, and only a float can change within one program"
    raise FitArgumentError(
        f"Population: {name!r} cannot be swept: {reason}; these can: {', '.join(fitting)}"
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return value.shape == () and jnp.issubdtype(value.dtype, jnp.floating)
    return isinstance(value, float)


def _check_values(name: str, values: Any) -> tuple[float, ...]:
    what = f"Population: sweep[{name!r}] must be a list of different finite numbers"
    try:
        listed = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise FitArgumentError(f"{what}, such as [3e-4, 1e-3], not {values!r}") from error
    if not listed or len(set(listed)) < len(listed) or not all(map(math.isfinite, listed)):
        raise FitArgumentError(f"{what}, such as [3e-4, 1e-3], not {list(listed)}")
    return listed
