"""Mistakes in ground monoids of arrays: sums, maxima, flags, counters, moments, buffers."""

# A subclass of a module is built by its base's __init__, which a checker of dataclasses does not see.
# pyright: reportCallIssue=false, reportArgumentType=false

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from memoalg.algebra._buffer import join, push
from tests.laws.mutant import Mutant


class _SumFromOne(ma.Add):
    def identity(self):
        return jnp.ones(self.shape, self.dtype)


class _SumInHalf(ma.Add):
    def combine(self, left, right):
        return (left.astype(jnp.float16) + right.astype(jnp.float16)).astype(self.dtype)


class _Mean(ma.Add):
    def combine(self, left, right):
        return (left + right) / 2


class _SumOfMagnitudes(ma.Add):
    def combine(self, left, right):
        return jnp.abs(left) + jnp.abs(right)


class _SumAdvancedTwice(ma.Add):
    def advance(self, state, generator):
        return state + 2 * generator


class _SumActedOnFromAfar(ma.Add):
    def act(self, state, element):
        return element - state


class _IdempotentSum(ma.Add):
    pass


@ma.is_idempotent.register
def _(monoid: _IdempotentSum) -> bool:
    return True


class _SumWithAZero(ma.Add):
    pass


@ma.has_zero.register
def _(monoid: _SumWithAZero) -> bool:
    return True


@ma.zero.register
def _(monoid: _SumWithAZero):
    return monoid.identity()


class _SumInvertedByItself(ma.Add):
    pass


@ma.inverse.register
def _(monoid: _SumInvertedByItself, element):
    return element


class _SumThatTracks(ma.Add):
    pass


@ma.tracks.register
def _(monoid: _SumThatTracks) -> ma.Tracks:
    return ma.Tracks.ABELIAN


@ma.algebra.group_in.register
def _(monoid: _SumThatTracks):
    return (jnp.ones(monoid.shape, monoid.dtype),)


class _ProductFromZero(ma.Multiply):
    def identity(self):
        return jnp.zeros(self.shape, self.dtype)


class _InvertibleProduct(ma.Multiply):
    pass


@ma.is_invertible.register
def _(monoid: _InvertibleProduct) -> bool:
    return True


@ma.inverse.register
def _(monoid: _InvertibleProduct, element):
    return 1 / element


class _ProductWithZeroOne(ma.Multiply):
    pass


@ma.zero.register
def _(monoid: _ProductWithZeroOne):
    return monoid.identity()


class _MaxFromZero(ma.Max):
    def identity(self):
        return jnp.zeros(self.shape, self.dtype)


class _MaxFromLowest(ma.Max):
    def identity(self):
        return jnp.full(self.shape, jnp.finfo(self.dtype).min, self.dtype)


class _DecayedMax(ma.Max):
    def combine(self, left, right):
        return jnp.maximum(jnp.asarray(0.9, self.dtype) * left, right)


class _MaxOfMagnitudes(ma.Max):
    def combine(self, left, right):
        return jnp.maximum(jnp.abs(left), jnp.abs(right))


class _MinLikeMax(ma.Min):
    def identity(self):
        return jnp.full(self.shape, -jnp.inf, self.dtype)


class _MinOfOneEntry(ma.Min):
    def combine(self, left, right):
        return jnp.where(left[:1] < right[:1], left, right)


class _NaiveLogSumExp(ma.LogSumExp):
    def combine(self, left, right):
        return jnp.log(jnp.exp(left) + jnp.exp(right))


class _UnguardedLogSumExp(ma.LogSumExp):
    def combine(self, left, right):
        largest = jnp.maximum(left, right)
        return largest + jnp.log(jnp.exp(left - largest) + jnp.exp(right - largest))


class _LogSumExpSelectedAfter(ma.LogSumExp):
    def combine(self, left, right):
        largest = jnp.maximum(left, right)
        total = largest + jnp.log(jnp.exp(left - largest) + jnp.exp(right - largest))
        return jnp.where(jnp.isinf(largest), largest, total)


class _LogSumExpFromZero(ma.LogSumExp):
    def identity(self):
        return jnp.zeros(self.shape, self.dtype)


class _LogMeanExp(ma.LogSumExp):
    def combine(self, left, right):
        return jnp.logaddexp(left, right) - jnp.log(jnp.asarray(2, self.dtype))


class _ArgMaxKeepsLeft(ma.ArgMax):
    def combine(self, left, right):
        later = right[0] > left[0]
        return jnp.where(later, right[0], left[0]), jnp.where(later, right[1], left[1])


