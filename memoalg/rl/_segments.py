"""Segment-based batching: episodes cut into parts of at most L transitions, padded with zeros."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._ring import Ring
from ._tokens import Episodes, EpisodeTable, Tokens, draw, take


def draw_segments(table: EpisodeTable, key: PRNGKeyArray, rows: int, num_envs: int) -> Episodes:
    """Segments drawn uniformly and with replacement: a longer episode has more of them.

    Args:
        table: Of the parts of episodes: `episode_table(..., part=L)`.
        key: Random key.
        rows: How many.
        num_envs: Lanes of the ring.
    """
    return draw(table, key, rows, num_envs)


def gather_segments(
    ring: Ring, segments: Episodes, length: int, *, burn_in: int = 0, following: bool = False
) -> Tokens:
    """Segments side by side, each with the closing token and with what came before it.

    Args:
        ring: That they were drawn from.
        segments: One per row.
        length: `L` transitions; a shorter one is padded behind its closing token.
        burn_in: Tokens of the same episode in front, whose transitions do not count. What would lie
            before the episode is padding.
        following: Fill that field too.

    Returns:
        Rows of `burn_in + L + 1` tokens. Where the ring keeps carries, `carry` is the memory that
        the first token was met with.
    """
    first = segments.part * length - burn_in
    place = jnp.arange(burn_in + length + 1, dtype=jnp.int32)
    offset = first[None] + place[:, None]
    inside = (place >= burn_in) & (place < burn_in + length)
    counts = inside[:, None] & (offset < segments.length[None])
    tokens = take(ring, segments, offset, counts, following=following)
    if ring.carries is None:
        return tokens
    row = (segments.begin + jnp.maximum(first, 0)) % ring.length.shape[0]
    stored = jax.tree.map(
        lambda x: x.at[row, segments.lane].get(mode="promise_in_bounds"), ring.carries
    )
    return eqx.tree_at(lambda t: t.carry, tokens, stored, is_leaf=lambda x: x is None)
