"""The additive fast weight programmer."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, GatedOuter, Power
from .._compose import Residual, Serial
from .._feed_forward import FeedForward, Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import LayerNorm
from .._position import PositionalEncoding
from .._pre_norm import PreNorm
from .._precision import wide


class FastWeights(AbstractMemoroid):
    r"""A matrix of fast weights, programmed by sums of outer products: linear attention unnormalised.

    $$S_t = S_{t-1} + \phi(k_t)\, v_t^\top, \qquad y_t = W_o\, S_t^\top \phi(q_t), \qquad
      \phi(x) = f(x) / (\textstyle\sum_i f_i(x) + 10^{-5}),$$

    in each head, with $q, k, v$ linear in x; $W_o$ sees all heads. f is the paper's deterministic
    parameter-free projection DPFP-$\nu$, which makes 2d $\nu$ features of d numbers,

    $$f_{2d(j-1) + i}(x) = r_i\, r_{i+j}, \quad r = \mathrm{relu}([x, -x]), \quad
      i = 1, \dots, 2d \text{ (in a circle)}, \quad j = 1, \dots, \nu,$$

    or $1 + \mathrm{elu}(x)$. Features of keys and of queries sum to one, as the paper proposes in place
    of a normaliser for its delta rule (the 1e-5 is its code's); here the update is its additive one.
    The monoid is a [`memoalg.Power`][] of [`memoalg.GatedOuter`][] whose decay is 1, in float32 or wider.

    Nothing is forgotten and nothing normalised: what is read grows with the length of an episode.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries of all heads together, before f.
        value_size: length of the values of all heads together.
        heads: independent memories.
        nu: of DPFP; None for 1 + elu.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads, or nu is not in 1, ..., 2d - 1.

    Source: Schlag et al., Linear Transformers Are Secretly Fast Weight Programmers (arXiv 2102.11174),
        sections 3.2 (sums), 4.2 (sum normalisation) and 5.3 (DPFP).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.FastWeights(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 4, 3), (5, 2))
    """

    queries: Linear
    keys_values: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    nu: int | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        value_size: int,
        *,
        heads: int = 1,
        nu: int | None = 1,
        key: PRNGKeyArray,
    ):
        check_heads("FastWeights", heads, key_size=key_size, value_size=value_size)
        if nu is not None and not 1 <= nu < 2 * key_size // heads:
            raise ValueError(
                f"FastWeights: nu must be at least 1 and below 2 * key_size / heads = "
                f"{2 * key_size // heads}, got {nu}; None is the feature map 1 + elu"
            )
        query_key, pair_key, output_key = jax.random.split(key, 3)
        self.queries = Linear(in_size, key_size, use_bias=False, key=query_key)
        self.keys_values = Linear(in_size, key_size + value_size, use_bias=False, key=pair_key)
        self.output = Linear(value_size, out_size, use_bias=False, key=output_key)
        self.in_size, self.out_size, self.heads, self.nu = in_size, out_size, heads, nu
        self.key_size, self.value_size = key_size, value_size

    @property
    def monoid(self) -> AbstractMonoid:
        features = self.key_size // self.heads * (1 if self.nu is None else 2 * self.nu)
        dtype, value = wide(self.output.weight).dtype, self.value_size // self.heads
        return Power(GatedOuter(features, value, dtype, per_key=False), self.heads)

    def encode(
        self, x: Float[Array, " in"]
    ) -> tuple[Float[Array, "heads feature"], Float[Array, "heads value"], Fixed]:
        keys, values = jnp.split(wide(self.keys_values(x)), [self.key_size])
        nothing_decays = Fixed(jnp.ones(self.heads, values.dtype))
        return self._features(keys), split_heads(values, self.heads), nothing_decays

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads feature"]:
        return self._features(wide(self.queries(x)))

    def readout(
        self, read: Float[Array, "heads value"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(read.ravel().astype(self.output.weight.dtype))

    def _features(self, x: Float[Array, " key"]) -> Float[Array, "heads feature"]:
        parts = split_heads(x, self.heads)
        features = 1 + jax.nn.elu(parts) if self.nu is None else _dpfp(parts, self.nu)
        return features / (jnp.sum(features, axis=-1, keepdims=True) + 1e-5)


def _dpfp(x: Float[Array, "heads key"], nu: int) -> Float[Array, "heads feature"]:
    both = jax.nn.relu(jnp.concatenate([x, -x], axis=-1))
    products = [both * jnp.roll(both, -shift, axis=-1) for shift in range(1, nu + 1)]
    return jnp.concatenate(products, axis=-1)


def fast_weights(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + FastWeights(norm(x + position))`, then `x + FeedForward(norm(x))`: DPFP-1, heads of 16."""
    memory_key, mixer_key = jax.random.split(key)
    memory = FastWeights(width, width, width, width, heads=heads_for(width), key=memory_key)
    norm = Pointwise(LayerNorm(width), width, width)
    mixer = FeedForward(width, 4 * width, width, activation=jax.nn.relu, gated=False, key=mixer_key)
    return Serial(Residual(Serial(PositionalEncoding(width), norm, memory)), PreNorm(width, mixer))
