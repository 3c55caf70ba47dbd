"""Mistakes in combinators."""

# A subclass of a module is built by its base's __init__, which a checker of dataclasses does not see.
# pyright: reportCallIssue=false

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from memoalg._tree import tree_where
from memoalg.algebra._buffer import join
from memoalg.algebra._strict import StrictAction
from tests.laws.mutant import Mutant


class _FlagFromTheRight(ma.Resettable):
    def combine(self, left, right):
        return ma.Resettable(self.monoid).combine(left, right)[0], right[1]


class _FlagFromTheLeft(ma.Resettable):
    def combine(self, left, right):
        return ma.Resettable(self.monoid).combine(left, right)[0], left[1]


class _FlagsAnd(ma.Resettable):
    def combine(self, left, right):
        return ma.Resettable(self.monoid).combine(left, right)[0], left[1] & right[1]


class _FlagOnTheWrongSide(ma.Resettable):
    def combine(self, left, right):
        (x, i), (y, j) = left, right
        return self.monoid.combine(tree_where(i, self._inner.identity(), x), y), i | j


class _ResetByMask(ma.Resettable):
    def combine(self, left, right):
        (x, i), (y, j) = left, right

        def masked(leaf, neutral):
            keep = (1 - j.astype(leaf.dtype)).astype(leaf.dtype)
            return leaf * keep + neutral * (1 - keep)

        kept = jax.tree.map(masked, x, self._inner.identity())
        return self.monoid.combine(kept, y), i | j


class _ResetSelectsTheOutput(ma.Resettable):
    def combine(self, left, right):
        (x, i), (y, j) = left, right
        return tree_where(j, y, self.monoid.combine(x, y)), i | j


class _ResetToZeros(ma.Resettable):
    def combine(self, left, right):
        (x, i), (y, j) = left, right
        nothing = jax.tree.map(jnp.zeros_like, x)
        return self.monoid.combine(tree_where(j, nothing, x), y), i | j


class _ResetOneLeaf(ma.Resettable):
    def combine(self, left, right):
        ((a, b), i), (y, j) = left, right
        kept = a, tree_where(j, jnp.zeros_like(b), b)
        return self.monoid.combine(kept, y), i | j


class _ResetNotInAct(ma.Resettable):
    def act(self, state, element):
        return self._inner.act(state, element[0])


class _ResetAfterTheStep(ma.Resettable):
    def advance(self, state, generator):
        described, start = generator
        return tree_where(start, self._inner.initial_state(), self._inner.advance(state, described))


class _ReversedFactors(ma.DirectProduct):
    def combine(self, left, right):
        products = zip(reversed(self.factors), left, right, strict=True)
        return tuple(m.combine(x, y) for m, x, y in products)


class _FirstFactorOnly(ma.DirectProduct):
    def combine(self, left, right):
        return self.factors[0].combine(left[0], right[0]), left[1]


class _ActOfTheFirst(ma.DirectProduct):
    def act(self, state, element):
        return self._monoids[0].act(state[0], element[0]), state[1]


class _EmbedSwapped(ma.DirectProduct):
    def embed(self, state):
        return state[1], state[0]


class _DecayLost(ma.SemidirectProduct):
    def combine(self, left, right):
        return self.acting.combine(left[0], right[0]), self.base.combine(left[1], right[1])


class _DecayOfTheLeft(ma.SemidirectProduct):
    def combine(self, left, right):
        (a, b), (a_later, b_later) = left, right
        return self.acting.combine(a, a_later), self.base.combine(self.action(b, a), b_later)


class _DecayOnTheLater(ma.SemidirectProduct):
    def combine(self, left, right):
        (a, b), (a_later, b_later) = left, right
        return self.acting.combine(a, a_later), self.base.combine(b, self.action(b_later, a))


class _DecayOutside(ma.SemidirectProduct):
    def combine(self, left, right):
        (a, b), (a_later, b_later) = left, right
        moved = self.action(self.base.combine(b, b_later), a_later)
        return self.acting.combine(a, a_later), moved


class _ActingLost(ma.SemidirectProduct):
    def combine(self, left, right):
        return right[0], self.act(left[1], right)


class _ProjectsTheActing(ma.SemidirectProduct):
    def project(self, element):
        return element[0]


class _ForgetsToEmbed(ma.SemidirectProduct):
    def embed(self, state):
        return self.identity()


class _InverseWithoutAction(ma.SemidirectProduct):
    pass


@ma.inverse.register
def _(monoid: _InverseWithoutAction, element):
    return ma.inverse(monoid.acting, element[0]), ma.inverse(monoid.base, element[1])


