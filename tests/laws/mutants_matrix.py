"""Mistakes in matrix-valued and discrete monoids, and in the memories of published models."""

# A subclass of a module is built by its base's __init__, which a checker of dataclasses does not see.
# pyright: reportCallIssue=false

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np

import memoalg as ma
from memoalg.algebra._max_plus import path_scores
from tests.laws.mutant import Mutant


class _EntrywiseMatMul(ma.MatMul):
    def combine(self, left, right):
        return left * right


class _TransposedMatMul(ma.MatMul):
    def combine(self, left, right):
        return left @ right.T


class _MatMulFromOnes(ma.MatMul):
    def identity(self):
        return jnp.ones((self.n, self.n), self.dtype)


class _CommutativeMatMul(ma.MatMul):
    pass


@ma.is_commutative.register
def _(monoid: _CommutativeMatMul) -> bool:
    return True


class _ElementwiseMatMul(ma.MatMul):
    pass


@ma.is_elementwise.register
def _(monoid: _ElementwiseMatMul) -> bool:
    return True


class _MatMulActsFromTheLeft(ma.MatMul):
    def act(self, state, element):
        return element @ state


class _NormalisedMatMul(ma.MatMul):
    def combine(self, left, right):
        product = left @ right
        return product / jnp.maximum(jnp.abs(product).max(), 1)


class _MaxPlusFromZeros(ma.MaxPlus):
    def identity(self):
        return jnp.zeros((self.n, self.n), self.dtype)


class _MaxPlusOverRows(ma.MaxPlus):
    def combine(self, left, right):
        return path_scores(left, right).max(axis=0)


class _MaxPlusOfPairs(ma.MaxPlus):
    def combine(self, left, right):
        return jnp.maximum(left, right)


class _MaxPlusWithZeroZero(ma.MaxPlus):
    pass


@ma.zero.register
def _(monoid: _MaxPlusWithZeroZero):
    return jnp.zeros((monoid.n, monoid.n), monoid.dtype)


class _CheapLogMatMul(ma.LogMatMul):
    def combine(self, left, right):
        rows, columns = left.max(axis=1, keepdims=True), right.max(axis=0, keepdims=True)
        rows = jnp.where(jnp.isneginf(rows), 0, rows)
        columns = jnp.where(jnp.isneginf(columns), 0, columns)
        return jnp.log(jnp.exp(left - rows) @ jnp.exp(right - columns)) + rows + columns


class _UnguardedLogMatMul(ma.LogMatMul):
    def combine(self, left, right):
        terms = left[:, :, None] + right[None, :, :]
        largest = terms.max(axis=1)
        return jnp.log(jnp.exp(terms - largest[:, None, :]).sum(axis=1)) + largest


class _LogMatMulSelectedAfter(ma.LogMatMul):
    def combine(self, left, right):
        terms = left[:, :, None] + right[None, :, :]
        largest = jax.lax.stop_gradient(terms.max(axis=1))
        total = jnp.exp(terms - largest[:, None, :]).sum(axis=1)
        return jnp.where(jnp.isneginf(largest), largest, jnp.log(total) + largest)


class _LogMatMulFromEye(ma.LogMatMul):
    def identity(self):
        return jnp.eye(self.n, dtype=self.dtype)


class _PermutationFromZeros(ma.Permutation):
    def identity(self):
        return jnp.zeros(self.n, jnp.int32)


class _ScatteredPermutation(ma.Permutation):
    def combine(self, left, right):
        return jnp.zeros_like(left).at[left].set(right)


class _SummedPermutation(ma.Permutation):
    def combine(self, left, right):
        return (left + right) % self.n


class _TooRichPermutation(ma.Permutation):
    pass


@ma.tracks.register
def _(monoid: _TooRichPermutation) -> ma.Tracks:
    return ma.Tracks.ANY


class _InvertiblePermutation(ma.Permutation):
    pass


@ma.is_invertible.register
def _(monoid: _InvertiblePermutation) -> bool:
    return True


@ma.inverse.register
def _(monoid: _InvertiblePermutation, element):
    return jnp.argsort(element).astype(jnp.int32)


class _UntransposedRotation(ma.Rotation):
    pass


@ma.inverse.register
def _(monoid: _UntransposedRotation, element):
    return element


