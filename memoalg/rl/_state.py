"""What is carried between updates (`TrainState`), what is reported (`Metrics`, `Evaluation`)."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt32


class SharedState(eqx.Module):
    """Counters that every seed has in common; never vmapped, so that a `lax.cond` on them survives.

    Attributes:
        update: Number of finished updates.
        frames: Number of environment steps taken by one seed (wraps at 2**32).
    """

    update: Int[Array, ""]
    frames: UInt32[Array, ""]


class AgentState(eqx.Module):
    """What learning changes.

    Attributes:
        params: The network with everything but its arrays removed.
        optimizer: The state of the optimiser, the learning-rate schedule's counter included.
        env_params: The environment's parameters where a wrapper normalises (its statistics grow by
            `ma.envs.absorb` after every rollout); None where nothing does.
    """

    params: PyTree[Array]
    optimizer: PyTree[Array]
    env_params: PyTree[Array] | None


class RolloutState(eqx.Module):
    """Where acting stopped. `E` is the number of environments.

    Attributes:
        env_state: States of the environments, each leaf with a leading `E`.
        observation: The observation to act on next.
        start: Whether that observation is the first of its episode.
        memory: The memory's carry *before* it has seen `observation`.
        episode_return: Sum of the rewards of the episode so far.
        episode_length: Steps of the episode so far.
    """

    env_state: PyTree[Array]
    observation: Float[Array, "E F"]
    start: Bool[Array, " E"]
    memory: PyTree[Array]
    episode_return: Float[Array, " E"]
    episode_length: Int[Array, " E"]


class TrainState(eqx.Module):
    """Everything that is needed to go on bit for bit. Every leaf is an array.

    Attributes:
        shared: Counters, equal for all seeds.
        agent: What learning changes: an `AgentState`, or an algorithm's own with more in it.
        rollout: Environments, last observation, memory.
        key: Typed random key from which all later randomness comes.
    """

    shared: SharedState
    agent: Any
    rollout: RolloutState
    key: Key[Array, ""]


def _axes(shared: int | None, agent: int, rollout: int, key: int) -> TrainState:
    # Not through __init__, whose annotations are for arrays and may be enforced.
    axes = object.__new__(TrainState)
    fields = {"shared": shared, "agent": agent, "rollout": rollout, "key": key}
    for name, axis in fields.items():
        object.__setattr__(axes, name, axis)
    return axes


# The one place that says which parts of a state are stacked over seeds:
# `jax.vmap(algo.init, out_axes=SEED_AXES)` and
# `jax.vmap(algo.update, in_axes=(SEED_AXES,), out_axes=(SEED_AXES, 0))`.
# The tree is a prefix of a TrainState: its "leaves" are vmap axes, not arrays.
SEED_AXES: TrainState = _axes(shared=None, agent=0, rollout=0, key=0)


class Metrics(eqx.Module):
    """What one update reports, all scalars. Episodes are sums and a count, never means of means.

    Attributes:
        update: Number of the update, from 1.
        frames: Environment steps taken so far (wraps at 2**32).
        episodes: Episodes that ended during the rollout.
        return_sum: Sum of their undiscounted returns.
        length_sum: Sum of their lengths, in steps.
        policy_loss: Clipped surrogate, mean over the minibatches.
        value_loss: Half the squared error, mean over the minibatches.
        entropy: Of the policy, in nats, mean over the minibatches.
        explained_variance: Of the return targets by the rollout's values; 1 is perfect.
        approx_kl: Mean of `ratio - 1 - log(ratio)`, in nats.
        clip_fraction: Share of samples whose ratio left the clip range.
        grad_norm: Global norm of the gradient before clipping, mean over the minibatches.
        active_share: Share of the epochs that changed something: below 1 where `target_kl` ended
            the update.
        first_ratio_error: Largest `|ratio - 1|` in the first minibatch of the first epoch. Before
            any gradient step the recomputed policy must be the one that acted: what is not about
            1e-6 here is a fault of the memory or of the reset.
    """

    update: Int[Array, ""]
    frames: UInt32[Array, ""]
    episodes: Int[Array, ""]
    return_sum: Float[Array, ""]
    length_sum: Int[Array, ""]
    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    explained_variance: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clip_fraction: Float[Array, ""]
    grad_norm: Float[Array, ""]
    active_share: Float[Array, ""]
    first_ratio_error: Float[Array, ""]


class Evaluation(eqx.Module):
    """Complete episodes, one per lane. `N` is the number of episodes asked for.

    Attributes:
        returns: Undiscounted return of each episode; of the part that was played if not complete.
        lengths: Steps of each episode.
        complete: False where the episode did not end within the step bound.
    """

    returns: Float[Array, " N"]
    lengths: Int[Array, " N"]
    complete: Bool[Array, " N"]
