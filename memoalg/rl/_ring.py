"""The replay ring: the last steps of every environment, and which episodes among them are whole.

Time comes first, and all lanes (environments) write the same rows at the same place. So the place
of the next write follows from the number of updates alone: it is never stored, it is the same for
all seeds, and under a `vmap` over them a write stays one window and does not become one per seed.

The episode table is one number per slot: the length of the episode that *ended* there, else 0. An
episode is whole as long as its first step has not been overwritten, which age and length decide.
There are no pointers to episodes that could go stale, however many begin, end or are overwritten
within one write.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._rollout import Rollout


class Ring(eqx.Module):
    """The last `C` steps of `E` environments.

    Attributes:
        observations: Acted on.
        following: What the step returned without the restart: the final observation where an
            episode ended. It doubles the memory for observations, and makes every slot readable
            without its neighbour, which may be overwritten or of another episode.
        actions: As sampled.
        rewards: For the step.
        terminated: Whether the step ended the episode.
        truncated: Whether the step was the last because of a limit.
        start: Whether the observation was the first of its episode.
        length: Steps of the episode that ended in this slot; 0 where none ended.
        carries: The memory before the step, under the parameters that acted, leading `(C, E)`; None
            where it is not kept. One carry per step: an FFM of size 64 x 4 takes 2 KiB each.
    """

    observations: Float[Array, "C E F"]
    following: Float[Array, "C E F"]
    actions: Int[Array, "C E"]
    rewards: Float[Array, "C E"]
    terminated: Bool[Array, "C E"]
    truncated: Bool[Array, "C E"]
    start: Bool[Array, "C E"]
    length: Int[Array, "C E"]
    carries: PyTree[Array] | None


class Filling(eqx.Module):
    """How far a ring is written: a function of the number of writes, and not stored.

    Attributes:
        head: Row that the next write begins at; once the ring is full, the oldest row.
        rows: Rows that hold something.
    """

    head: Int[Array, ""]
    rows: Int[Array, ""]


def filling(writes: Int[Array, ""], num_steps: int, capacity: int) -> Filling:
    """Where a ring of `capacity` rows stands after `writes` writes of `num_steps` rows each.

    Args:
        writes: Their number; in training, the number of finished updates.
        num_steps: Rows of each.
        capacity: `C`, a multiple of `num_steps`: no write wraps around.
    """
    blocks = capacity // num_steps
    # In blocks and not in rows, whose number would overflow much earlier.
    return Filling(writes % blocks * num_steps, jnp.minimum(writes, blocks) * num_steps)


def ring_rows(rollout: Rollout, length_before: Int[Array, " E"]) -> Ring:
    """A rollout as rows of a ring.

    Args:
        rollout: With its final observations; its carries are kept where it has them.
        length_before: Steps that each environment's episode had before the rollout.

    Returns:
        A ring of `T` rows.
    """
    assert rollout.final_observations is not None
    ended = rollout.terminated | rollout.truncated
    start = rollout.start[:-1]
    return Ring(
        observations=rollout.observations[:-1],
        following=rollout.final_observations,
        actions=rollout.actions,
        rewards=rollout.rewards,
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        start=start,
        length=jnp.where(ended, episode_steps(start, length_before), 0),
        carries=rollout.carries,
    )


def episode_steps(start: Bool[Array, "T E"], length_before: Int[Array, " E"]) -> Int[Array, "T E"]:
    """The number of each step within its episode, from 1.

    Args:
        start: Whether an episode begins with the step.
        length_before: Steps that each environment's episode had before the first row.
    """
    rows = jnp.broadcast_to(jnp.arange(start.shape[0], dtype=jnp.int32)[:, None], start.shape)
    running = jnp.broadcast_to(-length_before[None], start.shape)
    # The row with which the running episode began, negative if before these rows.
    begun = jax.lax.cummax(jnp.where(start, rows, running), axis=0)
    return rows - begun + 1


def empty_ring(rows: PyTree[jax.ShapeDtypeStruct], capacity: int) -> Ring:
    """A ring without steps.

    Args:
        rows: What will be written, as shapes: `jax.eval_shape` of `ring_rows`.
        capacity: `C`, in rows.
    """
    return jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype), rows)


def write_ring(ring: Ring, rows: Ring, head: Int[Array, ""]) -> Ring:
    """The ring with `rows` written from row `head` on, over whatever was there.

    Args:
        ring: Of `C` rows.
        rows: `T` rows, `T` a divisor of `C`.
        head: A multiple of `T` below `C`: see `filling`.
    """

    def put(stored: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(stored, new, head, axis=0)

    return jax.tree.map(put, ring, rows)


def whole_lengths(ring: Ring, state: Filling) -> Int[Array, "C E"]:
    """Lengths of the episodes that are in the ring from beginning to end, oldest row first.

    Args:
        ring: Any.
        state: How far it is written.

    Returns:
        Row `i` belongs to row `(head + i) % C` of the ring: the length of the episode that ended
        there, 0 where none did or where its beginning has been overwritten. Rows never written,
        which come first, hold 0.
    """
    capacity = ring.length.shape[0]
    ordered = jnp.roll(ring.length, -state.head, axis=0)
    place = jnp.broadcast_to(jnp.arange(capacity, dtype=jnp.int32)[:, None], ordered.shape)
    steps_up_to_it = place + 1 - (capacity - state.rows)
    return jnp.where(ordered <= steps_up_to_it, ordered, 0)
