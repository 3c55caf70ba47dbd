"""Elementwise recurrences in one GPU kernel forward and one backward."""

from typing import Any, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int8, PyTree

from ..algebra import AbstractMonoid
from ..algebra._fixed import Fixed, is_fixed
from ._associative import Associative
from ._factors import run_of
from ._kernel_body import Problem
from ._kernel_call import BackEndName, Settings
from ._kernel_forms import factors_of, recurrence_of
from ._kernel_recurrence import AbstractRecurrence, Parts
from ._kernel_vjp import Inputs, Run
from ._method import AbstractMethod, length_of


class Kernel(AbstractMethod):
    r"""Elementwise recurrences in one pass over the data forward and one backward, on an NVIDIA GPU.

    It knows the semidirect products of `Multiply` on `Add` ([`memoalg.Affine`][], real or complex), of
    `Add` on `Max` or `Min` by `shift`, and of `Add` on `LogSumExp` ([`memoalg.LogAffine`][]); the strict
    forms into which [`memoalg.simplify`][] folds resets; and products and powers of them. The acting
    part may be [`memoalg.Fixed`][], and may have fewer axes than the base (it is then repeated). Any
    other monoid is run by `Associative`.

    A program of the GPU runs one member of the batch and up to 128 entries through all of time, with the
    state in registers. Forward it reads a and u and writes h, backward it reads a, h and the cotangent
    and writes two more: 8 passes, the least there can be; for a fixed a, 5. A batch is folded into the
    grid of programs whichever axis `jax.vmap` is given. Numbers of 16 bits are added up in float32.
    Complex numbers are taken apart and put together again around the kernel, which is free only where
    the compiler can join it to what stands before and after. On other platforms the same step runs in a
    `lax.scan`. Reverse mode only: use `Associative()` under `jax.jvp` and `jax.jacfwd`.

    Arguments:
        back_end: `"mosaic"` (Pallas Mosaic GPU, compute capability 9.0 and above), `"triton"` (Pallas
            Triton, any NVIDIA GPU, deprecated in JAX), or `"auto"`: the first of them that the
            GPU has for which the program is lowered. Where that GPU is not known (`jax.export`)
            `"auto"` is Triton.
        chunks: parts into which time is cut, which then run side by side at the price of reading the
            inputs twice; None cuts long sequences of small batches, 1 none.
        interpret: run the kernel of `"triton"` in its interpreter, on any platform: slow, to test it.

    Raises:
        ValueError: where `back_end` is no name of a back end, `chunks` is not positive, or `interpret`
            is asked for with another back end than `"triton"`; when a program is lowered, where
            `"mosaic"` does not know its GPU or would have to compute in float64.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> generators = ma.Fixed(jnp.array([0.5, 1.0])), jnp.ones((3, 2))
        >>> last, states = ma.trajectory(
        ...     ma.Affine(2), jnp.zeros(2), generators, None, method=ma.Kernel())
        >>> print(states[:, 0], states[:, 1])
        [1.   1.5  1.75] [1. 2. 3.]
    """

    back_end: BackEndName = eqx.field(static=True, default="auto")
    chunks: int | None = eqx.field(static=True, default=None)
    interpret: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.back_end not in get_args(BackEndName):
            raise ValueError(
                f"Kernel: back_end is one of {get_args(BackEndName)}, got {self.back_end!r}"
            )
        if self.chunks is not None and (not isinstance(self.chunks, int) or self.chunks < 1):
            raise ValueError(f"Kernel: chunks is a positive int or None, got {self.chunks!r}")
        if self.interpret and self.back_end != "triton":
            # The interpreter of Mosaic has side effects, which a custom_vjp may not have.
            raise ValueError(
                f'Kernel: interpret is for back_end="triton", got {self.back_end!r}: write that'
            )

    def run(
        self,
        monoid: AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        by_factor = run_of(monoid)
        if by_factor is not None:
            return by_factor(
                self.run, monoid, state, generators, resets, initial_state, queries, reverse
            )
        length = length_of(generators, resets)
        if length == 0 or not is_known(monoid):
            return Associative().run(
                monoid, state, generators, resets, initial_state, queries, reverse
            )
        # Without resets it is not used. The monoids' own one is what `join` leaves alone.
        initial = None if resets is None else initial_state
        flags = None if resets is None else resets.astype(jnp.int8)
        settings = Settings(self.back_end, self.chunks, self.interpret)
        acting, base = _items(generators, 2)
        known = _Known(settings, length, flags, reverse)
        last, states = known.run(monoid, state, acting, base, initial)
        return last, states if queries is None else jax.vmap(monoid.read)(states, queries)


def is_known(monoid: AbstractMonoid) -> bool:
    """Whether `Kernel` has a kernel for a monoid; products and powers aside, which it takes apart."""
    factors = factors_of(monoid)
    if factors is not None:
        return all(map(is_known, factors[0]))
    return recurrence_of(monoid) is not None


class _Known(NamedTuple):
    """A trajectory of a monoid that is known."""

    settings: Settings
    length: int
    flags: Int8[Array, " time"] | None
    reverse: bool

    def run(
        self, monoid: Any, state: PyTree, acting: PyTree, base: PyTree, initial: PyTree | None
    ) -> tuple[PyTree, PyTree]:
        """(last state, states)."""
        recurrence, factors = recurrence_of(monoid), factors_of(monoid)
        if recurrence is not None:
            return self._run_one(recurrence, state, acting, base, initial)
        assert factors is not None
        products, acting_of = factors
        size = len(products)
        initials = (None,) * size if initial is None else initial
        own = [acting_of(acting, place) for place in range(size)]
        given = zip(products, state, own, _items(base, size), initials, strict=True)
        results = [self.run(*one) for one in given]
        return tuple(last for last, _ in results), tuple(states for _, states in results)

    def _run_one(
        self, recurrence: AbstractRecurrence, state: Array, acting: Any, base: Any, initial: Any
    ) -> tuple[Array, Array]:
        fixed = is_fixed(acting)
        a = _aligned(acting.value if fixed else acting, state, 0 if fixed else 1)
        if is_fixed(base):
            base = jnp.broadcast_to(base.value, (self.length, *jnp.shape(base.value)))
        u = _parts(_full(base, state))
        inputs = Inputs(_parts(a), u, _parts(state), () if initial is None else _parts(initial))
        flagged, has_initial = self.flags is not None, initial is not None
        problem = Problem(recurrence, len(inputs.acting), len(u), fixed, flagged, has_initial)
        run = Run(problem, self.settings, self.reverse)
        last, states = run.states(inputs, self.flags)
        return _joined(last), _joined(states)


def _items(node: Any, size: int) -> tuple:
    """The items of a tuple; of a fixed tuple, fixed."""
    return tuple(Fixed(node.value[i]) for i in range(size)) if is_fixed(node) else node


def _aligned(a: Array, state: Array, leading: int) -> Array:
    """`a`, repeated on the axes of the state that it does not have: the last ones."""
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        a = a.astype(state.real.dtype)
    shape = (*a.shape[:leading], *state.shape)
    if a.shape == shape:
        return a
    return jnp.broadcast_to(a.reshape(a.shape + (1,) * (len(shape) - a.ndim)), shape)


def _full(u: Array, state: Array) -> Array:
    """`u` in the state's dtype, repeated as `+` would."""
    u = u.astype(state.dtype)
    shape = (u.shape[0], *state.shape)
    if u.shape == shape:
        return u
    ones = (1,) * (len(shape) - u.ndim)
    return jnp.broadcast_to(u.reshape(u.shape[:1] + ones + u.shape[1:]), shape)


def _parts(x: Array) -> Parts:
    """The real and the imaginary part, of a complex array."""
    return (x.real, x.imag) if jnp.issubdtype(x.dtype, jnp.complexfloating) else (x,)


def _joined(parts: Parts) -> Array:
    return parts[0] if len(parts) == 1 else jax.lax.complex(*parts)
