"""Probes of a network with a memory: each an error that ought to be zero."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._tree import first_difference, key_path, leaf_text
from ._network import AbstractNetwork
from ._rollout import Rollout, collect, fresh_memories, init_rollout
from ._state import RolloutState

LANES = 4
"""Environments that are played for the probes."""

Outputs = tuple[PyTree[Array], PyTree[Array], Float[Array, "T E"]]
"""Carry, policies, values."""


class NetworkErrors(eqx.Module):
    """What `network_errors` finds, all scalars.

    Attributes:
        step: Largest relative difference between steps and a sequence call, carry included.
        replay: Largest change of an action's log probability or of a value between acting and
            replaying, relative to the values' size.
        leak: Largest change behind a start, in a sequence or in steps, that other observations
            before it bring about; infinite for NaN.
        spread: Standard deviation of the log probabilities: 0 blinds the probe.
    """

    step: Float[Array, ""]
    replay: Float[Array, ""]
    leak: Float[Array, ""]
    spread: Float[Array, ""]


def carry_difference(network: AbstractNetwork, features: int) -> str | None:
    """Where the carry's structure, shape, dtype or weak type changes; None where it does not.

    Args:
        network: Not run, only traced.
        features: Length of an observation.
    """
    fresh = jax.eval_shape(network.init_carry)
    observation = jax.ShapeDtypeStruct((features,), float)
    start = jax.ShapeDtypeStruct((), bool)
    # One after the other: a step that changes the type makes many a sequence call impossible.
    for name, carry_of in (("step", _carry_of_step), ("the sequence call", _carry_of_call)):
        other = jax.eval_shape(carry_of, network, fresh, observation, start)
        found = first_difference(fresh, other) or _weak_difference(fresh, other)
        if found is not None:
            return f"init_carry and {name} differ in {found}"
    return _weak(fresh)


def _carry_of_step(network: Any, carry: PyTree, observation: Array, start: Array) -> PyTree:
    return network.step(carry, observation, start)[0]


def _carry_of_call(network: Any, carry: PyTree, observation: Array, start: Array) -> PyTree:
    carry = jax.tree.map(lambda x: x[None], carry)
    observations, starts = jnp.stack(2 * [observation])[:, None], jnp.stack(2 * [start])[:, None]
    return jax.tree.map(lambda x: x[0], network(carry, observations, starts)[0])


def _weak_difference(one: PyTree, two: PyTree) -> str | None:
    leaves = jax.tree_util.tree_flatten_with_path(one)[0]
    for (path, a), b in zip(leaves, jax.tree.leaves(two), strict=True):
        if a.weak_type != b.weak_type:
            return f"leaf {key_path(path)}: {leaf_text(a)}, then {leaf_text(b)}"
    return None


def _weak(tree: PyTree) -> str | None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if leaf.weak_type:
            return f"init_carry gives leaf {key_path(path)} as {leaf_text(leaf)}"
    return None


def network_errors(
    network: AbstractNetwork, env: Any, params: Any, key: PRNGKeyArray, num_steps: int
) -> NetworkErrors:
    """Play, and compare what was played with what is computed from the record.

    Args:
        network: Acts.
        env: Auto-resetting environment with a flat observation.
        params: Its parameters.
        key: Random key.
        num_steps: Of each of two rollouts; the second begins in the middle of episodes.

    Returns:
        The errors.
    """
    first_key, play_key, other_key = jax.random.split(key, 3)
    begun = init_rollout(network, env, params, LANES, first_key)
    play = partial(_play, network, env, params, num_steps)
    ended, records = jax.lax.scan(play, begun, jax.random.split(play_key, 2))
    record = jax.tree.map(lambda x: x[1], records)
    fresh = fresh_memories(network, LANES)
    variants, behind = _variants(record, fresh, other_key)
    called = jax.lax.map(lambda now: network(*now), variants)
    stepped = jax.lax.map(partial(_by_steps, network), variants)
    carry, policy, values = jax.tree.map(lambda x: x[0], called)
    scale = 1 + jnp.max(jnp.abs(record.values))
    replay = jnp.maximum(
        jnp.max(jnp.abs(policy.log_prob(record.actions) - record.log_probs)),
        jnp.max(jnp.abs(values - record.values[:-1])) / scale,
    )
    step = [jax.tree.map(lambda x: x[:2], outputs) for outputs in (called, stepped)]
    return NetworkErrors(
        step=jnp.maximum(_difference(*step), _difference(carry, ended.memory)),
        replay=_finite(replay),
        leak=jnp.maximum(_change(called, behind), _change(stepped, behind)),
        spread=jnp.std(record.log_probs),
    )


def _play(
    network: Any, env: Any, params: Any, num_steps: int, state: RolloutState, key: PRNGKeyArray
) -> tuple[RolloutState, Rollout]:
    return collect(network, env, params, state, key, num_steps)[:2]


def _variants(
    record: Rollout, fresh: PyTree[Array], key: PRNGKeyArray
) -> tuple[tuple[PyTree[Array], Float[Array, "4 T E F"], Bool[Array, "4 T E"]], Array]:
    """What the network is run on, four times, and which rows are at or behind the last start.

    The record; with one more start in the middle, as an episode may be longer than the rollout;
    the same with other numbers, and with NaN, before each environment's last start.
    """
    observations, start = record.observations[:-1], record.start[:-1]
    more = start.at[start.shape[0] // 2].set(True)
    later = jnp.cumsum(more[::-1], axis=0)[::-1] - more.astype(jnp.int32)
    before = jnp.broadcast_to((later > 0)[..., None], observations.shape)
    other = 3 * jax.random.normal(key, observations.shape, observations.dtype)
    altered = [jnp.where(before, x, observations) for x in (other, jnp.full_like(other, jnp.nan))]
    carries = jax.tree.map(lambda a, b: jnp.stack([a, a, b, b]), record.carry, fresh)
    starts = jnp.stack([start, more, more, more])
    return (carries, jnp.stack([observations, observations, *altered]), starts), later == 0


def _by_steps(
    network: AbstractNetwork,
    inputs: tuple[PyTree[Array], Float[Array, "T E F"], Bool[Array, "T E"]],
) -> Outputs:
    carry, observations, start = inputs

    def body(carry: PyTree, now: tuple[Array, Array]) -> tuple[PyTree, Any]:
        carry, policy, value = jax.vmap(network.step)(carry, *now)
        return carry, (policy, value)

    carry, (policies, values) = jax.lax.scan(body, carry, (observations, start))
    return carry, policies, values


def _change(outputs: Any, behind: Bool[Array, "T E"]) -> Float[Array, ""]:
    """The largest difference of the altered variants from the unaltered, in rows that are behind."""
    _, policies, values = outputs
    found = jnp.zeros(())
    for leaf in jax.tree.leaves((policies, values)):
        unaltered = jnp.broadcast_to(leaf[1:2], leaf[2:].shape)
        gap = jnp.abs(leaf[2:] - unaltered).astype(float)
        gap = jnp.where(leaf[2:] == unaltered, 0.0, jnp.where(jnp.isfinite(gap), gap, jnp.inf))
        seen = behind.reshape(1, *behind.shape, *(1,) * (gap.ndim - 3))
        found = jnp.maximum(found, jnp.max(jnp.where(jnp.broadcast_to(seen, gap.shape), gap, 0.0)))
    return found


def _difference(one: PyTree, two: PyTree) -> Float[Array, ""]:
    """The largest difference of two trees, each leaf's relative to its size."""
    found = jnp.zeros(())
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        a, b = (x.astype(float) if x.dtype == bool else x for x in (a, b))
        # Infinities are equal, not NaN apart.
        gap = jnp.max(jnp.where(a == b, 0, jnp.abs(a - b)), initial=0).astype(float)
        size = jnp.max(jnp.where(jnp.isfinite(b), jnp.abs(b), 0), initial=0).astype(float)
        found = jnp.maximum(found, _finite(gap / (1 + size)))
    return found


def _finite(x: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(jnp.isfinite(x), x, jnp.inf)
