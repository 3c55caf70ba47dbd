"""The monoid of steps of a hidden Markov model."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import permutation_matrices, permutation_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in
from ._log_mat_mul import log_sum
from ._matrix import require_size
from ._max_plus import log_eye, path_scores
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Belief = Float[Array, " n"]
Step = Float[Array, "n n"]
Generator = tuple[Step, Float[Array, " n"]]


class HiddenMarkov(AbstractMonoid[Step, Belief]):
    r"""Steps of a hidden Markov model with n states; a state is the logarithm of the belief.

    An element holds logarithms of non-negative matrices, *up to a common factor*: what is known is the
    belief, and not the likelihood of the observations. With $\oplus$ for the product of matrices
    in log space, as in [`memoalg.LogMatMul`][],

    $$x \bullet y = (x \oplus y) - \max(x \oplus y), \qquad e_{ij} = 0 \text{ if } i = j \text{ else }
      -\infty, \qquad s \cdot x = (s \oplus x) - \log \Sigma \exp (s \oplus x).$$

    The generator $(\log A, \log b)$, transition probabilities with rows that sum to one and the
    likelihood of what was seen in each state, stands for $x_{ij} = \log A_{ij} + \log b_j$: predict,
    then update. So a step is one of the forward algorithm. The belief is at first uniform.

    Hazard: without the shifts, which cancel, products drift to $-\infty$ with the log-likelihood and
    lose their digits. An entry of $-\infty$ is impossible, with the gradient zero. Where all states are
    impossible the belief is $-\infty$ everywhere, for good: a zero vector, and not NaN.

    Arguments:
        n: number of states.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where n is not a positive int, or the dtype is not real and floating.

    Source: Hassan, Särkkä and García-Fernández, Temporal Parallelization of Inference in Hidden
    Markov Models (arXiv 2102.05743), section III; the forward algorithm: Rabiner, A Tutorial on Hidden
    Markov Models (Proceedings of the IEEE, 1989), eqs. 19 to 21.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.HiddenMarkov(2)
        >>> stay, seen = jnp.log(jnp.array([[0.9, 0.1], [0.1, 0.9]])), jnp.log(jnp.array([0.8, 0.2]))
        >>> belief = m.advance(m.initial_state(), (stay, seen))
        >>> print(*(f"{p:.2f}" for p in jnp.exp(belief)))
        0.80 0.20
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("HiddenMarkov", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("HiddenMarkov", self.dtype)

    def identity(self) -> Step:
        return log_eye(self.n, self.dtype)

    def combine(self, left: Step, right: Step) -> Step:
        return self.canon(log_sum(path_scores(left, right), axis=1))

    def initial_state(self) -> Belief:
        return jnp.full(self.n, -np.log(self.n), self.dtype)

    def act(self, state: Belief, element: Step) -> Belief:
        return _normalised(_moved(state, element))

    def embed(self, state: Belief) -> Step:
        """The step to this belief from wherever it was."""
        return jnp.broadcast_to(state[None, :], (self.n, self.n))

    def project(self, element: Step) -> Belief:
        return _normalised(element[0])

    def expand(self, generator: Generator) -> Step:
        transition, likelihood = generator
        return transition + jnp.broadcast_to(likelihood[None, :], transition.shape)

    def advance(self, state: Belief, generator: Generator) -> Belief:
        transition, likelihood = generator
        return _normalised(_moved(state, transition) + likelihood)

    def canon(self, element: Step) -> Step:
        return _shifted(element, jnp.max(element))


def _moved(state: Belief, matrix: Step) -> Belief:
    return log_sum(path_scores(state[None, :], matrix), axis=1)[0]


def _normalised(scores: Belief) -> Belief:
    return _shifted(scores, log_sum(scores, axis=0))


def _shifted(scores: Array, shift: Float[Array, ""]) -> Array:
    """Scores less a shift: -inf stays, also where the shift is -inf itself."""
    shift = jnp.where(jnp.isneginf(shift), jnp.zeros_like(shift), shift)
    return scores - jnp.broadcast_to(shift, scores.shape)


@is_commutative.register
def _(monoid: HiddenMarkov) -> bool:
    return monoid.n == 1


@tracks.register
def _(monoid: HiddenMarkov) -> Tracks:
    return permutation_tracks(monoid.n)


@group_in.register
def _(monoid: HiddenMarkov) -> tuple[Array, ...]:
    generators = permutation_matrices(monoid.n, 0.0, -np.inf)
    return tuple(jnp.asarray(g, monoid.dtype) for g in generators)
