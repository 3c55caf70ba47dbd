"""Statistics that are gathered while stepping and used once they are absorbed."""

import dataclasses
import math
from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..._tree import first_difference, shape_of
from .._environment import AbstractEnvironment, Params, State
from ._wrapper import AbstractWrapper, Wrapped

EPSILON = 1e-8
"""Added to variances, as gymnasium does."""

Carried = TypeVar("Carried")
"""What a normalising wrapper carries over the steps of an episode."""


@runtime_checkable
class MomentsMonoid(Protocol):
    """Count, mean and variance as a monoid: what `memoalg.Moments(shape)` is.

    Environments know nothing of the library's algebra, so the object is passed in.
    """

    def identity(self) -> Any:
        """The statistics of nothing."""
        ...

    def expand(self, generator: Any) -> Any:
        """The statistics of one observation."""
        ...

    def combine(self, left: Any, right: Any) -> Any:
        """The statistics of both."""
        ...

    def read(self, state: Any, query: Any) -> Any:
        """`count`, `mean` and `variance`."""
        ...


class Normalised(eqx.Module, Generic[Params]):
    """The parameters of a normalising wrapper.

    Args:
        inner: the wrapped environment's parameters.
        statistics: an element of the monoid: what observations or rewards are normalised with.
    """

    inner: Params
    statistics: PyTree[Array]


class Gathered(eqx.Module, Generic[Carried]):
    """What a normalising wrapper carries.

    Args:
        statistics: an element of the monoid: of what was seen since it was last absorbed.
        running: what is carried over an episode's steps, if anything.
    """

    statistics: PyTree[Array]
    running: Carried


class AbstractNormaliser(
    AbstractWrapper[Wrapped[State, Gathered[Carried]], Normalised[Params]],
    Generic[State, Carried, Params],
):
    """A wrapper that normalises with the statistics in its parameters.

    Stepping changes the parameters never, and gathers statistics in the state: a training loop calls
    `absorb` between its batches, an evaluation does not. With no statistics nothing is changed.
    """

    moments: eqx.AbstractVar[MomentsMonoid]

    @abstractmethod
    def check(self) -> None:
        """Check the arguments, at construction."""

    def inner_state(self, state: Wrapped[State, Gathered[Carried]]) -> State:
        """`state.inner`."""
        return state.inner

    def inner_params(self, params: Normalised[Params]) -> Params:
        """`params.inner`."""
        if not isinstance(params, Normalised):
            raise TypeError(
                f"{type(self).__name__} takes its own parameters, Normalised, got "
                f"{type(params).__name__}; write params = env.default_params() after wrapping"
            )
        return params.inner

    def default_params(self) -> Normalised[Params]:
        """The wrapped environment's, and no statistics."""
        return Normalised(self.env.default_params(), self.moments.identity())

    def gather(self, statistics: PyTree[Array], value: Float[Array, "*shape"]) -> PyTree[Array]:
        """The statistics of one more value."""
        return self.moments.combine(statistics, self.moments.expand(value))

    def normalise(
        self, value: Float[Array, "*shape"], statistics: PyTree[Array], clip: float, *, centre: bool
    ) -> Float[Array, "*shape"]:
        """Divide by the standard deviation (entries that never varied: by 1) and clip.

        Args:
            value: an observation or a reward.
            statistics: an element of the monoid; where it is empty the value is returned as it is.
            clip: the greatest absolute value of the result.
            centre: whether to subtract the mean.
        """
        read = self.moments.read(statistics, None)
        mean, variance = read.mean.astype(value.dtype), read.variance.astype(value.dtype)
        scale = jnp.where(variance > 0, jnp.sqrt(variance + EPSILON), 1.0)
        centred = value - mean if centre else value
        return jnp.where(read.count > 0, jnp.clip(centred / scale, -clip, clip), value)

    def absorb(
        self, params: Normalised[Params], states: Wrapped[State, Gathered[Carried]]
    ) -> tuple[Normalised[Params], Wrapped[State, Gathered[Carried]]]:
        """Merge what a batch of states gathered into the parameters, and empty the states.

        The merge is the monoid's, so it neither forgets nor weights: up to rounding the result is
        that of all values at once, whatever their order and however they were spread over lanes.

        Args:
            params: see `default_params`.
            states: states with any number of leading axes.

        Returns:
            `(params, states)`. On several devices gather the states' statistics first.
        """
        nothing = self.moments.identity()
        lanes = jax.tree.map(_one_axis, states.own.statistics, nothing)
        merged = self.moments.combine(params.statistics, _reduce(self.moments, lanes))
        empty = jax.tree.map(_filled, states.own.statistics, nothing)
        own = Gathered(empty, states.own.running)
        return Normalised(params.inner, merged), Wrapped(states.inner, own)


