"""A memory that is a point on a sphere, turned by each input."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Power, Sphere
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide

Quaternions = Float[Array, "heads 4"]


class Spherical(AbstractMemoroid):
    r"""Points on spheres, each turned by a rotation that the input chooses.

    $$h_t = e^{A(x_t)} h_{t-1} = e^{u_t}\, h_{t-1}\, e^{v_t}, \qquad
      (u_t, v_t) = W x_t + b, \qquad y_t = W_o h_t + b_o,$$

    for each head, with $h \in S^3$ a unit quaternion, at first 1. The skew-symmetric matrix A(x) of
    order 4 has six numbers; they are given as two pure quaternions u and v, multiplied from the left and
    from the right, which commute: $e^{u} = \cos|u| + u \sin|u| / |u|$, and no matrix exponential is
    needed. u and v turn two orthogonal planes by $|u| + |v|$ and $|u| - |v|$. The monoid is
    `Power(ma.Sphere(), heads)`: an element has 8 numbers, the state 4, in float32 or wider.

    $|h_t| = 1$ whatever comes in, and nothing fades: to forget, the layer has to turn back. The point of
    departure is no parameter: turned coordinates, and so other W and $W_o$, make any point of it.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        heads: number of spheres, of 4 numbers each.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1.

    Source: a hidden vector that is only ever multiplied by $\exp$ of a skew matrix which is linear in
        the input: `Spherical` of memax, for n = 4; it has no paper. (RotRNN, arXiv 2407.07239, to which
        it is ascribed there, has one rotation for all steps, a decay, and inputs that are added.)

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Spherical(3, 2, 5, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> carry.shape, ys.shape
        ((5, 4), (7, 2))
    """

    inputs: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, heads: int, *, key: PRNGKeyArray):
        check_sizes("Spherical", in_size=in_size, out_size=out_size, heads=heads)
        in_key, out_key = jax.random.split(key)
        self.inputs = Linear(in_size, 6 * heads, key=in_key)
        self.output = Linear(4 * heads, out_size, key=out_key)
        self.in_size, self.out_size, self.heads = in_size, out_size, heads

    @property
    def monoid(self) -> AbstractMonoid:
        return Power(Sphere(wide(self.output.weight).dtype), self.heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Quaternions, Quaternions]:
        left, right = jnp.split(_exponential(wide(self.inputs(x)).reshape(-1, 3)), 2)
        return left, right

    def readout(self, read: Quaternions, x: Array) -> Float[Array, " out"]:
        return self.output(read.ravel().astype(self.output.weight.dtype))


def _exponential(pure: Float[Array, "rows 3"]) -> Float[Array, "rows 4"]:
    """Unit quaternions, of quaternions without a real part."""
    square = jnp.sum(pure * pure, axis=1, keepdims=True)
    # The root has no slope at zero: selected before and after.
    none = square == 0
    angle = jnp.sqrt(jnp.where(none, jnp.ones_like(square), square))
    real = jnp.where(none, jnp.ones_like(angle), jnp.cos(angle))
    factor = jnp.where(none, jnp.ones_like(angle), jnp.sin(angle) / angle)
    return jnp.concatenate([real, factor * pure], axis=1)


def spherical(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + Spherical(norm(x))`, with a sphere for every 4 channels."""
    memory = Spherical(width, width, max(width // 4, 1), key=key)
    return PreNorm(width, memory)
