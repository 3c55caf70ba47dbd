"""The monoid of Kalman filtering steps."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._solve import solve
from .._typing import DTypeLike
from ._finite_groups import matrices, matrix_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in
from ._matrix import at_least_single, require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, tracks

Vector = Float[Array, " n"]
Square = Float[Array, "n n"]
Gaussian = tuple[Vector, Square]
Step = tuple[Square, Vector, Square, Vector, Square]


class Kalman(AbstractMonoid[Step, Gaussian]):
    r"""Steps of a Kalman filter; a state is the mean and the covariance after the steps so far.

    An element $(A, b, C, \eta, J)$ says what a stretch of observations does to the state x before it:
    $p(x' \mid x, y) = N(A x + b, C)$, and $p(y \mid x) \propto \exp(\eta^\top x - \tfrac12 x^\top J x)$.

    $$A = A_2 D^{-1} A_1, \quad b = A_2 D^{-1} (b_1 + C_1 \eta_2) + b_2, \quad
      C = A_2 D^{-1} C_1 A_2^\top + C_2,$$
    $$\eta = A_1^\top D^{-\top} (\eta_2 - J_2 b_1) + \eta_1, \quad
      J = A_1^\top D^{-\top} J_2 A_1 + J_1, \qquad D = I + C_1 J_2,$$

    with identity $(I, 0, 0, 0, 0)$. Build a step with [`memoalg.kalman_element`][]. A state is acted on
    as $(0, \text{mean}, \text{covariance}, 0, 0)$ would be; it begins as the standard normal.

    Hazard: covariances lose their symmetry, and then their positivity, by rounding: they are
    symmetrised at every product. D is solved, never inverted, and in float32 at least.

    Arguments:
        n: length of the hidden state.
        dtype: real floating; None is the default float.

    Raises:
        ValueError: where n is not a positive int, or the dtype is not real and floating.

    Source: Särkkä and García-Fernández, Temporal Parallelization of Bayesian Smoothers
    (arXiv 1905.13002), lemmas 7 and 8.

    Example:
        Four noisy observations of a constant near 2.

        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> one = jnp.ones((1, 1))
        >>> ys = jnp.array([[2.1], [1.9], [2.2], [1.8]])
        >>> steps = jax.vmap(lambda y: ma.kalman_element(one, 0 * one, one, one, y))(ys)
        >>> m = ma.Kalman(1)
        >>> (mean, covariance), _ = ma.trajectory(m, m.initial_state(), steps, None)
        >>> print(f"{mean[0]:.3f} {covariance[0, 0]:.3f}")
        1.600 0.200
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("Kalman", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("Kalman", self.dtype)

    def identity(self) -> Step:
        vector, square = jnp.zeros(self.n, self.dtype), jnp.zeros((self.n, self.n), self.dtype)
        return jnp.eye(self.n, dtype=self.dtype), vector, square, vector, square

    def combine(self, left: Step, right: Step) -> Step:
        a, b, c, eta, j = _cast(left, at_least_single(self.dtype))
        a_later, b_later, c_later, eta_later, j_later = _cast(right, at_least_single(self.dtype))
        d = jnp.eye(self.n, dtype=c.dtype) + c @ j_later
        of_a, of_b, of_c = _solve(d, a, (b + c @ eta_later)[:, None], c)
        # A₁ᵀ D⁻ᵀ is the transpose of the first: one solve serves both directions.
        product = (
            a_later @ of_a,
            a_later @ of_b[:, 0] + b_later,
            _symmetric(a_later @ of_c @ a_later.T + c_later),
            of_a.T @ (eta_later - j_later @ b) + eta,
            _symmetric(of_a.T @ j_later @ a + j),
        )
        return _cast(product, self.dtype)

    def initial_state(self) -> Gaussian:
        return jnp.zeros(self.n, self.dtype), jnp.eye(self.n, dtype=self.dtype)

    def act(self, state: Gaussian, element: Step) -> Gaussian:
        mean, covariance = _cast(state, at_least_single(self.dtype))
        a, b, c, eta, j = _cast(element, at_least_single(self.dtype))
        d = jnp.eye(self.n, dtype=c.dtype) + covariance @ j
        updated = _solve(d, (mean + covariance @ eta)[:, None], covariance)
        pushed = a @ updated[0][:, 0] + b, _symmetric(a @ updated[1] @ a.T + c)
        return _cast(pushed, self.dtype)

    def embed(self, state: Gaussian) -> Step:
        mean, covariance = state
        _, vector, square, _, _ = self.identity()
        return square, mean, covariance, vector, square

    def project(self, element: Step) -> Gaussian:
        return element[1], element[2]


def kalman_element(
    transition: Square,
    process_noise: Square,
    observation: Float[Array, "m n"],
    observation_noise: Float[Array, "m m"],
    y: Float[Array, " m"],
) -> Step:
    r"""One step of a Kalman filter as an element of [`memoalg.Kalman`][]: predict, then observe y.

    The model is $x_t = F x_{t-1} + \epsilon$, $y_t = H x_t + \nu$ with $\epsilon \sim N(0, Q)$ and
    $\nu \sim N(0, R)$. The first step is like any other, because the state before it comes in by `act`.

    $$G = H Q H^\top + R, \quad K = Q H^\top G^{-1}, \quad A = (I - K H) F, \quad b = K y,$$
    $$C = (I - K H) Q, \quad \eta = F^\top H^\top G^{-1} y, \quad J = F^\top H^\top G^{-1} H F.$$

    Arguments:
        transition: F, (n, n); its dtype is that of the element. All arguments have one dtype.
        process_noise: Q, (n, n), positive semidefinite.
        observation: H, (m, n).
        observation_noise: R, (m, m), positive definite.
        y: what was observed, (m,).

    Returns:
        (A, b, C, eta, J).

    Source: Särkkä and García-Fernández (arXiv 1905.13002), lemma 7.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> one = jnp.ones((1, 1))
        >>> step = ma.kalman_element(one, one, one, one, jnp.array([4.0]))
        >>> print(*(f"{part.item():.3f}" for part in step))
        0.500 2.000 0.500 2.000 0.500
    """
    given = (transition, process_noise, observation, observation_noise, y)
    f, q, h, r, seen = _cast(given, at_least_single(np.dtype(transition.dtype)))
    # G⁻¹ [H F, H Q, y].
    of_f, of_q, of_y = _solve(_symmetric(h @ q @ h.T + r), h @ f, h @ q, seen[:, None])
    gain = q @ h.T
    hf = h @ f
    step = (
        f - gain @ of_f,
        gain @ of_y[:, 0],
        _symmetric(q - gain @ of_q),
        hf.T @ of_y[:, 0],
        _symmetric(hf.T @ of_f),
    )
    return _cast(step, np.dtype(transition.dtype))


def _cast(arrays: tuple, dtype: np.dtype) -> tuple:
    return tuple(array.astype(dtype) for array in arrays)


def _symmetric(matrix: Square) -> Square:
    return (matrix + matrix.T) / 2


def _solve(matrix: Square, *sides: Array) -> list[Array]:
    """Solve for several right-hand sides at once."""
    columns = np.cumsum([side.shape[1] for side in sides])[:-1].tolist()
    return jnp.split(solve(matrix, jnp.concatenate(sides, axis=1)), columns, axis=1)


@tracks.register
def _(monoid: Kalman) -> Tracks:
    return matrix_tracks(monoid.n, monoid.dtype)


@group_in.register
def _(monoid: Kalman) -> tuple[Step, ...]:
    # Steps without noise and without an observation: the mean is multiplied by the transition.
    _, b, c, eta, j = monoid.identity()
    return tuple((jnp.asarray(g), b, c, eta, j) for g in matrices(monoid.n, monoid.dtype))