@ma.is_commutative.register
def _(monoid: _ArgMaxKeepsLeft) -> bool:
    return False


class _ArgMaxKeepsLast(ma.ArgMax):
    def combine(self, left, right):
        (v, i), (w, j) = left, right
        later = (w > v) | ((w == v) & (j > i))
        return jnp.where(later, w, v), jnp.where(later, j, i)


class _ArgMaxOfTheFirst(ma.ArgMax):
    def combine(self, left, right):
        return jnp.maximum(left[0], right[0]), left[1]


class _FirstValidOnTheLeft(ma.First):
    def combine(self, left, right):
        (x, x_valid), (y, _) = left, right
        return jnp.where(x_valid, x, y), x_valid


class _FirstValidBoth(ma.First):
    def combine(self, left, right):
        (x, x_valid), (y, y_valid) = left, right
        return jnp.where(x_valid, x, y), x_valid & y_valid


class _LastByMask(ma.Last):
    def combine(self, left, right):
        (x, x_valid), (y, y_valid) = left, right
        keep = y_valid.astype(self.dtype)
        return y * keep + x * (1 - keep), x_valid | y_valid


class _LastReadsTheWrongFlag(ma.Last):
    def combine(self, left, right):
        (x, x_valid), (y, y_valid) = left, right
        return jnp.where(x_valid, y, x), x_valid | y_valid


class _LastWithoutJunk(ma.Last):
    def canon(self, element):
        return element


class _AnyFromTrue(ma.algebra.Any):
    def identity(self):
        return jnp.ones(self.shape, jnp.bool_)


class _AnyIsXor(ma.algebra.Any):
    def combine(self, left, right):
        return left ^ right


class _AllFromFalse(ma.All):
    def identity(self):
        return jnp.zeros(self.shape, jnp.bool_)


class _AllIsEqual(ma.All):
    def combine(self, left, right):
        return left == right


class _WrappingCount(ma.Count):
    def combine(self, left, right):
        return jnp.minimum(left + right, jnp.iinfo(self.dtype).max)


class _CountFromOne(ma.Count):
    def identity(self):
        return jnp.ones(self.shape, self.dtype)


class _CountModuloEarly(ma.Count):
    def combine(self, left, right):
        return left % 1000 + right


class _FloatCount(ma.AbstractMonoid):
    def identity(self):
        return jnp.zeros((), jnp.float16)

    def combine(self, left, right):
        return left + right


@ma.laws.draw.register
def _(monoid: _FloatCount, source: ma.laws.Source):
    return source.integers((), np.dtype(np.float16), 0, 1000)


class _MomentsWithoutCross(ma.Moments):
    def combine(self, left, right):
        merged = ma.Moments(self.shape, self.dtype).combine(left, right)
        return *merged[:2], left[2] + right[2]


class _MomentsOfMeans(ma.Moments):
    def combine(self, left, right):
        count, mean, deviations = ma.Moments(self.shape, self.dtype).combine(left, right)
        both = (left[0] > 0) & (right[0] > 0)
        return count, jnp.where(both, (left[1] + right[1]) / 2, mean), deviations


class _UnguardedMoments(ma.Moments):
    def combine(self, left, right):
        (n, mean, deviations), (n_later, mean_later, deviations_later) = left, right
        delta, weight = mean_later - mean, n_later / (n + n_later)
        return (
            n + n_later,
            mean + delta * weight,
            deviations + deviations_later + n * weight * delta**2,
        )


class _MomentsAdvanceByNewMean(ma.Moments):
    def advance(self, state, generator):
        n, mean, deviations = state
        delta = generator - mean
        return n + 1, mean + delta / (n + 1), deviations + delta * delta


class _TrackingUnit(ma.Unit):
    pass


@ma.tracks.register
def _(monoid: _TrackingUnit) -> ma.Tracks:
    return ma.Tracks.ABELIAN


class _RecentOfTheLater(ma.Recent):
    def combine(self, left, right):
        both = jnp.concatenate([left[0], right[0]])
        return both[-self.k :], jnp.minimum(left[1] + right[1], self.k)


class _RecentByTheWrongCount(ma.Recent):
    def combine(self, left, right):
        together = jnp.minimum(left[1] + right[1], self.k)
        return join(left[0], right[0], left[1], self.k), together


class _RecentCountsOn(ma.Recent):
    def combine(self, left, right):
        return join(left[0], right[0], right[1], self.k), left[1] + right[1]


class _RecentPushesInFront(ma.Recent):
    def advance(self, state, generator):
        values, count = state
        return jnp.concatenate([generator[None], values[:-1]]), jnp.minimum(count + 1, self.k)


