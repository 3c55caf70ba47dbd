"""What wrappers share: delegation, and the check of their order."""

import equinox as eqx
from jaxtyping import Array, PyTree

from .._environment import AbstractEnvironment, Params, State
from ..spaces import AbstractSpace, Dict, Tuple

ORDER = ("PreviousAction", "EpisodeStart", "Flatten")
"""From the inside to the outside, as the reference: Flatten(Antialias(PreviousAction(env)))."""


class AbstractWrapper(AbstractEnvironment[State, Params]):
    """An environment around another one.

    A wrapper wraps `reset` and `transition` and never `step`, so that episodes restart in one place
    and `final_observation` is what the outermost wrapper would have shown.
    """

    env: eqx.AbstractVar[AbstractEnvironment[State, Params]]

    def __check_init__(self):
        if not isinstance(self.env, AbstractEnvironment):
            raise TypeError(
                f"{type(self).__name__}(env) takes an environment, got {type(self.env).__name__}; "
                f"make(...) returns the pair (env, params): wrap the first of the two"
            )
        _check_order(type(self).__name__, self.env)

    @property
    def name(self) -> str:
        """The wrapped environment's."""
        return self.env.name

    def default_params(self) -> Params:
        """The wrapped environment's."""
        return self.env.default_params()


def _check_order(outer: str, env: AbstractEnvironment) -> None:
    """Refuse a wrapper that would have to be further inside (or is there twice)."""
    inner = type(env).__name__
    if not isinstance(env, AbstractWrapper) or inner not in ORDER or outer not in ORDER:
        return
    if ORDER.index(outer) > ORDER.index(inner):
        return
    if outer == inner:
        raise ValueError(f"{outer} is applied twice; once is enough")
    raise ValueError(
        f"{outer}({inner}(...)) is the wrong order: {outer} must be inside {inner}. Write "
        f"{inner}({outer}(env)); all of them are Flatten(EpisodeStart(PreviousAction(env)))"
    )


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
