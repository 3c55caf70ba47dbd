"""A derivative written by hand, in both modes and to every order.

`jax.custom_vjp` has no forward mode and `jax.custom_jvp` leaves the reverse mode to JAX, which
transposes the tangent program and stores what that needs. Here a rule gives both: its tangent program
becomes one primitive, linear in the tangents, whose transpose is the rule's adjoint program. Derivatives
of derivatives differentiate the two programs.

The primitive is batched by the rule, too: `jax.vmap` of a loop puts the batch axis of what the loop
indexes first, which is a transposed copy of it.
"""

import abc
import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from .._tree import as_varying, split_inexact, varying_axes
from .._typing import TreeDef

SHARED = -1


class Axes(NamedTuple):
    """Where the batch axes are: 0, or 1 after time; `SHARED` where an operand has none.

    Attributes:
        structures: of (operands, kept) and of the moving outputs.
        held: of each leaf of (operands, kept).
        outputs: of each moving output.
    """

    structures: tuple[TreeDef, TreeDef]
    held: tuple[int, ...]
    outputs: tuple[int, ...]

    def trees(self) -> tuple[PyTree, PyTree, PyTree]:
        """Axes of operands, of what is kept, and of the moving outputs, as pytrees like them."""
        operands, kept = jax.tree.unflatten(self.structures[0], self.held)
        return operands, kept, jax.tree.unflatten(self.structures[1], self.outputs)