class _PlainRotation(ma.Rotation):
    def combine(self, left, right):
        return left @ right


class _RotationOverNormalised(ma.Rotation):
    def combine(self, left, right):
        product = left @ right
        return product @ (3 * jnp.eye(self.n, dtype=self.dtype) - product.T @ product)


class _RotationFromLarge(ma.Rotation):
    def initial_state(self):
        return jnp.eye(self.n, dtype=self.dtype) / 2


class _CommutativeRotation(ma.Rotation):
    pass


@ma.is_commutative.register
def _(monoid: _CommutativeRotation) -> bool:
    return True


class _OuterDecaysValues(ma.GatedOuter):
    def act(self, state, element):
        return state * element[0][None, :] + element[1]


class _OuterDecaysBoth(ma.GatedOuter):
    def combine(self, left, right):
        return left[0] * right[0], ma.multiply(left[1] + right[1], right[0])


class _OuterDecaysByLeft(ma.GatedOuter):
    def combine(self, left, right):
        return left[0] * right[0], ma.multiply(left[1], left[0]) + right[1]


class _OuterAdvancesThenDecays(ma.GatedOuter):
    def advance(self, state, generator):
        key, value, decay = generator
        return ma.multiply(state + key[:, None] * value[None, :], decay)


class _OuterTransposed(ma.GatedOuter):
    def expand(self, generator):
        key, value, decay = generator
        return decay, value[:, None] * key[None, :]


class _OuterForgetsTheDecay(ma.GatedOuter):
    def combine(self, left, right):
        return right[0], self.act(left[1], right)


class _DeltaTransitionsSwapped(ma.DeltaRule):
    def combine(self, left, right):
        return right[0] @ left[0], self.act(left[1], right)


class _DeltaOnTheValueAxis(ma.DeltaRule):
    def act(self, state, element):
        return element[0] @ state + element[1]


class _DeltaErrorBeforeDecay(ma.DeltaRule):
    def advance(self, state, generator):
        key, value, strength, decay = generator
        error = value - state @ key
        return decay * state + error[:, None] * (strength * key)[None, :]


class _DeltaWithoutStrength(ma.DeltaRule):
    def expand(self, generator):
        transition, _ = ma.DeltaRule(self.key_size, self.value_size, self.dtype).expand(generator)
        key, value, _, _ = generator
        return transition, value[:, None] * key[None, :]


class _DeltaEntrywise(ma.DeltaRule):
    def combine(self, left, right):
        return left[0] * right[0], self.act(left[1], right)


class _DeltaDecaysTheWrite(ma.DeltaRule):
    def advance(self, state, generator):
        key, value, strength, decay = generator
        kept = decay * (state + strength * value[:, None] * key[None, :])
        return kept - decay * strength * (state @ key)[:, None] * key[None, :]


class _StabilisedUnguarded(ma.StabilisedOuter):
    def act(self, state, element):
        (m, memory, normaliser), (forget, m_new, memory_new, normaliser_new) = state, element
        both = jnp.maximum(m + forget, m_new)
        kept, added = jnp.exp(m + forget - both), jnp.exp(m_new - both)
        return both, kept * memory + added * memory_new, kept * normaliser + added * normaliser_new


class _StabilisedLastKey(ma.StabilisedOuter):
    def act(self, state, element):
        right = ma.StabilisedOuter(self.key_size, self.value_size, self.dtype)
        return *right.act(state, element)[:2], element[3]


class _StabilisedUnscaled(ma.StabilisedOuter):
    def act(self, state, element):
        (m, memory, normaliser), (forget, m_new, memory_new, normaliser_new) = state, element
        both = jnp.maximum(m + forget, m_new)
        kept = jnp.exp(forget)
        return both, kept * memory + memory_new, kept * normaliser + normaliser_new


class _StabilisedCanonDropsScale(ma.StabilisedOuter):
    def canon(self, element):
        right = ma.StabilisedOuter(self.key_size, self.value_size, self.dtype)
        forget, m, memory, normaliser = right.canon(element)
        return forget, jnp.where(jnp.isneginf(m), m, jnp.zeros_like(m)), memory, normaliser


class _KalmanWithoutUpdate(ma.Kalman):
    def combine(self, left, right):
        a, b, _, eta, j = ma.Kalman(self.n, self.dtype).combine(left, right)
        spread = right[0] @ left[2] @ right[0].T + right[2]
        return a, b, spread, eta, j


