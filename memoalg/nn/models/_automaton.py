"""A finite automaton whose transitions are learned."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, Markov, Power
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class Automaton(AbstractMemoroid):
    r"""A soft finite automaton: the input chooses a letter, and each letter has a learned transition.

    $$p_t = p_{t-1} \sum_c w_c(x_t)\, P_c, \qquad w(x) = \mathrm{softmax}(W x + b), \quad
      P_c = \mathrm{softmax}(L_c), \qquad y_t = W_o\, p_t + b_o,$$

    for each head, with p a distribution over n states (a row), at first certain of state 0, and the
    softmax of $L_c$ taken of each row: $P_c[i, j]$ is the probability to go from i to j on the letter c.
    The monoid is `Power(ma.Markov(n), heads)`, in float32 or wider; the transitions are
    [`memoalg.Fixed`][], and no matrix is formed per step.

    Where both softmaxes are saturated (differences of more than 104 in float32), p has zeros and ones
    alone and the automaton is exact for ever, because no product rounds. Where they are soft the state
    is mixed at each step, and the layer forgets. Transitions begin as random permutations with the
    probability 0.95, that of letter 0 as staying; b begins at 3 for letter 0.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: n, the number of states of each automaton.
        letters: number of transitions of each automaton; None is `state_size`.
        heads: independent automata.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1.

    Source: the choice among a dictionary of transition matrices by a softmax: Terzić et al., On the
        Expressiveness and Length Generalization of Selective State-Space Models on Regular Languages
        (arXiv 2412.19350), whose matrices are dense and normalised by columns and whose inputs are also
        added. That they are stochastic, and nothing is added, makes it a probabilistic automaton of
        Rabin (Information and Control, 1963).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Automaton(3, 2, 4, letters=6, heads=5, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> carry.shape, ys.shape
        ((5, 4), (7, 2))
    """

    choice: Linear
    transition_logits: Float[Array, "heads letters n n"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        letters: int | None = None,
        heads: int = 1,
        key: PRNGKeyArray,
    ):
        letters = state_size if letters is None else letters
        check_sizes(
            "Automaton",
            in_size=in_size,
            out_size=out_size,
            state_size=state_size,
            letters=letters,
            heads=heads,
        )
        in_key, permutation_key, out_key = jax.random.split(key, 3)
        choice = Linear(in_size, heads * letters, key=in_key)
        bias = jnp.zeros((heads, letters)).at[:, 0].set(3.0).ravel()
        self.choice = eqx.tree_at(lambda linear: linear.bias, choice, bias)
        states = jnp.broadcast_to(jnp.arange(state_size), (heads, letters, state_size))
        images = jax.random.permutation(permutation_key, states, axis=2, independent=True)
        images = images.at[:, 0].set(jnp.arange(state_size))
        # 0.95 for one state, the rest of it shared by the n - 1 others.
        sharpness = jnp.log(19.0 * max(state_size - 1, 1))
        self.transition_logits = sharpness * jax.nn.one_hot(images, state_size)
        self.output = Linear(heads * state_size, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, _, _, states = self.transition_logits.shape
        return Power(Markov(states, wide(self.transition_logits).dtype), heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Float[Array, "heads letters"], Fixed]:
        logits = wide(self.choice(x)).reshape(self.transition_logits.shape[:2])
        transitions = jax.nn.softmax(wide(self.transition_logits), axis=-1)
        return jax.nn.softmax(logits, axis=-1), Fixed(transitions)

    def readout(self, read: Float[Array, "heads n"], x: Array) -> Float[Array, " out"]:
        return self.output(read.ravel().astype(self.output.weight.dtype))


def automaton(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + Automaton(norm(x))`, with an automaton of 8 states and 8 letters for every 8 channels."""
    memory = Automaton(width, width, 8, heads=max(width // 8, 1), key=key)
    return PreNorm(width, memory)
