"""PPO's learning from one rollout: advantages, then epochs of minibatches of gradient steps."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, UInt32

from .._tree import tree_where
from ._config import PPOConfig
from ._descent import StepParts, descend
from ._losses import normalize, policy_loss, value_loss
from ._minibatch import Batch, environment_order, take_environments
from ._network import ActorCriticNetwork, replay
from ._optimizer import gradient_steps, linear, make_optimizer
from ._rollout import Rollout
from ._state import AgentState, RolloutState
from ._targets import gae_advantages


class LossParts(eqx.Module):
    """What one minibatch reports, all scalars; see `Metrics`."""

    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clip_fraction: Float[Array, ""]
    ratio_error: Float[Array, ""]


def advantages(rollout: Rollout, config: PPOConfig) -> Float[Array, "T E"]:
    """Generalised advantage estimates, with the configuration's constants."""
    return gae_advantages(rollout, discount=config.discount, decay=config.gae_decay)


def make_batch(rollout: Rollout, config: PPOConfig) -> Batch:
    """What learning reads of a rollout."""
    estimates = advantages(rollout, config)
    values = rollout.values[:-1]
    if config.normalize_advantages == "batch":
        kept = slice(config.burn_in, None)
        scaled = estimates.at[kept].set(normalize(estimates[kept]))
    else:
        scaled = estimates
    return Batch(
        carry=rollout.carry,
        observations=rollout.observations[:-1],
        start=rollout.start[:-1],
        actions=rollout.actions,
        log_probs=rollout.log_probs,
        values=values,
        advantages=scaled,
        targets=estimates + values,
    )


def loss(
    network: ActorCriticNetwork,
    batch: Batch,
    config: PPOConfig,
    entropy: float | Float[Array, ""] | None = None,
) -> tuple[Float[Array, ""], LossParts]:
    """PPO's loss on one minibatch, replayed from its stored carry.

    Args:
        network: To be improved.
        batch: Whole environments.
        config: Weights and clip ranges.
        entropy: Weight of the entropy bonus; None takes the configuration's first one.

    Returns:
        The loss, and its parts.
    """
    burn_in = config.burn_in
    policy, values = replay(network, batch.carry, batch.observations, batch.start, burn_in)
    log_ratio = policy.log_prob(batch.actions[burn_in:]) - batch.log_probs[burn_in:]
    ratio = jnp.exp(log_ratio)
    estimates = batch.advantages[burn_in:]
    if config.normalize_advantages == "minibatch":
        estimates = normalize(estimates)
    old, targets = batch.values[burn_in:], batch.targets[burn_in:]
    parts = LossParts(
        policy_loss=policy_loss(ratio, estimates, config.clip),
        value_loss=value_loss(values, old, targets, config.value_clip),
        entropy=jnp.mean(policy.entropy()),
        approx_kl=jnp.mean(ratio - 1.0 - log_ratio),
        clip_fraction=jnp.mean((jnp.abs(ratio - 1.0) > config.clip).astype(ratio.dtype)),
        ratio_error=jnp.max(jnp.abs(ratio - 1.0)),
    )
    weight = config.entropy if entropy is None else entropy
    total = parts.policy_loss + config.value_coefficient * parts.value_loss - weight * parts.entropy
    return total, parts


def optimizer_of(config: PPOConfig) -> optax.GradientTransformation:
    """The optimiser that a configuration asks for."""
    per_update = config.epochs * config.minibatches
    return make_optimizer(
        config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        eps=config.adam_eps,
        end=config.learning_rate_end,
        anneal_steps=gradient_steps(config.anneal_frames, config.frames_per_update, per_update),
    )


class Learned(eqx.Module):
    """What learning from one rollout leaves behind.

    Attributes:
        agent: New parameters and optimiser.
        steps: What every minibatch's step reports, stacked over all epochs.
        active: Which of them belong to an epoch that changed something.
    """

    agent: AgentState
    steps: StepParts
    active: Bool[Array, " steps"]


def learn(
    agent: AgentState,
    static: PyTree,
    rollout: Rollout,
    batch: Batch,
    key: PRNGKeyArray,
    config: PPOConfig,
    frames: UInt32[Array, ""],
) -> Learned:
    """All gradient steps of one update.

    Args:
        agent: Parameters and optimiser.
        static: The network without its arrays.
        rollout: The record, all environments.
        batch: `make_batch(rollout, config)`.
        key: Shuffles the environments.
        config: Hyper-parameters.
        frames: Environment steps so far; the entropy weight's schedule reads it.

    Returns:
        The new agent, and what was reported.
    """
    order = environment_order(key, config.num_envs, config.epochs, config.minibatches)
    weight = config.entropy if config.entropy_end is None else config.entropy_end
    entropy = linear(config.entropy, weight, frames, config.anneal_frames)
    step = partial(_gradient_step, static, config, entropy)
    if config.refresh == "never" and config.target_kl is None:
        agent, steps = jax.lax.scan(partial(step, batch), agent, order)
        return Learned(agent, steps, jnp.ones(order.shape[0], bool))
    epoch = partial(_epoch, static, config, step, rollout, batch)
    epochs = order.reshape(config.epochs, config.minibatches, -1)
    (agent, _), (steps, active) = jax.lax.scan(epoch, (agent, jnp.array(True)), epochs)
    steps = jax.tree.map(lambda x: x.reshape(-1), steps)
    return Learned(agent, steps, jnp.repeat(active, config.minibatches))


def _epoch(
    static: PyTree,
    config: PPOConfig,
    step: partial,
    rollout: Rollout,
    batch: Batch,
    carry: tuple[AgentState, Bool[Array, ""]],
    order: Int[Array, "minibatches n"],
) -> tuple[tuple[AgentState, Bool[Array, ""]], tuple[StepParts, Bool[Array, ""]]]:
    agent, active = carry
    if config.refresh == "epoch":
        network = eqx.combine(agent.params, static)
        batch = make_batch(refreshed_values(network, rollout), config)
        # The policy that acted is what the ratio is against, whatever was learned since.
    new, steps = jax.lax.scan(partial(step, batch), agent, order)
    kept = tree_where(active, new, agent)
    going_on = active
    if config.target_kl is not None:
        going_on = active & (jnp.mean(steps.parts.approx_kl) <= config.target_kl)
    return (kept, going_on), (steps, active)


def refreshed_values(network: ActorCriticNetwork, rollout: Rollout) -> Rollout:
    """The rollout with the values that a network gives now; those behind a truncation stay."""
    _, _, values = network(rollout.carry, rollout.observations, rollout.start)
    return eqx.tree_at(lambda r: r.values, rollout, values)


def refreshed_memory(
    network: ActorCriticNetwork, rollout: Rollout, state: RolloutState
) -> RolloutState:
    """Where acting stopped, with the memories that a network would have now."""
    memory, _, _ = network(rollout.carry, rollout.observations[:-1], rollout.start[:-1])
    return eqx.tree_at(lambda s: s.memory, state, memory)


def _gradient_step(
    static: PyTree,
    config: PPOConfig,
    entropy: Float[Array, ""],
    batch: Batch,
    agent: AgentState,
    indices: Int[Array, " n"],
) -> tuple[AgentState, StepParts]:
    minibatch = take_environments(batch, indices)
    own = partial(loss, batch=minibatch, config=config, entropy=entropy)
    transformation = optimizer_of(config)
    params, optimizer, parts = descend(own, agent.params, static, transformation, agent.optimizer)
    return AgentState(params, optimizer, agent.env_params), parts