class _RecentExpandsEmpty(ma.Recent):
    def expand(self, generator):
        nothing, none = self.identity()
        return push(nothing, generator), none


class _RecentMeansItsJunk(ma.Recent):
    def combine(self, left, right):
        values = jnp.where(right[1] == 0, left[0], left[0] + right[0])
        return values, jnp.minimum(left[1] + right[1], self.k)


class _DirectionOfMax(ma.AbstractMonoid):
    """NMax as published in code: a decay inside the operator, and zero for an identity."""

    def identity(self):
        return jnp.zeros(3, jnp.float32)

    def combine(self, left, right):
        return jnp.maximum(jnp.float32(0.95) * left, right)


class _DecayedLogSumExp(ma.AbstractMonoid):
    """DLSE as published in code: a decay inside the operator, and the unit matrix for an identity."""

    def identity(self):
        return jnp.eye(2, dtype=jnp.float32)

    def combine(self, left, right):
        return jnp.logaddexp(jnp.float32(0.9) * left, right)


class _AbsoluteTime(ma.AbstractMonoid):
    """FFM with absolute time stamps in place of durations."""

    def identity(self):
        return jnp.zeros((), jnp.int32), jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        (t, x), (u, y) = left, right
        decay = jnp.float32(0.5) ** jnp.maximum(u - t, 0).astype(jnp.float32)
        return jnp.maximum(t, u), decay * x + y


class _Momentum(ma.AbstractMonoid):
    """Exponential averages, with the weight of the new value inside the operator."""

    def identity(self):
        return jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        return jnp.float32(0.9) * left + jnp.float32(0.1) * right


class _Attended(ma.AbstractMonoid):
    """Online softmax (m, l, o) whose weighted values are not rescaled."""

    def identity(self):
        return jnp.full((), -jnp.inf, jnp.float32), jnp.float32(0), jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        (m, total, values), (m_new, total_new, values_new) = left, right
        largest = jnp.maximum(m, m_new)
        shift = jax.lax.stop_gradient(jnp.where(jnp.isneginf(largest), 0, largest))
        kept, added = jnp.exp(m - shift), jnp.exp(m_new - shift)
        return largest, kept * total + added * total_new, kept * values + values_new

    def canon(self, element):
        m, total, values = element
        return jnp.where(total > 0, m, -jnp.inf), total, values


@ma.laws.draw.register
def _(monoid: _Attended, source: ma.laws.Source):
    scores = source.real((), np.dtype(np.float32))
    return scores, np.ones_like(scores), source.real((2,), np.dtype(np.float32))


