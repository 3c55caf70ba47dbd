"""Mistakes in clipped maps, generalised delta rules, filters, automata and quaternions."""

# A subclass of a module is built by its base's __init__, which a checker of dataclasses does not see.
# pyright: reportCallIssue=false

import jax.numpy as jnp

import memoalg as ma
from memoalg.algebra._clipped_affine import _clip, _scaled
from memoalg.algebra._hidden_markov import _moved, _normalised
from memoalg.algebra._log_mat_mul import log_sum
from memoalg.algebra._max_plus import path_scores
from memoalg.algebra._sphere import _conjugate, _product, _unit
from tests.laws.mutant import Mutant


class _ClippedByTheLaterAlone(ma.ClippedAffine):
    def combine(self, left, right):
        (a, b, _, _), (a_later, b_later, low, high) = left, right
        return a * a_later, a_later * b + b_later, low, high


class _ClippedEndsKeptInOrder(ma.ClippedAffine):
    def combine(self, left, right):
        (a, b, low, high), (a_later, b_later, low_later, high_later) = left, right
        low = _clip(_scaled(a_later, low) + b_later, low_later, high_later)
        high = _clip(_scaled(a_later, high) + b_later, low_later, high_later)
        return a * a_later, a_later * b + b_later, low, high


class _ClippedZeroTimesInfinity(ma.ClippedAffine):
    def combine(self, left, right):
        (a, b, low, high), (a_later, b_later, low_later, high_later) = left, right
        one, two = a_later * low + b_later, a_later * high + b_later
        low = _clip(jnp.minimum(one, two), low_later, high_later)
        high = _clip(jnp.maximum(one, two), low_later, high_later)
        return a * a_later, a_later * b + b_later, low, high


class _ClippedFromRelu(ma.ClippedAffine):
    def identity(self):
        one, zero, _, high = ma.ClippedAffine(self.shape, self.dtype).identity()
        return one, zero, zero, high


class _GeneralisedDecaysValues(ma.GeneralisedDelta):
    def advance(self, state, generator):
        key, value, decay, erased, replaced = generator
        moved = (state @ erased)[:, None] * replaced[None, :]
        return state * decay[:, None] + moved + value[:, None] * key[None, :]


class _GeneralisedErasesWhatDecayed(ma.GeneralisedDelta):
    def advance(self, state, generator):
        key, value, decay, erased, replaced = generator
        kept = state * decay[None, :]
        return kept + (kept @ erased)[:, None] * replaced[None, :] + value[:, None] * key[None, :]


class _GeneralisedExchangesDirections(ma.GeneralisedDelta):
    def expand(self, generator):
        key, value, decay, erased, replaced = generator
        transition = jnp.diag(decay) + replaced[:, None] * erased[None, :]
        return transition, value[:, None] * key[None, :]


class _GeneralisedTransitionsSwapped(ma.GeneralisedDelta):
    def combine(self, left, right):
        return right[0] @ left[0], self.act(left[1], right)


class _BeliefUpdatedFirst(ma.HiddenMarkov):
    def expand(self, generator):
        transition, likelihood = generator
        return transition + jnp.broadcast_to(likelihood[:, None], transition.shape)


class _BeliefOfRows(ma.HiddenMarkov):
    def canon(self, element):
        rows = log_sum(element, axis=1)
        rows = jnp.where(jnp.isneginf(rows), jnp.zeros_like(rows), rows)
        return element - jnp.broadcast_to(rows[:, None], element.shape)


class _BeliefWithLikelihood(ma.HiddenMarkov):
    def act(self, state, element):
        return _moved(state, element)


class _BeliefUnguarded(ma.HiddenMarkov):
    def combine(self, left, right):
        scores = path_scores(left, right)
        largest = scores.max(axis=1)
        shifted = scores - jnp.broadcast_to(largest[:, None, :], scores.shape)
        return self.canon(jnp.log(jnp.exp(shifted).sum(axis=1)) + largest)


class _BeliefFromUniform(ma.HiddenMarkov):
    def identity(self):
        return jnp.zeros((self.n, self.n), self.dtype)


class _BeliefAdvancedWithoutPrediction(ma.HiddenMarkov):
    def advance(self, state, generator):
        transition, likelihood = generator
        return _normalised(state + jnp.diagonal(transition) + likelihood)


class _MarkovColumns(ma.Markov):
    def combine(self, left, right):
        product = left @ right
        return product / product.sum(axis=0, keepdims=True)


class _MarkovFromMixed(ma.Markov):
    def identity(self):
        return jnp.full((self.n, self.n), 1 / self.n, self.dtype)


class _MarkovTransposed(ma.Markov):
    def expand(self, generator):
        weights, matrices = generator
        return jnp.tensordot(weights, jnp.swapaxes(matrices, 1, 2), axes=1)


