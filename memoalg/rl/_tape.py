"""Tape-based batching: whole episodes one after the other, cut to a fixed number of tokens."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from ._ring import Ring
from ._tokens import Episodes, EpisodeTable, Tokens, draw, take


def draw_tape(table: EpisodeTable, key: PRNGKeyArray, tokens: int, num_envs: int) -> Episodes:
    """Enough episodes to fill a tape, drawn uniformly and with replacement.

    Args:
        table: Of whole episodes.
        key: Random key.
        tokens: Of the tape.
        num_envs: Lanes of the ring.

    Returns:
        So many episodes that the shortest ones, of one transition, would do; most are not read.
    """
    return draw(table, key, -(-tokens // 2), num_envs)


def gather_tape(ring: Ring, episodes: Episodes, tokens: int) -> Tokens:
    """Lay episodes out one after the other until there are `tokens` tokens.

    The last token closes the tape whether or not its episode goes on: its value is a target's, its
    own target would need the token behind it.

    Args:
        ring: That they were drawn from.
        episodes: In the order wanted; what is too much is not read.
        tokens: `B`.

    Returns:
        One row of `B` tokens.

    Source:
        Morad et al. 2024, Recurrent Reinforcement Learning with Memoroids (arXiv 2402.09900),
        algorithm 2; without closing tokens there, so that targets need a second stream.
    """
    which, offset = _layout(episodes.length + 1, tokens)
    chosen = jax.tree.map(lambda x: x[which][:, None], episodes)
    counts = (offset[:, None] < chosen.length) & _not_last(tokens)
    return take(ring, chosen, offset[:, None], counts)


def gather_published_tape(ring: Ring, episodes: Episodes, tokens: int) -> Tokens:
    """The tape as published: transitions without closing tokens, every one counts.

    Args:
        ring: That they were drawn from.
        episodes: In the order wanted.
        tokens: `B` transitions.

    Returns:
        One row of `B` tokens, each with the observation that its transition led to.
    """
    which, offset = _layout(episodes.length, tokens)
    chosen = jax.tree.map(lambda x: x[which][:, None], episodes)
    every = jnp.ones((tokens, 1), bool)
    return take(ring, chosen, offset[:, None], every, following=True)


def _layout(sizes: Int[Array, " K"], tokens: int) -> tuple[Int[Array, " B"], Int[Array, " B"]]:
    """Which episode each token of the tape is of, and its offset therein."""
    ends = jnp.cumsum(sizes, dtype=jnp.int32)
    place = jnp.arange(tokens, dtype=jnp.int32)
    which = jnp.searchsorted(ends, place, side="right").astype(jnp.int32)
    which = jnp.minimum(which, sizes.shape[0] - 1)
    return which, place - (ends[which] - sizes[which])


def _not_last(tokens: int) -> Array:
    return (jnp.arange(tokens) < tokens - 1)[:, None]