GROUND: dict[str, Mutant] = {
    "Add: identity one": Mutant(lambda: _SumFromOne(3), "the identity of the sum is 1"),
    "Add: half accumulator": Mutant(lambda: _SumInHalf(3), "float32 sums are formed in float16"),
    "Add: average": Mutant(lambda: _Mean(3), "the mean of both operands"),
    "Add: magnitudes": Mutant(lambda: _SumOfMagnitudes(3), "signs are lost"),
    "Add: advance": Mutant(lambda: _SumAdvancedTwice(3), "advance adds what expand says twice"),
    "Add: act": Mutant(lambda: _SumActedOnFromAfar(3), "act subtracts the state"),
    "Add: idempotent": Mutant(lambda: _IdempotentSum(3), "idempotence is claimed"),
    "Add: zero": Mutant(lambda: _SumWithAZero(3), "0 is claimed to absorb"),
    "Add: inverse": Mutant(lambda: _SumInvertedByItself(3), "inverse forgets the sign"),
    "Add: tracks": Mutant(lambda: _SumThatTracks(3), "a sum is claimed to follow parity"),
    "Add: momentum": Mutant(_Momentum, "weights of an average inside the operator"),
    "Multiply: identity zero": Mutant(lambda: _ProductFromZero(3), "the identity is 0"),
    "Multiply: inverse": Mutant(lambda: _InvertibleProduct(3), "inverses claimed, of 0 too"),
    "Multiply: zero": Mutant(lambda: _ProductWithZeroOne(3), "1 is claimed to absorb"),
    "Max: identity zero": Mutant(lambda: _MaxFromZero(3), "the identity is 0"),
    "Max: identity lowest": Mutant(
        lambda: _MaxFromLowest(3), "the identity is the least finite number, not minus infinity"
    ),
    "Max: decay": Mutant(lambda: _DecayedMax(3), "a decay inside the operator, without a clock"),
    "Max: magnitudes": Mutant(lambda: _MaxOfMagnitudes(3), "signs are lost"),
    "Max: NMax": Mutant(_DirectionOfMax, "NMax: decay inside the operator, identity 0"),
    "Min: identity": Mutant(lambda: _MinLikeMax(3), "the identity of the maximum"),
    "Min: by one entry": Mutant(
        lambda: _MinOfOneEntry(3), "the first entry decides for all (claimed elementwise)"
    ),
    "LogSumExp: naive": Mutant(lambda: _NaiveLogSumExp(3), "log(exp + exp) overflows"),
    "LogSumExp: unguarded": Mutant(lambda: _UnguardedLogSumExp(3), "-inf - (-inf) is NaN"),
    "LogSumExp: one select": Mutant(
        lambda: _LogSumExpSelectedAfter(3), "a single select: the gradient at -inf is NaN"
    ),
    "LogSumExp: identity zero": Mutant(lambda: _LogSumExpFromZero(3), "the identity is log 1"),
    "LogSumExp: mean": Mutant(lambda: _LogMeanExp(3), "the mean of both in place of the sum"),
    "LogSumExp: DLSE": Mutant(_DecayedLogSumExp, "DLSE: decay in the operator, identity eye"),
    "LogSumExp: unscaled values": Mutant(
        _Attended, "online softmax that rescales the earlier values, not the later"
    ),
    "ArgMax: keep left": Mutant(lambda: _ArgMaxKeepsLeft(3), "ties go to the earlier operand"),
    "ArgMax: keep last": Mutant(
        lambda: _ArgMaxKeepsLast(3), "ties go to the larger index, which the identity has"
    ),
    "ArgMax: index of the first": Mutant(lambda: _ArgMaxOfTheFirst(3), "the index is never moved"),
    "First: flag of the left": Mutant(lambda: _FirstValidOnTheLeft(3), "valid is not joined"),
    "First: flags and": Mutant(lambda: _FirstValidBoth(3), "valid only where both are"),
    "Last: mask": Mutant(lambda: _LastByMask(3), "an arithmetic mask in place of a select"),
    "Last: wrong flag": Mutant(lambda: _LastReadsTheWrongFlag(3), "the earlier flag decides"),
    "Last: canon": Mutant(lambda: _LastWithoutJunk(3), "invalid values are told apart"),
    "Any: identity": Mutant(lambda: _AnyFromTrue(3), "the identity is True"),
    "Any: xor": Mutant(lambda: _AnyIsXor(3), "exclusive or (claimed idempotent)"),
    "All: identity": Mutant(lambda: _AllFromFalse(3), "the identity is False"),
    "All: equal": Mutant(lambda: _AllIsEqual(3), "equality (claimed idempotent)"),
    "Count: wraps": Mutant(lambda: _WrappingCount(3), "the minimum is taken after the overflow"),
    "Count: identity": Mutant(lambda: _CountFromOne(3), "an empty memory has seen one"),
    "Count: modulo": Mutant(lambda: _CountModuloEarly(3), "only one operand is reduced"),
    "Count: float": Mutant(_FloatCount, "a counter in float16, which stops at 2048"),
    "Moments: cross term": Mutant(lambda: _MomentsWithoutCross(3), "Chan's cross term is lost"),
    "Moments: weights": Mutant(lambda: _MomentsOfMeans(3), "means are not weighted by counts"),
    "Moments: unguarded": Mutant(lambda: _UnguardedMoments(3), "0 / 0 for two empty memories"),
    "Moments: Welford": Mutant(lambda: _MomentsAdvanceByNewMean(3), "delta squared, unweighted"),
    "Unit: tracks": Mutant(lambda: _TrackingUnit() * ma.Add(3), "one element follows parity"),
    "Recent: the later alone": Mutant(lambda: _RecentOfTheLater(2, 3), "counts are ignored"),
    "Recent: wrong count": Mutant(
        lambda: _RecentByTheWrongCount(2, 3), "aligned by the earlier operand's count"
    ),
    "Recent: count": Mutant(lambda: _RecentCountsOn(2, 3), "the count is not capped at k"),
    "Recent: push": Mutant(lambda: _RecentPushesInFront(2, 3), "advance pushes at the old end"),
    "Recent: empty": Mutant(lambda: _RecentExpandsEmpty(2, 3), "expand says that it holds none"),
    "Recent: junk": Mutant(lambda: _RecentMeansItsJunk(2, 3), "buffers are added, not shifted"),
    "Affine: absolute time": Mutant(_AbsoluteTime, "FFM with time stamps for durations"),
}
"""By `class: mistake`; what is built is given to `ma.laws.check`."""