class _MapsOneOperand(ma.Map):
    def combine(self, left, right):
        backward = self.isomorphism.backward
        return self.isomorphism.forward(self.monoid.combine(backward(left), right))


class _MapKeepsTheIdentity(ma.Map):
    def identity(self):
        return self.monoid.identity()


class _MapActsUnmapped(ma.Map):
    def act(self, state, element):
        return self.monoid.act(state, element)


class _DualOfOneLeaf(ma.Dual):
    def combine(self, left, right):
        return self.monoid.combine((right[0], left[1]), (left[0], right[1]))


class _DualActsUndualled(ma.Dual):
    def act(self, state, element):
        return self.monoid.combine(state, element)


class _MixedHeads(ma.Power):
    def combine(self, left, right):
        rolled = jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), right)
        return self._each(self.monoid.combine, left, rolled)


class _PowerOverTheWrongAxis(ma.Power):
    def combine(self, left, right):
        return jax.vmap(self.monoid.combine, in_axes=1, out_axes=1)(left, right)


class _OneDecayForAll(ma.Power):
    def combine(self, left, right):
        shared = jnp.broadcast_to(right[0][:1], right[0].shape)
        return left[0] * right[0], shared * left[1] + right[1]


class _ValidAnd(ma.WithIdentity):
    def combine(self, left, right):
        return ma.WithIdentity(self.semigroup).combine(left, right)[0], left[1] & right[1]


class _CombinesJunk(ma.WithIdentity):
    def combine(self, left, right):
        return self.semigroup.combine(left[0], right[0]), left[1] | right[1]


class _ValidByMask(ma.WithIdentity):
    def combine(self, left, right):
        (x, v), (y, w) = left, right

        def masked(a, b, both):
            one, other = v.astype(a.dtype), w.astype(a.dtype)
            return one * other * both + one * (1 - other) * a + (1 - one) * other * b

        return jax.tree.map(masked, x, y, self.semigroup.combine(x, y)), v | w


class _TakesTheEarlier(ma.WithIdentity):
    def combine(self, left, right):
        (x, v), (y, w) = left, right
        return tree_where(v & w, self.semigroup.combine(x, y), x), v | w


class _WindowKeepsOneMore(ma.Window):
    def combine(self, left, right):
        (earlier, count), (later, later_count) = left, right
        together = jnp.minimum(count + later_count, self.size + 1)
        return join(earlier, later, jnp.minimum(later_count, self.size), self.size), together


class _WindowMisaligned(ma.Window):
    def combine(self, left, right):
        (earlier, count), (later, later_count) = left, right
        together = jnp.minimum(count + later_count, self.size)
        return join(earlier, later, count, self.size), together


class _WindowCombinesSlots(ma.Window):
    def combine(self, left, right):
        products = jax.vmap(self.monoid.combine)(left[0], right[0])
        return products, jnp.minimum(left[1] + right[1], self.size)


class _WindowOldestFirst(ma.Window):
    def combine(self, left, right):
        return ma.Window(self.monoid, self.size).combine(right, left)


class _TangentOfTheRight(ma.Tangent):
    def combine(self, left, right):
        still = jax.tree.map(jnp.zeros_like, left[1])
        return ma.Tangent(self.monoid, self.directions).combine((left[0], still), right)


class _TangentsAdded(ma.Tangent):
    def combine(self, left, right):
        value = self.monoid.combine(left[0], right[0])
        return value, jax.tree.map(jnp.add, left[1], right[1])


class _TangentOfOne(ma.Tangent):
    def identity(self):
        value, tangent = ma.Tangent(self.monoid, self.directions).identity()
        return value, jax.tree.map(jnp.ones_like, tangent)


class _PlainZero(ma.algebra.Strict):
    def combine(self, left, right):
        return self.monoid.combine(left, right)


class _ZeroSelectedAfter(ma.algebra.Strict):
    def combine(self, left, right):
        either = self.is_zero(left) | self.is_zero(right)
        product = self.monoid.combine(left, right)
        return tree_where(either, jnp.full_like(product, self.value), product)


class _ForgetsToZero(StrictAction):
    def __call__(self, base, acting):
        moved = self.action(base, acting)
        return tree_where(self.acting.is_zero(acting), jnp.zeros_like(moved), moved)


class _LeakyStrictAction(StrictAction):
    def __call__(self, base, acting):
        return self.action(base, acting)


class _RegularActsFromTheLeft(ma.Regular):
    def act(self, state, element):
        return self.combine(element, state)


def _strict_max(action):
    acting = ma.algebra.Strict(ma.Add(2), -np.inf)
    return ma.SemidirectProduct(acting, ma.Max(2), action(ma.shift, acting, ma.Max(2)))