def absorb(
    env: AbstractEnvironment[State, Params], params: Params, states: State
) -> tuple[Params, State]:
    """Absorb the statistics of every normalising wrapper of an environment.

    Args:
        env: an environment, wrapped or not.
        params: its parameters.
        states: a batch of its states, with any number of leading axes.

    Returns:
        `(params, states)`; unchanged where nothing normalises.

    Example:
        >>> import jax, memoalg as ma
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> from memoalg.envs import NormaliseObservation, absorb
        >>> env = NormaliseObservation(PositionOnlyCartPole(), ma.Moments(2))
        >>> params, keys = env.default_params(), jax.random.split(jax.random.key(0), 8)
        >>> obs, states = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
        >>> params, states = absorb(env, params, states)
        >>> int(params.statistics[0])
        8
    """
    if not isinstance(env, AbstractWrapper):
        return params, states
    inside = env.inner_params(params), env.inner_state(states)
    inner_params, inner_states = absorb(env.env, *inside)
    outer: Any = (
        _with_inner(params, inside[0], inner_params),
        _with_inner(states, inside[1], inner_states),
    )
    return cast(Any, env.absorb(*outer)) if isinstance(env, AbstractNormaliser) else outer


def check_moments(moments: MomentsMonoid, shape: tuple[int, ...], what: str) -> None:
    """Refuse a monoid that is none, or of another shape than the values.

    Raises:
        TypeError: there is no `identity`, `expand`, `combine` or `read`.
        ValueError: the shape of its elements is another.
    """
    if isinstance(moments, type) or not isinstance(moments, MomentsMonoid):
        raise TypeError(f"{what} takes moments=memoalg.Moments({shape}), got {moments!r}")
    nothing = shape_of(moments.identity())
    one = jax.eval_shape(moments.expand, jax.ShapeDtypeStruct(shape, jnp.result_type(float)))
    if difference := first_difference(one, nothing):
        raise ValueError(
            f"{what}: the moments do not fit values of shape {shape} ({difference}); write "
            f"moments=memoalg.Moments({shape})"
        )


def _with_inner(outer: Any, old: Any, new: Any) -> Any:
    """`outer` with `new` in the place of `old`: itself, or its field `inner`."""
    return new if old is outer else dataclasses.replace(outer, inner=new)


def _one_axis(leaf: Array, like: Array) -> Array:
    """All leading axes as one."""
    lanes = math.prod(leaf.shape[: leaf.ndim - like.ndim])
    return leaf.reshape((lanes, *like.shape))


def _filled(leaf: Array, like: Array) -> Array:
    return jnp.broadcast_to(like, leaf.shape)


def _reduce(moments: MomentsMonoid, lanes: PyTree[Array]) -> PyTree[Array]:
    """All lanes in one, by halves: rounding grows with the logarithm of their number."""
    count = jax.tree.leaves(lanes)[0].shape[0]
    while count > 1:
        half = count // 2
        first, second, rest = (
            jax.tree.map(lambda leaf, a=a, b=b: leaf[a:b], lanes)
            for a, b in ((0, half), (half, 2 * half), (2 * half, count))
        )
        merged = jax.vmap(moments.combine)(first, second)
        lanes = jax.tree.map(_join, merged, rest)
        count -= half
    return jax.tree.map(_only, lanes)


def _join(first: Array, second: Array) -> Array:
    return jnp.concatenate([first, second])


def _only(leaf: Array) -> Array:
    return leaf[0]
