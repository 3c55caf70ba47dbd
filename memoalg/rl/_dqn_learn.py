"""What DQN does between two rollouts: gradient steps on batches from the replay ring."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._tree import tree_where
from ._descent import StepParts, descend
from ._dqn_config import DQNConfig
from ._network import QNetwork
from ._optimizer import gradient_steps, make_optimizer
from ._q_losses import TDParts
from ._ring import Filling, Ring
from ._segments import draw_segments, gather_segments
from ._tape import draw_tape, gather_published_tape, gather_tape
from ._token_loss import published_loss, token_loss
from ._tokens import EpisodeTable, Tokens, episode_table


class Learner(eqx.Module):
    """What a gradient step changes.

    Attributes:
        params: Of the network that learns and acts.
        target: Of its slow copy.
        optimizer: The state of the optimiser.
    """

    params: PyTree[Array]
    target: PyTree[Array]
    optimizer: PyTree[Array]


def table_of(ring: Ring, state: Filling, config: DQNConfig) -> EpisodeTable:
    """What a configuration allows to be drawn."""
    part = config.segment_length if config.replay == "segment" else None
    return episode_table(ring, state, part=part, exclude=2 if config.faithful else 0)


def sample(ring: Ring, table: EpisodeTable, key: PRNGKeyArray, config: DQNConfig) -> Tokens:
    """A batch, laid out as the configuration says."""
    size, num_envs = config.batch_size, config.num_envs
    if config.replay == "tape":
        gather = gather_published_tape if config.faithful else gather_tape
        # Without closing tokens it takes twice as many of the shortest episodes to fill a tape.
        room = 2 * size if config.faithful else size
        return gather(ring, draw_tape(table, key, room, num_envs), size)
    length = config.segment_length
    segments = draw_segments(table, key, size // length, num_envs)
    return gather_segments(
        ring, segments, length, burn_in=config.burn_in, following=config.faithful
    )


def optimizer_of(config: DQNConfig) -> optax.GradientTransformation:
    """The optimiser that a configuration asks for."""
    transformation = make_optimizer(
        config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        eps=config.adam_eps,
        end=config.learning_rate_end,
        anneal_steps=gradient_steps(
            config.anneal_frames, config.frames_per_update, config.gradient_steps
        ),
    )
    if not config.rate_warmup:
        return transformation
    begin = 1 / (config.rate_warmup + 1)
    warmup = optax.linear_schedule(begin, 1.0, config.rate_warmup)
    return optax.chain(transformation, optax.scale_by_schedule(warmup))


def learn(
    learner: Learner,
    static: PyTree,
    ring: Ring,
    table: EpisodeTable,
    key: PRNGKeyArray,
    config: DQNConfig,
) -> tuple[Learner, StepParts]:
    """All gradient steps of one update.

    Args:
        learner: Parameters, target, optimiser.
        static: The network without its arrays.
        ring: To draw from.
        table: What can be drawn; nothing is learned where that is nothing.
        key: Random key.
        config: Hyper-parameters.

    Returns:
        The learner, and what the steps report, stacked.
    """
    keys = jax.random.split(key, config.gradient_steps)
    body = partial(_step, static, ring, table, config)
    after, parts = jax.lax.scan(body, learner, keys)
    return tree_where(table.total > 0, after, learner), parts


def _step(
    static: PyTree,
    ring: Ring,
    table: EpisodeTable,
    config: DQNConfig,
    learner: Learner,
    key: PRNGKeyArray,
) -> tuple[Learner, StepParts]:
    tokens = sample(ring, table, key, config)
    tokens = eqx.tree_at(lambda t: t.mask, tokens, tokens.mask & (table.total > 0))
    own = partial(_loss, eqx.combine(learner.target, static), tokens, config)
    params, optimizer, parts = descend(
        own, learner.params, static, optimizer_of(config), learner.optimizer
    )
    return Learner(params, polyak(learner.target, params, config.target_decay), optimizer), parts


def _loss(
    target: QNetwork, tokens: Tokens, config: DQNConfig, network: QNetwork
) -> tuple[Float[Array, ""], TDParts]:
    if config.faithful:
        return published_loss(network, target, tokens, config, segments=config.replay == "segment")
    return token_loss(network, target, tokens, config)


def polyak(
    target: PyTree[Array], params: PyTree[Array], decay: float | Float[Array, ""]
) -> PyTree[Array]:
    """The slow copy after one step: `decay * target + (1 - decay) * params`; integers are copied."""

    def mixed(slow: Array, fast: Array) -> Array:
        # In this form equal parameters stay equal to the last bit.
        return slow + (1.0 - decay) * (fast - slow) if eqx.is_inexact_array(fast) else fast

    return jax.tree.map(mixed, target, params)


def no_steps(config: DQNConfig) -> StepParts:
    """What is reported where nothing was learned: zeros."""
    zero = jnp.zeros(())
    once = StepParts(TDParts(zero, zero, zero, zero), zero)
    return jax.tree.map(lambda x: jnp.broadcast_to(x, config.gradient_steps), once)