class AbstractPrograms(eqx.Module):
    """The tangent and the adjoint program of a computation.

    Operands and outputs are pytrees; "moving" is what of them is inexact, with None in place of the
    rest. `kept` is what the computation has stored. All arrays are arguments: fields are static.
    """

    @abc.abstractmethod
    def tangent(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        """Tangents of the moving outputs from those of the moving operands."""

    @abc.abstractmethod
    def adjoint(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        """Cotangents of the moving operands from those of the moving outputs."""

    def batched(self, axes: Axes) -> "AbstractPrograms":
        """The programs for a batch. Default: by `jax.vmap`."""
        return _Batched(self, axes)


class AbstractRule(AbstractPrograms):
    """A computation with its two programs."""

    @abc.abstractmethod
    def primal(self, operands: PyTree) -> PyTree:
        """The outputs."""

    @abc.abstractmethod
    def forward(self, operands: PyTree) -> tuple[PyTree, PyTree]:
        """The outputs, and what is kept for the two programs besides the operands."""

    @abc.abstractmethod
    def timed(self, operands: PyTree, kept: PyTree, outputs: PyTree) -> tuple:
        """For each leaf of the three whether its first axis is time: a batch axis comes after it."""


class _Batched(AbstractPrograms):
    """Programs for a batch, by `jax.vmap`; what all share gets the sum of what its members get."""

    programs: AbstractPrograms
    axes: Axes = eqx.field(static=True)

    def tangent(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        operand_axes, kept_axes, output_axes = self.axes.trees()
        own = _moving_axes(operand_axes, operands)
        into = jax.tree.map(_vmap_axis, (operand_axes, kept_axes, own))
        run = jax.vmap(self.programs.tangent, in_axes=into, out_axes=output_axes)
        return run(operands, kept, moving)

    def adjoint(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        trees = self.axes.trees()
        into = jax.tree.map(_vmap_axis, trees)
        bars = jax.vmap(self.programs.adjoint, in_axes=into)(operands, kept, moving)

        def placed(axis: int, bar: Array) -> Array:
            return jnp.sum(bar, 0) if axis == SHARED else jnp.moveaxis(bar, 0, axis)

        return jax.tree.map(placed, _moving_axes(trees[0], operands), bars)


def _moving_axes(axes: PyTree, operands: PyTree) -> PyTree:
    """The axes of the moving operands."""
    return jax.tree.map(lambda axis, x: axis if _is_moving(x) else None, axes, operands)


def _is_moving(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _vmap_axis(axis: int) -> int | None:
    return None if axis == SHARED else axis


def alike(flag: bool, tree: PyTree) -> PyTree:
    """The flag for every leaf: what `timed` is made of."""
    return jax.tree.map(lambda _: flag, tree)


def differentiable(rule: AbstractRule, operands: PyTree) -> PyTree:
    """The outputs of a rule, differentiated by it."""
    call = jax.custom_jvp(functools.partial(_primal, rule))
    call.defjvp(functools.partial(_rule_jvp, rule))
    return call(*split_inexact(operands))


def _primal(rule: AbstractRule, moving: PyTree, still: PyTree) -> PyTree:
    return rule.primal(eqx.combine(moving, still))


def _rule_jvp(rule: AbstractRule, primals: tuple, tangents: tuple) -> tuple[PyTree, PyTree]:
    operands = eqx.combine(*primals)
    outputs, kept = rule.forward(operands)
    timed = rule.timed(operands, kept, outputs)
    sides = _Side.of(operands, timed[0]), _Side.of(outputs, timed[2])
    held, structure = jax.tree.flatten((operands, kept))
    dots = jax.tree.leaves(tangents[0])
    axes = varying_axes([*held, *dots])
    found = _linear_p.bind(
        *as_varying([*held, *dots], axes),
        linear=_Linear(rule, structure, tuple(jax.tree.leaves(timed[:2])), sides, True),
        outputs=tuple(_aval(leaf, axes) for leaf in jax.tree.leaves(split_inexact(outputs)[0])),
    )
    dots = jax.tree.unflatten(sides[1].structure, found)
    return outputs, jax.tree.map(_or_zero, outputs, dots, is_leaf=lambda x: x is None)


def _or_zero(output: Array, dot: Array | None) -> Any:
    """Tangents of what is not inexact have no values."""
    if dot is not None:
        return dot
    return as_varying(np.zeros(output.shape, jax.dtypes.float0), varying_axes(output))


def _aval(leaf: Array, axes: frozenset) -> ShapedArray:
    aval = jax.typeof(leaf)
    varying = aval.manual_axis_type.update(varying=axes)
    return aval.update(weak_type=False, manual_axis_type=varying)


# ---- the linear program as a primitive -------------------------------------------------------------


class _Side(NamedTuple):
    """The moving part of the operands or of the outputs.

    Attributes:
        structure: of the moving part.
        places: which leaves of the whole are moving.
        timed: which of these begin with time.
    """

    structure: TreeDef
    places: tuple[int, ...]
    timed: tuple[bool, ...]

    @staticmethod
    def of(whole: PyTree, timed: PyTree) -> "_Side":
        leaves, flags = jax.tree.leaves(whole), jax.tree.leaves(timed)
        places = tuple(i for i, x in enumerate(leaves) if _is_moving(x))
        structure = jax.tree.structure(split_inexact(whole)[0])
        return _Side(structure, places, tuple(flags[i] for i in places))


class _Linear(NamedTuple):
    """The program of a primitive, which is linear in what comes after what it holds.

    Attributes:
        rule: whose it is.
        structure: of what is held: operands and kept.
        held: which leaves of that begin with time.
        sides: of the operands and of the outputs.
        forwards: the tangent program, from operands to outputs; otherwise the adjoint, back.
    """

    rule: AbstractPrograms
    structure: TreeDef
    held: tuple[bool, ...]
    sides: tuple[_Side, _Side]
    forwards: bool

    def __call__(self, held: tuple, moving: tuple) -> tuple[Array, ...]:
        operands, kept = jax.tree.unflatten(self.structure, held)
        program = self.rule.tangent if self.forwards else self.rule.adjoint
        given = jax.tree.unflatten(self.into.structure, moving)
        return tuple(jax.tree.leaves(program(operands, kept, given)))

    @property
    def into(self) -> _Side:
        return self.sides[0 if self.forwards else 1]

    @property
    def out_of(self) -> _Side:
        return self.sides[1 if self.forwards else 0]

    def split(self, leaves: tuple) -> tuple[tuple, tuple]:
        count = len(self.held)
        return leaves[:count], leaves[count:]


_linear_p = Primitive("memoalg_linear")
_linear_p.multiple_results = True


def _run(*leaves: Array, linear: _Linear, outputs: tuple) -> list[Array]:
    del outputs
    return list(linear(*linear.split(leaves)))


def _shapes(*leaves: Any, linear: _Linear, outputs: tuple) -> list[ShapedArray]:
    del leaves, linear
    return list(outputs)


def _jvp(primals: tuple, tangents: tuple, *, linear: _Linear, outputs: tuple) -> tuple:
    """Linear in what comes after what is held; in that, whatever the program is."""
    found = _linear_p.bind(*primals, linear=linear, outputs=outputs)
    held, moving = linear.split(primals)
    held_dots, moving_dots = linear.split(tangents)
    dots = [ad.Zero(aval.to_tangent_aval()) for aval in outputs]
    if any(type(dot) is not ad.Zero for dot in moving_dots):
        instantiated = [ad.instantiate_zeros(dot) for dot in moving_dots]
        dots = _linear_p.bind(*held, *instantiated, linear=linear, outputs=outputs)
    places = [i for i, dot in enumerate(held_dots) if type(dot) is not ad.Zero]
    if places:

        def of_held(*some: Array) -> tuple[Array, ...]:
            changed = dict(zip(places, some, strict=True))
            return linear(tuple(changed.get(i, leaf) for i, leaf in enumerate(held)), moving)

        _, more = jax.jvp(of_held, [held[i] for i in places], [held_dots[i] for i in places])
        dots = [ad.instantiate_zeros(a) + b for a, b in zip(dots, more, strict=True)]
    return found, dots


def _transpose(bars: list, *leaves: Any, linear: _Linear, outputs: tuple) -> list:
    del outputs
    held, moving = linear.split(leaves)
    wanted = [leaf.aval for leaf in moving]
    none = [None] * len(held)
    if all(type(bar) is ad.Zero for bar in bars):
        return none + [ad.Zero(aval) for aval in wanted]
    found = _linear_p.bind(
        *held,
        *(ad.instantiate_zeros(bar) for bar in bars),
        linear=linear._replace(forwards=not linear.forwards),
        outputs=tuple(wanted),
    )
    return none + list(found)


def _batch(leaves: tuple, axes: tuple, *, linear: _Linear, outputs: tuple) -> tuple[list, list]:
    """By the programs, which are told where the batch axes are."""
    size = next(x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not None)
    operands, _ = jax.tree.unflatten(linear.structure, linear.split(leaves)[0])
    flags = _batched_operands(linear, axes, len(jax.tree.leaves(operands)))
    given = [not linear.forwards or flags[place] for place in linear.into.places]
    kept = [True] * (len(linear.held) - len(flags))
    places = [
        int(timed) if flag else SHARED
        for timed, flag in zip(
            [*linear.held, *linear.into.timed], [*flags, *kept, *given], strict=True
        )
    ]
    held, _ = linear.split(tuple(places))
    results = tuple(int(timed) for timed in linear.sides[1].timed)
    batch_axes = Axes((linear.structure, linear.sides[1].structure), held, results)
    widened = [_widened(*each, size) for each in zip(leaves, axes, places, strict=True)]
    out_axes = [int(timed) for timed in linear.out_of.timed]
    found = _linear_p.bind(
        *widened,
        linear=linear._replace(rule=linear.rule.batched(batch_axes)),
        outputs=tuple(
            _with_axis(aval, place, size) for aval, place in zip(outputs, out_axes, strict=True)
        ),
    )
    return found, out_axes


def _with_axis(aval: ShapedArray, place: int, size: int) -> ShapedArray:
    """With one more axis, which is not sharded; under `shard_map` a type needs its mesh."""
    mesh, spec = aval.sharding.mesh, aval.sharding.spec
    sharding = NamedSharding(mesh, PartitionSpec(*spec[:place], None, *spec[place:]))
    return aval.update(shape=(*aval.shape[:place], size, *aval.shape[place:]), sharding=sharding)


def _batched_operands(linear: _Linear, axes: tuple, count: int) -> list[bool]:
    """Which operands have a batch axis.

    Those that have one or whose tangent has; backwards all that move, since each member has its own
    result; and all without a time axis: a loop would add up over the batch at every step what it
    accumulates for them.
    """
    held_axes, moving_axes = linear.split(axes)
    flags = [axis is not None for axis in held_axes[:count]]
    for number, place in enumerate(linear.sides[0].places):
        flags[place] |= not linear.forwards or moving_axes[number] is not None
    return [flag or not timed for flag, timed in zip(flags, linear.held, strict=False)]


def _widened(leaf: Array, axis: int | None, place: int, size: int) -> Array:
    if place == SHARED:
        return leaf
    if axis is not None:
        return jnp.moveaxis(leaf, axis, place)
    shape = (*leaf.shape[:place], size, *leaf.shape[place:])
    return jnp.broadcast_to(jnp.expand_dims(leaf, place), shape)


_linear_p.def_impl(_run)
_linear_p.def_abstract_eval(_shapes)
ad.primitive_jvps[_linear_p] = _jvp
ad.primitive_transposes[_linear_p] = _transpose
batching.primitive_batchers[_linear_p] = _batch
mlir.register_lowering(_linear_p, mlir.lower_fun(_run, multiple_results=True))
