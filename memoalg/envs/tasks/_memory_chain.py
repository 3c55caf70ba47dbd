"""Repeat a bit that was shown at the start, any number of steps later."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._corridor_picture import draw_chain
from ._levels import level_name

MAX_LENGTH = 1_000_000


class MemoryChainParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        length: int32, the number of observations of an episode.
    """

    length: Int[Array, ""]


class MemoryChainState(eqx.Module):
    """What is carried.

    Args:
        context: int8, the bits to remember, 0 or 1.
        query: int32, which of them is asked for.
        time: int32, the index of the observation that is shown; -1 while the first one is shown
            for the first of two times.
    """

    context: Int[Array, " bits"]
    query: Int[Array, ""]
    time: Int[Array, ""]


class MemoryChain(AbstractEnvironment[MemoryChainState, MemoryChainParams]):
    r"""See a few bits once, then say one of them at the end.

    The dial `length` is how long one bit must be held: nothing but a clock is seen between the
    first observation and the last, nothing is rewarded but the last action, and no time limit cuts
    the episode, so the score as a function of `length` is a memory's reach and nothing else. The
    second dial, `num_bits`, is how much is held.

    For each episode, bits $b_i \sim$ Bernoulli(1/2) and a query $q \sim U\{0, \dots, B - 1\}$ are
    drawn, $i = 0, \dots, B - 1$ with $B$ = `num_bits`.
    With $N$ = `length` the observations are, for $t = 0, \dots, N-1$,
    $$o_t = \bigl(1 - t/N,\; q\,[t = N-1],\; (2 b_i - 1)\,[t = 0]\bigr).$$
    The action that answers $o_{N-1}$ is rewarded $+1$ if it equals $b_q$, else $-1$, and the episode
    terminates, after $N$ steps; every other action is without effect and reward. The context is
    shown **once**, so $N - 1$ steps lie between the bit and the answer (at $N = 1$ both are in one
    observation). bsuite's code returns the first observation twice, from `reset` and from the first
    step, and takes $N + 1$ steps; `first_twice=True` does the same. The random return is 0, the
    best one 1, the best memoryless one 0 where $N \ge 2$.

    Args:
        length: N, 1 to 1,000,000. Easy, Medium, Hard: 10, 100, 1000.
        num_bits: how many bits are shown, 1 to 1000.
        first_twice: show the first observation twice, as bsuite's code does.

    Raises:
        ValueError: `length` or `num_bits` is out of range.

    Source:
        Osband et al., Behaviour Suite for Reinforcement Learning (ICLR 2020), "memory length" and
        "memory size".

    Example:
        >>> import jax
        >>> from memoalg.envs import MemoryChain
        >>> env = MemoryChain(length=1_000_000)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> float(obs[0]), abs(float(obs[2]))
        (1.0, 1.0)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10,), (100,), (1000,))

    length: int = eqx.field(static=True, default=10)
    num_bits: int = eqx.field(static=True, default=1)
    first_twice: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        int_in_range(self.length, "MemoryChain(length=...)", 1, MAX_LENGTH)
        int_in_range(self.num_bits, "MemoryChain(num_bits=...)", 1, 1000)
        if not isinstance(self.first_twice, bool):
            raise TypeError(
                f"MemoryChain(first_twice=...) must be True or False, got {self.first_twice!r}"
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.length, self.num_bits, self.first_twice)
        plain = arguments[1:] == (1, False)
        return level_name(
            "MemoryChain", arguments[:1] if plain else arguments, self.levels, "memory"
        )

    def default_params(self) -> MemoryChainParams:
        """The constructor's length."""
        return MemoryChainParams(jnp.asarray(self.length, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: MemoryChainParams
    ) -> tuple[Float[Array, " entries"], MemoryChainState]:
        """Draw the bits and the query."""
        key_context, key_query = jax.random.split(key)
        context = jax.random.bernoulli(key_context, 0.5, (self.num_bits,)).astype(jnp.int8)
        query = jax.random.randint(key_query, (), 0, self.num_bits, jnp.int32)
        time = jnp.asarray(-1 if self.first_twice else 0, jnp.int32)
        state = MemoryChainState(context, query, time)
        return _observe(state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: MemoryChainState,
        action: Int[Array, ""],
        params: MemoryChainParams,
    ) -> Transition[MemoryChainState]:
        """Reward the last action; let the clock run."""
        action = discrete_action(action, "MemoryChain")
        last = state.time == params.length - 1
        right = action == self.oracle(state, params)
        reward = jnp.where(last, jnp.where(right, 1.0, -1.0), 0.0).astype(float)
        state = MemoryChainState(state.context, state.query, state.time + 1)
        return _observe(state, params), state, reward, last, jnp.zeros((), bool)

    def observation_space(self, params: MemoryChainParams) -> Box:
        """The time left in 0..1, the query, and the bits as -1 or 1."""
        bits = np.ones(self.num_bits)
        low = np.concatenate([[0.0, 0.0], -bits])
        return Box(low, np.concatenate([[1.0, self.num_bits - 1.0], bits]))

    def action_space(self, params: MemoryChainParams) -> Discrete:
        """A bit."""
        return Discrete(2)

    def oracle(self, state: MemoryChainState, params: MemoryChainParams) -> Int[Array, ""]:
        """The bit that is, or will be, asked for."""
        asked = jnp.arange(self.num_bits, dtype=jnp.int32) == state.query
        return jnp.sum(jnp.where(asked, state.context, 0), dtype=jnp.int32)

    def render(self, state: MemoryChainState) -> UInt8[np.ndarray, "height width 3"]:
        """The bits at the start of a line, the question at its end, and how far the clock is."""
        time = max(int(state.time), 0)
        return draw_chain(np.asarray(state.context), int(state.query), time, self.length)


def _observe(state: MemoryChainState, params: MemoryChainParams) -> Float[Array, " entries"]:
    time = jnp.maximum(state.time, 0)
    # One quotient of whole numbers: 1 - t/N may come out as -1e-8 where a compiler fuses it.
    left = (params.length - time).astype(float) / params.length.astype(float)
    query = jnp.where(time == params.length - 1, state.query, 0).astype(float)
    context = jnp.where(time == 0, 2 * state.context - 1, 0).astype(float)
    return jnp.concatenate([left[None], query[None], context])
