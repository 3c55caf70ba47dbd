"""The monoid of transitions of a chain of states."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._product import dense_product
from .._typing import DTypeLike
from ._finite_groups import permutation_matrices, permutation_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in
from ._matrix import require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Distribution = Float[Array, " n"]
Transition = Float[Array, "n n"]
Mixture = tuple[Float[Array, " letters"], Float[Array, "letters n n"]]


class Markov(AbstractMonoid[Transition, Distribution]):
    r"""Row-stochastic matrices, moving a distribution over n states: probabilistic automata.

    $$x \bullet y = \nu(x\,y), \qquad e = I, \qquad s \cdot x = \nu(s\,x), \qquad
      \nu(z) = z / \Sigma z,$$

    with rows divided by their sums. A state is the distribution, at first certain of state 0. The
    generator $(w, P)$, a distribution over letters and the transition of each letter, stands for
    $\sum_c w_c P_c$; a step does not form the matrix. Permutation matrices, and all other matrices of
    zeros and ones, are multiplied without any rounding.

    Hazard: a product of stochastic matrices loses its sums by a rounding at each step. $\nu$ is computed
    by one Newton step, which squares the distance: rows must sum to one up to rounding. What is mixed
    stays mixed: entropy grows with time, but under matrices of zeros and ones.

    Arguments:
        n: number of states.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where n is not a positive int, or the dtype is not real and floating.

    Source: Rabin, Probabilistic Automata (Information and Control, 1963).

    Example:
        An automaton with two states: the letter 1 toggles, the letter 0 stays.

        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> m = ma.Markov(2)
        >>> letters = jax.nn.one_hot(jnp.array([1, 0, 1, 1]), 2)
        >>> transitions = ma.Fixed(jnp.stack([jnp.eye(2), jnp.flip(jnp.eye(2), 0)]))
        >>> print(ma.trajectory(m, m.initial_state(), (letters, transitions), None)[0])
        [0. 1.]
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("Markov", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("Markov", self.dtype)

    def identity(self) -> Transition:
        return jnp.eye(self.n, dtype=self.dtype)

    def combine(self, left: Transition, right: Transition) -> Transition:
        return _normalised(left @ right)

    def initial_state(self) -> Distribution:
        return jnp.eye(self.n, dtype=self.dtype)[0]

    def act(self, state: Distribution, element: Transition) -> Distribution:
        return _normalised(state @ element)

    def embed(self, state: Distribution) -> Transition:
        """The transition that goes to this distribution from wherever it was."""
        return jnp.broadcast_to(state[None, :], (self.n, self.n))

    def project(self, element: Transition) -> Distribution:
        return element[0]

    def expand(self, generator: Mixture) -> Transition:
        weights, matrices = generator
        return jnp.tensordot(weights, matrices, axes=1)

    def advance(self, state: Distribution, generator: Mixture) -> Distribution:
        weights, matrices = generator
        columns = jnp.moveaxis(matrices, 2, 1).reshape(-1, self.n)
        after = dense_product(state, columns).reshape(-1, self.n)
        return _normalised(weights @ after)


def _normalised(z: Float[Array, "*rows n"]) -> Float[Array, "*rows n"]:
    # z (2 - Σz), as z plus a small correction; exact where the sum is one.
    return z + z * (1 - jnp.sum(z, axis=-1, keepdims=True))


@is_commutative.register
def _(monoid: Markov) -> bool:
    return monoid.n == 1


@tracks.register
def _(monoid: Markov) -> Tracks:
    return permutation_tracks(monoid.n)


@group_in.register
def _(monoid: Markov) -> tuple[Array, ...]:
    return tuple(jnp.asarray(g, monoid.dtype) for g in permutation_matrices(monoid.n, 1, 0))