def _strict_affine():
    acting = ma.algebra.Strict(ma.Multiply(2), 0.0)
    action = _LeakyStrictAction(ma.multiply, acting, ma.Add(2))
    return ma.SemidirectProduct(acting, ma.Add(2), action)


def _isometries(kind):
    return kind(ma.Rotation(2), ma.Add((3, 2)), ma.matmul)


def _log1p(x):
    return jnp.log1p(x)


def _exp(x):
    return jnp.exp(x)


def _log(x):
    return jnp.log(x)


def _square(x):
    return x * x


def _root(x):
    return jnp.sqrt(jnp.abs(x))


COMBINATORS: dict[str, Mutant] = {
    "Resettable: flag right": Mutant(
        lambda: _FlagFromTheRight(ma.Affine(2)), "the flag is taken from the later operand"
    ),
    "Resettable: flag left": Mutant(
        lambda: _FlagFromTheLeft(ma.Affine(2)), "the flag is taken from the earlier operand"
    ),
    "Resettable: flags and": Mutant(lambda: _FlagsAnd(ma.Affine(2)), "flags are joined by and"),
    "Resettable: wrong side": Mutant(
        lambda: _FlagOnTheWrongSide(ma.Affine(2)), "the earlier operand's flag resets"
    ),
    "Resettable: mask, infinite": Mutant(
        lambda: _ResetByMask(ma.Max(2)), "an arithmetic mask on an infinite identity"
    ),
    "Resettable: mask": Mutant(
        lambda: _ResetByMask(ma.Affine(2)), "an arithmetic mask: 0 times NaN is NaN"
    ),
    "Resettable: output": Mutant(
        lambda: _ResetSelectsTheOutput(ma.Affine(2)),
        "the output is selected: NaN before a start stays in the gradient after it",
    ),
    "Resettable: zeros": Mutant(lambda: _ResetToZeros(ma.Max(2)), "a start leaves zeros"),
    "Resettable: one leaf": Mutant(lambda: _ResetOneLeaf(ma.Affine(2)), "the decay is kept"),
    "Resettable: act": Mutant(lambda: _ResetNotInAct(ma.Affine(2)), "act ignores the start"),
    "Resettable: advance": Mutant(
        lambda: _ResetAfterTheStep(ma.Affine(2)), "advance resets after the step, not before"
    ),
    "DirectProduct: reversed": Mutant(
        lambda: _ReversedFactors(ma.Add(2), ma.Max(2)), "factors are paired in reverse"
    ),
    "DirectProduct: first": Mutant(
        lambda: _FirstFactorOnly(ma.Add(2), ma.Max(2)), "the second factor keeps the earlier"
    ),
    "DirectProduct: act": Mutant(
        lambda: _ActOfTheFirst(ma.Affine(2), ma.Max(2)), "the second state never changes"
    ),
    "DirectProduct: embed": Mutant(
        lambda: _EmbedSwapped(ma.Add(2), ma.Add(2)), "embed swaps the states"
    ),
    "SemidirectProduct: no decay": Mutant(
        lambda: _DecayLost(ma.Multiply(2), ma.Add(2)), "combine forgets to act"
    ),
    "SemidirectProduct: left decay": Mutant(
        lambda: _DecayOfTheLeft(ma.Multiply(2), ma.Add(2)), "the earlier element acts on itself"
    ),
    "SemidirectProduct: later": Mutant(
        lambda: _DecayOnTheLater(ma.Multiply(2), ma.Add(2)), "the earlier acts on the later"
    ),
    "SemidirectProduct: outside": Mutant(
        lambda: _DecayOutside(ma.Multiply(2), ma.Add(2)), "the sum is decayed, not the past"
    ),
    "SemidirectProduct: acting lost": Mutant(
        lambda: _ActingLost(ma.Multiply(2), ma.Add(2)), "earlier acting parts are lost"
    ),
    "SemidirectProduct: project": Mutant(
        lambda: _ProjectsTheActing(ma.Multiply(2), ma.Add(2)), "project reads the acting part"
    ),
    "SemidirectProduct: embed": Mutant(
        lambda: _ForgetsToEmbed(ma.Multiply(2), ma.Add(2)), "embed loses the state"
    ),
    "SemidirectProduct: inverse": Mutant(
        lambda: _isometries(_InverseWithoutAction),
        "the inverse's base part is not transformed",
        right=lambda: _isometries(ma.SemidirectProduct),
    ),
    "SemidirectProduct: order": Mutant(
        lambda: ma.SemidirectProduct(ma.MatMul(2), ma.Add(2), ma.matvec),
        "columns acted on by MatMul, not by its dual: composed in the wrong order",
    ),
    "SemidirectProduct: not distributive": Mutant(
        lambda: ma.SemidirectProduct(ma.Add(2), ma.Add(2), ma.shift), "a shift acts on sums"
    ),
    "LogAffine: product": Mutant(
        lambda: ma.SemidirectProduct(ma.Add(2), ma.LogSumExp(2), ma.multiply),
        "log decays multiply logarithms",
    ),
    "Map: one operand": Mutant(
        lambda: _MapsOneOperand(ma.Add(2), ma.Isomorphism(_exp, _log)), "right is not mapped back"
    ),
    "Map: identity": Mutant(
        lambda: _MapKeepsTheIdentity(ma.Add(2), ma.Isomorphism(_exp, _log)),
        "the identity is not transported",
    ),
    "Map: act": Mutant(
        lambda: _MapActsUnmapped(ma.Add(2), ma.Isomorphism(_exp, _log)), "act does not map back"
    ),
    "Map: inverse": Mutant(
        lambda: ma.Map(ma.Add(2), ma.Isomorphism(_exp, _log1p)), "log1p does not undo exp"
    ),
    "Map: not one to one": Mutant(
        lambda: ma.Map(ma.Multiply(2), ma.Isomorphism(_square, _root)), "squares lose the sign"
    ),
    "Dual: one leaf": Mutant(lambda: _DualOfOneLeaf(ma.Affine(2)), "roles swapped in one leaf"),
    "Dual: act": Mutant(lambda: _DualActsUndualled(ma.Affine(2)), "act does not swap"),
    "Power: heads": Mutant(lambda: _MixedHeads(ma.Affine(2), 3), "copies meet their neighbours"),
    "Power: axis": Mutant(lambda: _PowerOverTheWrongAxis(ma.MatMul(2), 2), "vmap over axis 1"),
    "Power: shared": Mutant(
        lambda: _OneDecayForAll(ma.Affine(2), 3), "the first decay acts on all"
    ),
    "WithIdentity: flags and": Mutant(lambda: _ValidAnd(ma.Max(2)), "valid only where both are"),
    "WithIdentity: junk": Mutant(lambda: _CombinesJunk(ma.Max(2)), "invalid values take part"),
    "WithIdentity: mask": Mutant(lambda: _ValidByMask(ma.Max(2)), "an arithmetic mask"),
    "WithIdentity: earlier": Mutant(
        lambda: _TakesTheEarlier(ma.Max(2)), "the earlier operand is taken, valid or not"
    ),
    "Window: k + 1": Mutant(lambda: _WindowKeepsOneMore(ma.Affine(2), 3), "counts up to k + 1"),
    "Window: misaligned": Mutant(
        lambda: _WindowMisaligned(ma.Affine(2), 3), "aligned by the earlier operand's count"
    ),
    "Window: slots": Mutant(lambda: _WindowCombinesSlots(ma.Add(2), 3), "slot by slot"),
    "Window: order": Mutant(
        lambda: _WindowOldestFirst(ma.Affine(2), 3), "the earlier is appended to the later"
    ),
    "Tangent: product rule": Mutant(
        lambda: _TangentOfTheRight(ma.Affine(2)), "one term of the product rule is lost"
    ),
    "Tangent: sum": Mutant(lambda: _TangentsAdded(ma.Affine(2)), "tangents are added"),
    "Tangent: identity": Mutant(lambda: _TangentOfOne(ma.Affine(2)), "the identity moves"),
    "Strict: plain": Mutant(
        lambda: _PlainZero(ma.Multiply(2), 0.0), "no select: 0 times NaN is NaN"
    ),
    "Strict: output": Mutant(
        lambda: _ZeroSelectedAfter(ma.Multiply(2), 0.0),
        "selected after the product alone: NaN stays in the gradient",
    ),
    "Strict: entries": Mutant(
        lambda: ma.algebra.Strict(ma.MatMul(2), 0.0), "entries of 0 count for a matrix of zeros"
    ),
    "Strict: value": Mutant(
        lambda: ma.algebra.Strict(ma.Add(2), 0.0), "the zero of products, for sums of logarithms"
    ),
    "StrictAction: zero": Mutant(
        lambda: _strict_max(_ForgetsToZero),
        "a start leaves 0, not minus infinity",
        right=lambda: _strict_max(StrictAction),
    ),
    "StrictAction: leaks": Mutant(_strict_affine, "no select: 0 times NaN is NaN"),
    "Regular: act": Mutant(lambda: _RegularActsFromTheLeft(ma.MatMul(2)), "act swaps the operands"),
}
"""By `class: mistake`; what is built is given to `ma.laws.check`."""