class _KalmanForgetsThePast(ma.Kalman):
    def combine(self, left, right):
        a, b, c, eta, j = left
        a_later, b_later, c_later, eta_later, j_later = right
        factors = jsl.lu_factor(jnp.eye(self.n, dtype=self.dtype) + c @ j_later)
        forward = jsl.lu_solve(factors, jnp.concatenate([a, (b + c @ eta_later)[:, None], c], 1))
        n = self.n
        return (
            a_later @ forward[:, :n],
            a_later @ forward[:, n] + b_later,
            a_later @ forward[:, n + 1 :] @ a_later.T + c_later,
            eta,
            j,
        )


class _KalmanActsOnTheMeanOnly(ma.Kalman):
    def act(self, state, element):
        mean, _ = ma.Kalman(self.n, self.dtype).act(state, element)
        return mean, element[2]


class _LastKey(ma.AbstractMonoid):
    """FART as published in code: the normaliser is the last key."""

    def identity(self):
        return jnp.zeros((2, 2), jnp.float32), jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        return left[0] + right[0], right[1]


class _RotatedOuter(ma.AbstractMonoid):
    """TTT-RoPE as published in code: R^-j S R^-j, which is no conjugation."""

    def identity(self):
        return jnp.zeros((), jnp.int32), jnp.zeros((2, 2), jnp.float32)

    def combine(self, left, right):
        (i, memory), (j, later) = left, right
        angle = -j.astype(jnp.float32)
        rows = jnp.stack([jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle)])
        turn = rows.reshape(2, 2)
        return i + j, turn @ memory @ turn + later @ turn


class _ProductOfKeys(ma.AbstractMonoid):
    """DeltaProduct as published in code: outer products are multiplied entry by entry."""

    def identity(self):
        return jnp.eye(2, dtype=jnp.float32), jnp.zeros((2, 2), jnp.float32)

    def combine(self, left, right):
        return left[0] * right[0], left[1] @ right[0] + right[1]


@ma.laws.draw.register
def _(monoid: _ProductOfKeys, source: ma.laws.Source):
    return jax.tree.map(np.asarray, _expanded(ma.DeltaRule(2, 2), source))


def _expanded(monoid, source):
    return jax.vmap(monoid.expand)(ma.laws.draw(monoid, source))


