"""From tokens to the loss of Q-learning: which streams both networks run on."""

import jax
from jaxtyping import Array, Float

from ._dqn_config import DQNConfig
from ._network import QNetwork, replay
from ._q_losses import TDParts, greedy_values, next_token, q_loss
from ._rollout import fresh_memories
from ._tokens import Tokens


def token_loss(
    network: QNetwork, target: QNetwork, tokens: Tokens, config: DQNConfig
) -> tuple[Float[Array, ""], TDParts]:
    """The loss of Q-learning on tokens, however they were laid out.

    Both networks run over the tokens once; the target of a token is the value of the one behind it
    in the same stream. So all that the episode has shown is in every target, its first observation
    too.

    Args:
        network: To be improved.
        target: The slow copy that judges.
        tokens: From a tape or from segments.
        config: Discount, Huber's delta, double, burn-in.

    Returns:
        The loss and its parts.
    """
    values = action_values(network, tokens, tokens.observations, config.burn_in)
    judged = action_values(target, tokens, tokens.observations, config.burn_in)
    following = next_token(greedy_values(values, judged, double=config.double))
    return _loss(values, following, tokens, config, outside=False)


def published_loss(
    network: QNetwork, target: QNetwork, tokens: Tokens, config: DQNConfig, *, segments: bool
) -> tuple[Float[Array, ""], TDParts]:
    """The loss as the paper's public code has it, for comparison only.

    It differs from `token_loss` in two ways. What followed is valued in a stream of its own, the
    observations that the transitions led to, begun with an empty memory at the same flags: the
    first observation of an episode enters no target. And on segments Huber's loss is taken of the
    mean absolute error, on a tape inside the mean: the two are not compared on equal terms.

    Args:
        network: To be improved.
        target: The slow copy that judges.
        tokens: With the observations that followed.
        config: Discount, Huber's delta, double.
        segments: Which of the two losses.

    Returns:
        The loss and its parts.

    Source:
        Morad et al. 2024, Recurrent Reinforcement Learning with Memoroids (arXiv 2402.09900),
        algorithms 3 and 4, and the code published with it.
    """
    assert tokens.following is not None
    values = action_values(network, tokens, tokens.observations, config.burn_in)
    online = action_values(network, tokens, tokens.following, config.burn_in)
    judged = action_values(target, tokens, tokens.following, config.burn_in)
    following = greedy_values(online, judged, double=config.double)
    return _loss(values, following, tokens, config, outside=segments)


def action_values(
    network: QNetwork, tokens: Tokens, observations: Float[Array, "T R F"], burn_in: int
) -> Float[Array, "T-{burn_in} R A"]:
    """Values of all actions at every token behind the burn-in."""
    # A fresh carry is made here, under the gradient: a learned initial state learns from it.
    carry = tokens.carry
    if carry is None:
        carry = fresh_memories(network, observations.shape[1])
    policy, _ = replay(network, carry, observations, tokens.start, burn_in)
    return policy.action_values


def _loss(
    values: Float[Array, "T R A"],
    following: Float[Array, "T R"],
    tokens: Tokens,
    config: DQNConfig,
    outside: bool,
) -> tuple[Float[Array, ""], TDParts]:
    rest = jax.tree.map(
        lambda x: x[config.burn_in :],
        (tokens.actions, tokens.rewards, tokens.terminated, tokens.mask),
    )
    settings = {"discount": config.discount, "delta": config.huber, "outside": outside}
    return q_loss(values, following, *rest, **settings)
