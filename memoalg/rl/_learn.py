"""Learning from one rollout: advantages, then epochs of minibatches of clipped gradient steps."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from memoalg import returns

from ._agent import ActorCriticNetwork
from ._config import PPOConfig
from ._losses import normalize, policy_loss, value_loss
from ._minibatch import Batch, environment_order, take_environments
from ._optimizer import global_norm, gradient_step
from ._rollout import Rollout
from ._state import AgentState


class LossParts(eqx.Module):
    """What one minibatch reports, all scalars; see `Metrics`."""

    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clip_fraction: Float[Array, ""]
    ratio_error: Float[Array, ""]
    grad_norm: Float[Array, ""] | None = None


def advantages(rollout: Rollout, config: PPOConfig) -> Float[Array, "T E"]:
    """Generalised advantage estimates of a rollout.

    The value of what followed step t is that of observation t+1; where the step was truncated,
    observation t+1 already belongs to the next episode and the final observation's is taken.
    """
    following = jnp.where(rollout.truncated, rollout.final_values, rollout.values[1:])
    estimate = partial(returns.gae, discount=config.discount, decay=config.gae_decay)
    return jax.vmap(estimate, in_axes=1, out_axes=1)(
        rollout.rewards, rollout.values[:-1], following, rollout.terminated, rollout.truncated
    )


def make_batch(rollout: Rollout, config: PPOConfig) -> Batch:
    """What learning reads of a rollout."""
    estimates = advantages(rollout, config)
    values = rollout.values[:-1]
    return Batch(
        carry=rollout.carry,
        observations=rollout.observations[:-1],
        start=rollout.start[:-1],
        actions=rollout.actions,
        log_probs=rollout.log_probs,
        values=values,
        advantages=estimates,
        targets=estimates + values,
    )


def loss(
    network: ActorCriticNetwork, batch: Batch, config: PPOConfig
) -> tuple[Float[Array, ""], LossParts]:
    """PPO's loss on one minibatch, replayed from its stored carry.

    Args:
        network: To be improved.
        batch: Whole environments.
        config: Weights and clip ranges.

    Returns:
        The loss, and its parts.
    """
    _, policy, values = network(batch.carry, batch.observations, batch.start)
    log_ratio = policy.log_prob(batch.actions) - batch.log_probs
    ratio = jnp.exp(log_ratio)
    estimates = normalize(batch.advantages) if config.normalize_advantages else batch.advantages
    parts = LossParts(
        policy_loss=policy_loss(ratio, estimates, config.clip),
        value_loss=value_loss(values, batch.values, batch.targets, config.value_clip),
        entropy=jnp.mean(policy.entropy()),
        approx_kl=jnp.mean(ratio - 1.0 - log_ratio),
        clip_fraction=jnp.mean((jnp.abs(ratio - 1.0) > config.clip).astype(ratio.dtype)),
        ratio_error=jnp.max(jnp.abs(ratio - 1.0)),
    )
    total = (
        parts.policy_loss
        + config.value_coefficient * parts.value_loss
        - config.entropy * parts.entropy
    )
    return total, parts


def learn(
    agent: AgentState, static: PyTree, batch: Batch, key: PRNGKeyArray, config: PPOConfig
) -> tuple[AgentState, LossParts]:
    """All gradient steps of one update.

    Args:
        agent: Parameters and optimiser.
        static: The network without its arrays.
        batch: All environments of the rollout.
        key: Shuffles the environments.
        config: Hyper-parameters.

    Returns:
        The new parameters and optimiser, and the parts of every minibatch's loss, stacked.
    """
    order = environment_order(key, config.num_envs, config.epochs, config.minibatches)
    return jax.lax.scan(partial(_gradient_step, static, batch, config), agent, order)


def _gradient_step(
    static: PyTree, batch: Batch, config: PPOConfig, agent: AgentState, indices: Int[Array, " n"]
) -> tuple[AgentState, LossParts]:
    trained, fixed = eqx.partition(agent.params, eqx.is_inexact_array)
    minibatch = take_environments(batch, indices)
    compute = jax.grad(_loss_of_params, has_aux=True)
    gradient, parts = compute(trained, fixed, static, minibatch, config)
    parts = eqx.tree_at(
        lambda p: p.grad_norm, parts, global_norm(gradient), is_leaf=lambda x: x is None
    )
    trained, optimizer = gradient_step(config, trained, gradient, agent.optimizer)
    return AgentState(params=eqx.combine(trained, fixed), optimizer=optimizer), parts


def _loss_of_params(
    trained: PyTree, fixed: PyTree, static: PyTree, batch: Batch, config: PPOConfig
) -> tuple[Float[Array, ""], LossParts]:
    return loss(eqx.combine(trained, fixed, static), batch, config)