class _MarkovBackwards(ma.Markov):
    def act(self, state, element):
        return element @ state


class _MarkovLikeliestLetter(ma.Markov):
    def advance(self, state, generator):
        weights, matrices = generator
        return state @ matrices[jnp.argmax(weights)]


class _SphereInOneOrder(ma.Sphere):
    def combine(self, left, right):
        return _unit(_product(left[0], right[0])), _unit(_product(left[1], right[1]))


class _SphereConjugates(ma.Sphere):
    def act(self, state, element):
        return _unit(_product(_product(element[0], state), _conjugate(element[1])))


class _SphereHalfInverse(ma.Sphere):
    pass


@ma.inverse.register
def _(monoid: _SphereHalfInverse, element):
    return _conjugate(element[0]), element[1]


class _SphereOneSign(ma.Sphere):
    def canon(self, element):
        turned, _ = ma.Sphere(self.dtype).canon(element)
        return turned, element[1]


class _SphereFromWithin(ma.Sphere):
    def initial_state(self):
        return jnp.eye(4, dtype=self.dtype)[0] / 2

    def identity(self):
        return ma.Sphere(self.dtype).identity()


FILTERS: dict[str, Mutant] = {
    "ClippedAffine: later alone": Mutant(
        lambda: _ClippedByTheLaterAlone(2), "the earlier bounds are lost: a product of affine maps"
    ),
    "ClippedAffine: falling": Mutant(
        lambda: _ClippedEndsKeptInOrder(2), "a negative slope does not exchange the ends"
    ),
    "ClippedAffine: zero": Mutant(
        lambda: _ClippedZeroTimesInfinity(2), "a slope of zero times an infinite end is NaN"
    ),
    "ClippedAffine: identity": Mutant(lambda: _ClippedFromRelu(2), "relu is taken for nothing"),
    "GeneralisedDelta: value axis": Mutant(
        lambda: _GeneralisedDecaysValues(2, 2), "advance decays the value axis"
    ),
    "GeneralisedDelta: decayed": Mutant(
        lambda: _GeneralisedErasesWhatDecayed(2, 3), "advance erases from what has decayed already"
    ),
    "GeneralisedDelta: directions": Mutant(
        lambda: _GeneralisedExchangesDirections(2, 3), "expand writes b aᵀ in place of a bᵀ"
    ),
    "GeneralisedDelta: swapped": Mutant(
        lambda: _GeneralisedTransitionsSwapped(2, 3), "M' M in place of M M'"
    ),
    "HiddenMarkov: update first": Mutant(
        lambda: _BeliefUpdatedFirst(3), "expand updates before it predicts"
    ),
    "HiddenMarkov: rows": Mutant(
        lambda: _BeliefOfRows(3), "every row is normalised, as if it were a transition"
    ),
    "HiddenMarkov: likelihood": Mutant(
        lambda: _BeliefWithLikelihood(3), "act keeps the likelihood that products drop"
    ),
    "HiddenMarkov: unguarded": Mutant(
        lambda: _BeliefUnguarded(3), "-inf - (-inf) where no path goes"
    ),
    "HiddenMarkov: identity": Mutant(lambda: _BeliefFromUniform(3), "the step that forgets"),
    "HiddenMarkov: prediction": Mutant(
        lambda: _BeliefAdvancedWithoutPrediction(3), "advance only ever stays in a state"
    ),
    "Markov: columns": Mutant(lambda: _MarkovColumns(3), "columns are divided by their sums"),
    "Markov: identity": Mutant(lambda: _MarkovFromMixed(3), "mixing is taken for nothing"),
    "Markov: transposed": Mutant(lambda: _MarkovTransposed(3), "expand sums transposed letters"),
    "Markov: act": Mutant(lambda: _MarkovBackwards(3), "act multiplies from the left"),
    "Markov: letter": Mutant(
        lambda: _MarkovLikeliestLetter(3), "advance takes the likeliest letter in place of the mean"
    ),
    "Sphere: order": Mutant(lambda: _SphereInOneOrder(), "p p' in place of p' p"),
    "Sphere: act": Mutant(lambda: _SphereConjugates(), "act conjugates q, combine does not"),
    "Sphere: inverse": Mutant(lambda: _SphereHalfInverse(), "inverse turns p back, and not q"),
    "Sphere: canon": Mutant(
        lambda: _SphereOneSign(), "canon changes the sign of p alone: another rotation"
    ),
    "Sphere: initial state": Mutant(
        lambda: _SphereFromWithin(), "the initial state is within the sphere: the identity moves it"
    ),
}
"""By `class: mistake`; what is built is given to `ma.laws.check`."""
