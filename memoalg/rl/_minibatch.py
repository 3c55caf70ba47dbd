"""Minibatches of whole environments: time is never cut, so the stored carry fits every one."""

from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, UInt32


@runtime_checkable
class Timed(Protocol):
    """What can be split by environments: a `carry` of leading `E`, all else of leading `(T, E)`."""

    @property
    def carry(self) -> Any:
        """The memory before step 0."""
        ...


AnyBatch = TypeVar("AnyBatch", bound=Timed)


class Batch(eqx.Module):
    """What one learning pass reads: `T` contiguous steps of `E` environments.

    Attributes:
        carry: The memory before step 0, leading `E`.
        observations: What was acted on.
        start: Whether it was the first observation of its episode.
        actions: Taken, before any clipping to the action space, leading `(T, E)`.
        log_probs: Of the actions under the policy that acted.
        values: Predicted while acting.
        advantages: Estimated from the rollout.
        targets: For the value function, `advantages + values`.
    """

    carry: PyTree[Array]
    observations: Float[Array, "T E F"]
    start: Bool[Array, "T E"]
    actions: Array
    log_probs: Float[Array, "T E"]
    values: Float[Array, "T E"]
    advantages: Float[Array, "T E"]
    targets: Float[Array, "T E"]


def environment_order(
    key: PRNGKeyArray, num_envs: int, epochs: int, minibatches: int
) -> Int[Array, "steps envs"]:
    """Which environments make up each minibatch: a fresh permutation per epoch.

    Args:
        key: Random key.
        num_envs: Environments in the rollout.
        epochs: Passes over all environments.
        minibatches: Parts of each pass; must divide `num_envs`.

    Returns:
        Indices of shape `(epochs * minibatches, num_envs / minibatches)`.
    """
    draws = jax.random.bits(key, (epochs, num_envs), jnp.uint32)
    orders = jax.vmap(_ranks)(draws)
    return orders.reshape(epochs * minibatches, num_envs // minibatches)


def _ranks(draws: UInt32[Array, " n"]) -> Int[Array, " n"]:
    """The place of each draw among all: a uniform permutation, ties in order of position."""
    # Not jax.random.permutation: its sort alone takes about a CPU-second to compile.
    places = jnp.arange(draws.shape[0], dtype=jnp.int32)
    smaller = draws[None, :] < draws[:, None]
    earlier_tie = (draws[None, :] == draws[:, None]) & (places[None, :] < places[:, None])
    return jnp.sum(smaller | earlier_tie, axis=1, dtype=jnp.int32)


def take_environments(batch: AnyBatch, indices: Int[Array, " n"]) -> AnyBatch:
    """The batch of the chosen environments, all their steps in order.

    Args:
        batch: Time-major fields `(T, E, ...)`, carry `(E, ...)`.
        indices: Of the environments.

    Returns:
        Fields `(T, n, ...)`, carry `(n, ...)`.
    """

    # The indices come from a permutation: no bounds check, no fill value.
    def along(axis: int, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: jnp.take(x, indices, axis=axis, mode="clip"), tree)

    timed = along(1, eqx.tree_at(lambda b: b.carry, batch, None))
    return eqx.tree_at(lambda b: b.carry, timed, along(0, batch.carry), is_leaf=lambda x: x is None)