MATRIX: dict[str, Mutant] = {
    "MatMul: entrywise": Mutant(lambda: _EntrywiseMatMul(2), "* in place of @"),
    "MatMul: transposed": Mutant(lambda: _TransposedMatMul(2), "the later factor is transposed"),
    "MatMul: identity": Mutant(lambda: _MatMulFromOnes(2), "the identity is a matrix of ones"),
    "MatMul: commutative": Mutant(lambda: _CommutativeMatMul(2), "matrices claimed to commute"),
    "MatMul: elementwise": Mutant(lambda: _ElementwiseMatMul(2), "entries claimed not to meet"),
    "MatMul: act": Mutant(lambda: _MatMulActsFromTheLeft(2), "act swaps the operands"),
    "MatMul: normalised": Mutant(
        lambda: _NormalisedMatMul(2), "every product is scaled down, and means something else"
    ),
    "MaxPlus: identity": Mutant(lambda: _MaxPlusFromZeros(2), "scores 0 where -inf is meant"),
    "MaxPlus: axis": Mutant(lambda: _MaxPlusOverRows(2), "the maximum over the wrong axis"),
    "MaxPlus: entrywise": Mutant(lambda: _MaxPlusOfPairs(2), "an entrywise maximum"),
    "MaxPlus: zero": Mutant(lambda: _MaxPlusWithZeroZero(2), "0 is claimed to absorb"),
    "LogMatMul: cheap": Mutant(
        lambda: _CheapLogMatMul(2), "shifted by rows and columns: the best path underflows"
    ),
    "LogMatMul: unguarded": Mutant(lambda: _UnguardedLogMatMul(2), "-inf - (-inf) is NaN"),
    "LogMatMul: one select": Mutant(
        lambda: _LogMatMulSelectedAfter(2), "a single select: gradients at -inf are NaN"
    ),
    "LogMatMul: identity": Mutant(lambda: _LogMatMulFromEye(2), "the identity of MatMul"),
    "Permutation: identity": Mutant(lambda: _PermutationFromZeros(4), "the constant map"),
    "Permutation: scatter": Mutant(lambda: _ScatteredPermutation(4), "inverts the earlier map"),
    "Permutation: sum": Mutant(lambda: _SummedPermutation(4), "images are added, not composed"),
    "Permutation: tracks": Mutant(
        lambda: _TooRichPermutation(4), "four points claimed to hold the icosahedron"
    ),
    "Permutation: inverse": Mutant(
        lambda: _InvertiblePermutation(4), "inverses claimed for constant maps too"
    ),
    "Rotation: inverse": Mutant(lambda: _UntransposedRotation(3), "inverse does not transpose"),
    "Rotation: plain": Mutant(lambda: _PlainRotation(3), "products are not renormalised"),
    "Rotation: factor": Mutant(lambda: _RotationOverNormalised(3), "Newton-Schulz without 1/2"),
    "Rotation: initial state": Mutant(
        lambda: _RotationFromLarge(3), "the initial state is no rotation: the identity moves it"
    ),
    "Rotation: commutative": Mutant(lambda: _CommutativeRotation(3), "claimed for 3 dimensions"),
    "GatedOuter: axis": Mutant(lambda: _OuterDecaysValues(2, 2), "decays act on the value axis"),
    "GatedOuter: outside": Mutant(lambda: _OuterDecaysBoth(2, 3), "what is new decays too"),
    "GatedOuter: by left": Mutant(lambda: _OuterDecaysByLeft(2, 3), "the earlier decay acts"),
    "GatedOuter: advance": Mutant(
        lambda: _OuterAdvancesThenDecays(2, 3), "advance decays after the write"
    ),
    "GatedOuter: expand": Mutant(lambda: _OuterTransposed(2, 2), "expand swaps key and value"),
    "GatedOuter: decay": Mutant(lambda: _OuterForgetsTheDecay(2, 3), "earlier decays are lost"),
    "DeltaRule: swapped": Mutant(lambda: _DeltaTransitionsSwapped(2, 3), "M' M in place of M M'"),
    "DeltaRule: value axis": Mutant(
        lambda: _DeltaOnTheValueAxis(2, 2), "the transition acts on the value axis (DeltaNet)"
    ),
    "DeltaRule: error": Mutant(
        lambda: _DeltaErrorBeforeDecay(2, 3), "advance takes the error before the decay"
    ),
    "DeltaRule: strength": Mutant(
        lambda: _DeltaWithoutStrength(2, 3), "expand writes without the strength"
    ),
    "DeltaRule: entrywise": Mutant(lambda: _DeltaEntrywise(2, 3), "* in place of @"),
    "DeltaRule: write decays": Mutant(lambda: _DeltaDecaysTheWrite(2, 3), "the write decays too"),
    "DeltaRule: DeltaProduct": Mutant(_ProductOfKeys, "DeltaProduct: entrywise transitions"),
    "StabilisedOuter: unguarded": Mutant(
        lambda: _StabilisedUnguarded(2, 2), "-inf - (-inf) where nothing is stored"
    ),
    "StabilisedOuter: last key": Mutant(
        lambda: _StabilisedLastKey(2, 2), "the normaliser is the last key"
    ),
    "StabilisedOuter: unscaled": Mutant(
        lambda: _StabilisedUnscaled(2, 2), "memories in different scales are added"
    ),
    "StabilisedOuter: canon": Mutant(
        lambda: _StabilisedCanonDropsScale(2, 2), "canon forgets the scale"
    ),
    "Kalman: covariance": Mutant(
        lambda: _KalmanWithoutUpdate(2), "the later observation does not narrow the covariance"
    ),
    "Kalman: information": Mutant(
        lambda: _KalmanForgetsThePast(2), "eta and J of the later step are lost"
    ),
    "Kalman: act": Mutant(lambda: _KalmanActsOnTheMeanOnly(2), "act drops the covariance before"),
    "NormalisedOuterSum: FART": Mutant(_LastKey, "FART: the normaliser is the last key"),
    "Rotation: TTT-RoPE": Mutant(_RotatedOuter, "TTT-RoPE: R^-j S R^-j is no conjugation"),
}
"""By `class: mistake`; what is built is given to `ma.laws.check`."""
