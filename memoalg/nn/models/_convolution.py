"""A causal convolution over the last few inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, Recent
from .._compose import Residual, Serial
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._norm import layer_norm


class Convolution(AbstractMemoroid):
    r"""A causal convolution: a linear map of the last k inputs.

    $$y_t = \sum_{j=0}^{k-1} W_j x_{t-j} + b,$$

    where inputs before the start of the episode are zero. `weight` holds the maps in the order of
    time, so that its last one is $W_0$, that of the present input. Depthwise, each channel has its own
    k numbers and sees no other channel: the short convolution in front of many memories. The monoid
    is [`memoalg.Recent`][], in the dtype of the weights.

    What is more than k - 1 steps ago is forgotten entirely.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        k: the number of inputs that are seen, the present one included.
        depthwise: one filter for each channel; the sizes must then be equal.
        key: for the initialisation, uniform within one over the root of the number of inputs of an
            output; the bias is zero.

    Raises:
        ValueError: for a size below 1, or where `depthwise` and the sizes differ.

    Source: van den Oord et al., WaveNet (arXiv 1609.03499), section 2.1; depthwise: Gu and Dao, Mamba
        (arXiv 2312.00752), section 3.4.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Convolution(3, 2, k=4, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> ys.shape, bool(jnp.allclose(ys[3], ys[4])), bool(jnp.allclose(ys[2], ys[3]))
        ((5, 2), True, False)
    """

    weight: Float[Array, "out k in"] | Float[Array, "k size"]
    bias: Float[Array, " out"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    k: int = eqx.field(static=True)
    depthwise: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        k: int = 4,
        *,
        depthwise: bool = False,
        key: PRNGKeyArray,
    ):
        if min(in_size, out_size, k) < 1:
            raise ValueError(
                "Convolution needs sizes of at least 1, got "
                f"in_size={in_size}, out_size={out_size}, k={k}"
            )
        if depthwise and in_size != out_size:
            raise ValueError(
                "Convolution: a depthwise one keeps the channels, so in_size and out_size must be "
                f"equal, got {in_size} and {out_size}; write depthwise=False to mix channels"
            )
        shape = (k, in_size) if depthwise else (out_size, k, in_size)
        bound = (k if depthwise else k * in_size) ** -0.5
        self.weight = jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        self.bias = jnp.zeros(out_size)
        self.in_size, self.out_size = in_size, out_size
        self.k, self.depthwise = k, depthwise

    @property
    def monoid(self) -> AbstractMonoid:
        return Recent((self.in_size,), self.k, self.weight.dtype)

    def encode(self, x: Float[Array, " in"]) -> Float[Array, " in"]:
        return x.astype(self.weight.dtype)

    def readout(
        self, read: tuple[Float[Array, "k in"], Int[Array, ""]], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        # Slots that were not filled are zero.
        values, _ = read
        if self.depthwise:
            return jnp.sum(self.weight * values, axis=0) + self.bias
        flat = self.weight.reshape(self.out_size, -1)
        return dense_product(values.reshape(-1), flat) + self.bias


def convolution(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + silu(Convolution(norm(x)))`, over the last 4 inputs."""
    norm = Pointwise(layer_norm, width, width)
    return Residual(Serial(norm, Convolution(width, width, key=key), Pointwise(jax.nn.silu)))
