"""What replay hands to the loss: tokens, and the episodes that they are taken from."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ._ring import Filling, Ring, whole_lengths


class Tokens(eqx.Module):
    """Observations in order, `R` rows side by side, with the transition that begins at each.

    An episode of n transitions has n + 1 observations and so n + 1 tokens. Its last token closes
    it: no action was taken there, it lends its value to the target of the token before.

    Attributes:
        observations: What the network sees.
        start: Whether the token is the first of its episode: the memory forgets before it.
        actions: Taken there.
        rewards: For the transition.
        terminated: Whether the transition ended the episode.
        mask: Whether a transition begins here whose next token comes next in the row. False at
            closing tokens, at a tape's last token, in burn-in and in padding; there the four fields
            above but `start` are 0.
        following: What each transition led to; None unless the loss is the paper's own, which reads
            a second stream.
        carry: The memory before the first token, leading `R`; None for a fresh one.
    """

    observations: Float[Array, "T R F"]
    start: Bool[Array, "T R"]
    actions: Int[Array, "T R"]
    rewards: Float[Array, "T R"]
    terminated: Bool[Array, "T R"]
    mask: Bool[Array, "T R"]
    following: Float[Array, "T R F"] | None
    carry: PyTree[Array] | None


class Episodes(eqx.Module):
    """Draws from a ring: `K` whole episodes, or parts of them.

    Attributes:
        lane: The environment.
        begin: Row of the ring that holds the first transition.
        length: Transitions of the whole episode; the one at offset i is in row
            `(begin + i) % C`.
        part: Which of its parts is meant, from 0; always 0 where whole episodes are drawn.
    """

    lane: Int[Array, " K"]
    begin: Int[Array, " K"]
    length: Int[Array, " K"]
    part: Int[Array, " K"]


class EpisodeTable(eqx.Module):
    """What can be drawn from a ring of `N = C E` slots, oldest first.

    Attributes:
        lengths: As of `whole_lengths`, one row of lanes after the other.
        cumulative: Parts of the episodes up to and including this slot.
        total: Parts that can be drawn.
        episodes: Whole episodes stored.
        head: Row of the ring that the first row of `lengths` belongs to.
    """

    lengths: Int[Array, " N"]
    cumulative: Int[Array, " N"]
    total: Int[Array, ""]
    episodes: Int[Array, ""]
    head: Int[Array, ""]


def episode_table(
    ring: Ring, state: Filling, *, part: int | None = None, exclude: int = 0
) -> EpisodeTable:
    """All whole episodes of a ring, ready to be drawn from.

    Args:
        ring: Any.
        state: How far it is written.
        part: Cut episodes into parts of so many transitions; None leaves them whole.
        exclude: Never draw from this many episodes that ended last.
    """
    lengths = whole_lengths(ring, state).reshape(-1)
    whole = (lengths > 0).astype(jnp.int32)
    parts = whole if part is None else -(-lengths // part)
    if exclude:
        newer = jnp.sum(whole, dtype=jnp.int32) - jnp.cumsum(whole, dtype=jnp.int32)
        parts = jnp.where(newer < exclude, 0, parts)
    cumulative = jnp.cumsum(parts, dtype=jnp.int32)
    return EpisodeTable(
        lengths, cumulative, cumulative[-1], jnp.sum(whole, dtype=jnp.int32), state.head
    )


def draw(table: EpisodeTable, key: PRNGKeyArray, count: int, num_envs: int) -> Episodes:
    """Draw parts of episodes uniformly, with replacement.

    Args:
        table: What there is. Where its total is 0 the draws mean nothing; nobody may learn then.
        key: Random key.
        count: `K`.
        num_envs: Lanes of the ring.
    """
    number = jax.random.randint(key, (count,), 0, jnp.maximum(table.total, 1), jnp.int32)
    return locate(table, number, num_envs)


def locate(table: EpisodeTable, number: Int[Array, " K"], num_envs: int) -> Episodes:
    """The parts with these numbers, counted from the oldest.

    Args:
        table: What there is.
        number: From 0 to `table.total - 1`; anything else gives something that means nothing.
        num_envs: Lanes of the ring.
    """
    slots = table.lengths.shape[0]
    slot = jnp.searchsorted(table.cumulative, number, side="right").astype(jnp.int32)
    slot = jnp.minimum(slot, slots - 1)
    length = table.lengths[slot]
    before = jnp.where(slot > 0, table.cumulative[jnp.maximum(slot - 1, 0)], 0)
    begin = (table.head + slot // num_envs - length + 1) % (slots // num_envs)
    return Episodes(slot % num_envs, begin, length, number - before)


def take(
    ring: Ring,
    episodes: Episodes,
    offset: Int[Array, "T R"],
    mask: Bool[Array, "T R"],
    *,
    following: bool = False,
) -> Tokens:
    """The tokens at some offsets of some episodes.

    Args:
        ring: To read from.
        episodes: Whose fields have the shape of `offset` here, or `(R,)`: one episode per row.
        offset: Of the token in its episode, 0 to length; outside of it is padding.
        mask: Where a transition counts.
        following: Fill that field too.
    """

    def on_tokens(x: Array) -> Array:
        return x if x.ndim == 2 else jnp.broadcast_to(x[None], offset.shape)

    lane, length = on_tokens(episodes.lane), on_tokens(episodes.length)
    real = (offset >= 0) & (offset <= length)
    step = jnp.clip(offset, 0, jnp.maximum(length - 1, 0))
    row = (on_tokens(episodes.begin) + step) % ring.length.shape[0]

    def read(stored: Array) -> Array:
        return stored.at[row, lane].get(mode="promise_in_bounds")

    def where(condition: Array, x: Array) -> Array:
        aligned = condition.reshape(*condition.shape, *(1,) * (x.ndim - condition.ndim))
        return jnp.where(aligned, x, jnp.zeros_like(x))

    led_to = read(ring.following)
    closes = (offset >= length)[..., None]
    return Tokens(
        observations=where(real, jnp.where(closes, led_to, read(ring.observations))),
        start=offset == 0,
        actions=where(mask, read(ring.actions)),
        rewards=where(mask, read(ring.rewards)),
        terminated=where(mask, read(ring.terminated)),
        mask=mask,
        following=where(mask, led_to) if following else None,
        carry=None,
    )
