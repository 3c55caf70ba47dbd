"""The belief of a learned hidden Markov model as a memory."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, HiddenMarkov, Power
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class HMM(AbstractMemoroid):
    r"""The belief state of a learned hidden Markov model, by the exact forward algorithm.

    $$p_t(j) \propto b_j(x_t) \sum_i p_{t-1}(i)\, A_{ij}, \qquad A = \mathrm{softmax}(L), \quad
      \log b(x) = W x + c, \quad p_0 = \mathrm{softmax}(l), \qquad y_t = W_o\, p_t + b_o,$$

    for each head, with the softmax of L taken of each row. $p_0$ is the belief before the first
    transition, so that the first step is like any other. A log-likelihood that is linear in x is that of
    any exponential family with a common carrier, because a factor that all states share cancels in the
    belief: of categorical emissions for one-hot x (W is the logarithm of their table), of Gaussians with
    one covariance. The state is $\log p$, in float32 or wider, and stays normalised however long the
    sequence. The monoid is `Power(ma.HiddenMarkov(n), heads)`; $\log A$ is [`memoalg.Fixed`][].

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: n, the number of hidden states of each model.
        heads: independent models, which see the same input.
        stay: the probability of staying in a state at initialisation, but for noise.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < stay < 1`.

    Source: Rabiner, A Tutorial on Hidden Markov Models (Proceedings of the IEEE, 1989), eqs. 19 to 21,
        normalised at each step; in parallel: Hassan, Särkkä and García-Fernández (arXiv 2102.05743),
        section III.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.HMM(3, 2, 4, heads=5, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> jnp.exp(carry).sum(axis=1).round(4), ys.shape
        (Array([1., 1., 1., 1., 1.], dtype=float32), (7, 2))
    """

    transition_logits: Float[Array, "heads n n"]
    initial_logits: Float[Array, "heads n"]
    likelihood: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        heads: int = 1,
        stay: float = 0.9,
        key: PRNGKeyArray,
    ):
        check_sizes("HMM", in_size=in_size, out_size=out_size, state_size=state_size, heads=heads)
        if not 0.0 < stay < 1.0:
            raise ValueError(f"HMM needs 0 < stay < 1, got {stay}")
        noise_key, likelihood_key, out_key = jax.random.split(key, 3)
        # The others share what is left, so the odds against each are n - 1 times those of leaving.
        odds = math.log(stay / (1 - stay) * max(state_size - 1, 1))
        noise = jax.random.normal(noise_key, (heads, state_size, state_size))
        self.transition_logits = noise + odds * jnp.eye(state_size)[None]
        self.initial_logits = jnp.zeros((heads, state_size))
        self.likelihood = Linear(in_size, heads * state_size, key=likelihood_key)
        self.output = Linear(heads * state_size, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, states = self.initial_logits.shape
        return Power(HiddenMarkov(states, wide(self.initial_logits).dtype), heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Float[Array, "heads n"]]:
        log_transition = jax.nn.log_softmax(wide(self.transition_logits), axis=-1)
        log_likelihood = wide(self.likelihood(x)).reshape(self.initial_logits.shape)
        return Fixed(log_transition), log_likelihood

    def initial_state(self) -> Float[Array, "heads n"]:
        return jax.nn.log_softmax(wide(self.initial_logits), axis=-1)

    def readout(self, read: Float[Array, "heads n"], x: Array) -> Float[Array, " out"]:
        return self.output(jnp.exp(read).ravel().astype(self.output.weight.dtype))


def hmm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + HMM(norm(x))`, with a model of 8 hidden states for every 8 channels."""
    memory = HMM(width, width, 8, heads=max(width // 8, 1), key=key)
    return PreNorm(width, memory)
