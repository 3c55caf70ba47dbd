"""The belief of a learned linear-Gaussian model as a memory."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, Kalman, Power, kalman_element
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide

Gaussians = tuple[Float[Array, "heads n"], Float[Array, "heads n n"]]
Steps = tuple[Fixed, Float[Array, "heads n"], Fixed, Float[Array, "heads n"], Fixed]


class KalmanFilter(AbstractMemoroid):
    r"""A Kalman filter with learned parameters: mean and covariance of a hidden state, given the past.

    $$z_t = F z_{t-1} + \epsilon_t, \quad o_t = H z_t + \nu_t, \quad \epsilon \sim N(0, Q), \;
      \nu \sim N(0, R), \qquad o_t = W x_t + b,$$
    $$y_t = W_o\,[\mu_t, \mathrm{diag}\,\Sigma_t] + b_o, \qquad
      N(\mu_t, \Sigma_t) = p(z_t \mid o_1, \dots, o_t),$$

    for each head, from $N(\mu_0, \Sigma_0)$, the belief before the first transition. Q, $\Sigma_0$ and
    R are diagonal and positive by construction, $\mathrm{softplus}$ of the parameters, for R plus 1e-4.
    Diagonal Q and R are no loss, because the bases of z and o are free. The monoid is
    `Power(ma.Kalman(n), heads)`, in float32 or wider; but for the observation a step is
    [`memoalg.Fixed`][], and is made once.

    Hazard: the gain does not depend on the data: between starts the mean is *linear* in what was
    seen, with weights that settle. F is free: where it expands a direction that H does not see, the
    covariance grows without bound.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: n, the length of z in each filter.
        observation_size: length of o in each filter; None is `state_size`.
        heads: independent filters, which see the same input.
        key: for the initialisation: F is 0.95 times orthogonal, H orthogonal, Q 0.1, R and $\Sigma_0$ one.

    Raises:
        ValueError: for a size below 1.

    Source: Kalman, A New Approach to Linear Filtering and Prediction Problems (1960); in parallel:
        Särkkä and García-Fernández (arXiv 1905.13002), lemmas 7 and 8.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.KalmanFilter(3, 2, 4, heads=5, key=jax.random.key(0))
        >>> (mean, covariance), ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> mean.shape, covariance.shape, ys.shape
        ((5, 4), (5, 4, 4), (7, 2))
    """

    sensors: Linear
    transition: Float[Array, "heads n n"]
    observation: Float[Array, "heads m n"]
    process_noise: Float[Array, "heads n"]
    observation_noise: Float[Array, "heads m"]
    initial_mean: Float[Array, "heads n"]
    initial_spread: Float[Array, "heads n"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        observation_size: int | None = None,
        heads: int = 1,
        key: PRNGKeyArray,
    ):
        n, m = state_size, state_size if observation_size is None else observation_size
        check_sizes(
            "KalmanFilter",
            in_size=in_size,
            out_size=out_size,
            state_size=n,
            observation_size=m,
            heads=heads,
        )
        in_key, f_key, h_key, out_key = jax.random.split(key, 4)
        dtype = jnp.result_type(float)
        self.sensors = Linear(in_size, heads * m, key=in_key)
        self.transition = 0.95 * jax.random.orthogonal(f_key, n, (heads,), dtype)
        self.observation = jax.random.orthogonal(h_key, max(n, m), (heads,), dtype)[:, :m, :n]
        self.process_noise = jnp.full((heads, n), _softplus_inverse(0.1))
        self.observation_noise = jnp.full((heads, m), _softplus_inverse(1.0))
        self.initial_mean = jnp.zeros((heads, n))
        self.initial_spread = jnp.full((heads, n), _softplus_inverse(1.0))
        self.output = Linear(2 * heads * n, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, n = self.initial_mean.shape
        return Power(Kalman(n, wide(self.initial_mean).dtype), heads)

    def encode(self, x: Float[Array, " in"]) -> Steps:
        seen = wide(self.sensors(x)).reshape(self.observation_noise.shape)
        # A step is linear in what is seen: one for each unit of it, made once for all x.
        a, means, c, etas, j = jax.vmap(_unit_steps)(
            wide(self.transition),
            _diagonals(self.process_noise),
            wide(self.observation),
            _diagonals(self.observation_noise, floor=1e-4),
        )
        mean, eta = (jnp.sum(seen[:, :, None] * units, axis=1) for units in (means, etas))
        return Fixed(a[:, 0]), mean, Fixed(c[:, 0]), eta, Fixed(j[:, 0])

    def initial_state(self) -> Gaussians:
        return wide(self.initial_mean), _diagonals(self.initial_spread)

    def readout(self, read: Gaussians, x: Array) -> Float[Array, " out"]:
        mean, covariance = read
        variance = jnp.diagonal(covariance, axis1=1, axis2=2)
        return self.output(
            jnp.concatenate([mean.ravel(), variance.ravel()]).astype(self.output.weight.dtype)
        )


def _unit_steps(f: Array, q: Array, h: Array, r: Array) -> tuple[Array, ...]:
    units = jnp.eye(r.shape[0], dtype=r.dtype)
    return jax.vmap(kalman_element, in_axes=(None, None, None, None, 0))(f, q, h, r, units)


def _diagonals(raw: Float[Array, "heads n"], floor: float = 0.0) -> Float[Array, "heads n n"]:
    variances = jax.nn.softplus(wide(raw)) + floor
    return variances[:, :, None] * jnp.eye(raw.shape[1], dtype=variances.dtype)[None]


def _softplus_inverse(value: float) -> float:
    return math.log(math.expm1(value))


def kalman(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + KalmanFilter(norm(x))`, with a filter of 4 hidden numbers for every 16 channels."""
    memory = KalmanFilter(width, width, 4, heads=max(width // 16, 1), key=key)
    return PreNorm(width, memory)
