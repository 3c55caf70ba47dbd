"""Say whether a symbol is the one of n steps ago."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete
from ._levels import level_name
from ._n_back_picture import draw_n_back


class NBackParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        length: int32, the number of symbols of an episode, more than the environment's `n`.
    """

    length: Int[Array, ""]


class NBackState(eqx.Module):
    """What is carried.

    Args:
        shown: int8, the last `n` + 1 symbols, the present one first; 0 where none was shown yet.
        time: int32, the present symbol's index.
    """

    shown: Int[Array, " window"]
    time: Int[Array, ""]


class NBack(AbstractEnvironment[NBackState, NBackParams]):
    r"""At every step, say whether the present symbol equals the one of `n` steps ago.

    The dial `n` is how many symbols must be held *and kept in order* at once: the window moves at
    every step, so a memory that keeps one thing for long is of no use here. `symbols` is how much
    each of them weighs. Fewer than `n` remembered symbols help nothing: a match is independent of
    the present symbol and of the `n - 1` before it.

    With $S$ = `symbols` and $L$ = `length`: $s_0, \dots, s_{n-1}$ are uniform; for $t \ge n$ the
    symbol $s_t$ equals $s_{t-n}$ with probability 1/2, else it is uniform among the $S - 1$ others,
    so matches are balanced and each symbol is uniform. Step $t = 0, \dots, L-1$ comes after $s_t$
    was shown and rewards $\pm 1/(L-n)$ for action $= [s_t = s_{t-n}]$ or not where $t \ge n$, and 0
    before. The episode terminates after $L$ steps. The best return is 1, the random one and the best
    memoryless one are 0.

    Args:
        n: how far back the question reaches, 1 to 1000. Easy, Medium, Hard: 1, 4, 16.
        symbols: S, 2 to 100. Easy, Medium, Hard: 4.
        length: L, n + 1 to 1,000,000. Easy, Medium, Hard: 50, 100, 200.

    Raises:
        ValueError: an argument is out of range.

    Source:
        Kirchner, Age differences in short-term retention of rapidly changing information (1958).

    Example:
        >>> import jax
        >>> from memoalg.envs import NBack
        >>> env = NBack(n=4, symbols=4, length=100)
        >>> env.name
        'memory/NBackMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> state.shown.shape
        (5,)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1, 4, 50), (4, 4, 100), (16, 4, 200))

    n: int = eqx.field(static=True, default=1)
    symbols: int = eqx.field(static=True, default=4)
    length: int = eqx.field(static=True, default=50)

    def __check_init__(self):
        n = int_in_range(self.n, "NBack(n=...)", 1, 1000)
        int_in_range(self.symbols, "NBack(symbols=...)", 2, 100)
        int_in_range(self.length, "NBack(length=...)", n + 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("NBack", (self.n, self.symbols, self.length), self.levels, "memory")

    def default_params(self) -> NBackParams:
        """The constructor's length."""
        return NBackParams(jnp.asarray(self.length, jnp.int32))

    def reset(self, key: PRNGKeyArray, params: NBackParams) -> tuple[Int[Array, ""], NBackState]:
        """Show the first symbol."""
        symbol = jax.random.randint(key, (), 0, self.symbols, jnp.int32)
        shown = _take_up(jnp.zeros((self.n + 1,), jnp.int8), symbol)
        return symbol, NBackState(shown, jnp.zeros((), jnp.int32))

    def transition(
        self, key: PRNGKeyArray, state: NBackState, action: Int[Array, ""], params: NBackParams
    ) -> Transition[NBackState]:
        """Reward the answer where there was a question, then show the next symbol."""
        action = discrete_action(action, "NBack")
        scale = 1 / (params.length - self.n).astype(float)
        right = (action == 1) == _matches(state)
        reward = jnp.where(state.time >= self.n, jnp.where(right, scale, -scale), 0.0)
        time = state.time + 1
        symbol = self._draw(key, state.shown[-2], time >= self.n)
        state = NBackState(_take_up(state.shown, symbol), time)
        return symbol, state, reward, time >= params.length, jnp.zeros((), bool)

    def observation_space(self, params: NBackParams) -> Discrete:
        """The present symbol."""
        return Discrete(self.symbols)

    def action_space(self, params: NBackParams) -> Discrete:
        """0: another symbol, 1: the same."""
        return Discrete(2)

    def oracle(self, state: NBackState, params: NBackParams) -> Int[Array, ""]:
        """Whether the present symbol is that of `n` steps ago."""
        return _matches(state).astype(jnp.int32)

    def render(self, state: NBackState) -> UInt8[np.ndarray, "height width 3"]:
        """The last symbols, with the two that are compared."""
        return draw_n_back(np.asarray(state.shown), int(state.time), self.n)

    def _draw(
        self, key: PRNGKeyArray, old: Int[Array, ""], asked: Bool[Array, ""]
    ) -> Int[Array, ""]:
        """The next symbol, given the one it will be compared with."""
        # One integer below 2 S (S - 1) gives a fair coin and both uniform choices.
        others = self.symbols - 1
        number = jax.random.randint(key, (), 0, 2 * self.symbols * others, jnp.int32)
        shift = jnp.where(number % 2 == 1, 0, 1 + (number // 2) % others)
        related = (old.astype(jnp.int32) + shift) % self.symbols
        return jnp.where(asked, related, number // (2 * others))


def _matches(state: NBackState) -> Bool[Array, ""]:
    return state.shown[0] == state.shown[-1]


def _take_up(shown: Int[Array, " window"], symbol: Int[Array, ""]) -> Int[Array, " window"]:
    """Put a symbol in front and drop the oldest."""
    return jnp.concatenate([symbol.astype(shown.dtype)[None], shown[:-1]])
