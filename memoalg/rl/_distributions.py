"""The policies' distributions. Leading axes of the fields are batch axes."""

import math
from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def chosen_values(
    values: Float[Array, "*shape A"], actions: Int[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """One number out of each vector: the one of the action."""
    # Select and sum instead of take_along_axis: its gradient is a select, not a scatter.
    chosen = jax.nn.one_hot(actions, values.shape[-1], dtype=bool)
    return jnp.sum(jnp.where(chosen, values, 0.0), axis=-1)


class AbstractDistribution(eqx.Module):
    """A distribution over actions, batched over the leading axes `...` of its fields."""

    @abstractmethod
    def sample(self, key: PRNGKeyArray) -> Array:
        """One draw for every batch entry."""

    @abstractmethod
    def mode(self) -> Array:
        """The likeliest action."""

    @abstractmethod
    def log_prob(self, action: Array) -> Float[Array, "..."]:
        """Log probability (density) of `action`, in nats."""

    @abstractmethod
    def entropy(self) -> Float[Array, "..."]:
        """Entropy in nats."""


class Categorical(AbstractDistribution):
    """A choice among `n` actions.

    Args:
        logits: Unnormalised log probabilities, shape `(..., n)`.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> policy = ma.rl.Categorical(jnp.log(jnp.array([0.5, 0.25, 0.25])))
        >>> float(jnp.exp(policy.log_prob(jnp.array(0))))
        0.5
    """

    logits: Float[Array, "... n"]

    def sample(self, key: PRNGKeyArray) -> Int[Array, "..."]:
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> Int[Array, "..."]:
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_prob(self, action: Int[Array, "..."]) -> Float[Array, "..."]:
        return chosen_values(jax.nn.log_softmax(self.logits), action)

    def entropy(self) -> Float[Array, "..."]:
        logs = jax.nn.log_softmax(self.logits)
        probs = jnp.exp(logs)
        # An action that is ruled out (logit -inf) contributes 0, not 0 * -inf.
        return -jnp.sum(jnp.where(probs > 0, probs * jnp.where(probs > 0, logs, 0.0), 0.0), axis=-1)


class DiagonalNormal(AbstractDistribution):
    """Independent normals on the last axis.

    Args:
        mean: Shape `(..., d)`.
        log_std: Natural log of the standard deviations, shape `(..., d)`.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> policy = ma.rl.DiagonalNormal(jnp.zeros(2), jnp.zeros(2))
        >>> round(float(policy.entropy()), 4)
        2.8379
    """

    mean: Float[Array, "... d"]
    log_std: Float[Array, "... d"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "... d"]:
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> Float[Array, "... d"]:
        return self.mean

    def log_prob(self, action: Float[Array, "... d"]) -> Float[Array, "..."]:
        scaled = (action - self.mean) * jnp.exp(-self.log_std)
        logs = -0.5 * scaled**2 - self.log_std - 0.5 * math.log(2 * math.pi)
        return jnp.sum(logs, axis=-1)

    def entropy(self) -> Float[Array, "..."]:
        return jnp.sum(self.log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)


class EpsilonGreedy(AbstractDistribution):
    """The action of the highest value, or with probability epsilon one at random.

    Args:
        action_values: Shape `(..., n)`.
        epsilon: Probability of a uniform draw (the best action may be drawn too), shape `(...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> policy = ma.rl.EpsilonGreedy(jnp.array([0.0, 3.0]), jnp.array(0.5))
        >>> float(jnp.exp(policy.log_prob(jnp.array(1))))
        0.75
    """

    action_values: Float[Array, "... n"]
    epsilon: Float[Array, "..."]

    def sample(self, key: PRNGKeyArray) -> Int[Array, "..."]:
        choose, draw = jax.random.split(key)
        count = self.action_values.shape[-1]
        drawn = jax.random.randint(draw, self.epsilon.shape, 0, count, jnp.int32)
        uniform = jax.random.uniform(choose, self.epsilon.shape, self.epsilon.dtype)
        return jnp.where(uniform < self.epsilon, drawn, self.mode())

    def mode(self) -> Int[Array, "..."]:
        return jnp.argmax(self.action_values, axis=-1).astype(jnp.int32)

    def log_prob(self, action: Int[Array, "..."]) -> Float[Array, "..."]:
        share = self.epsilon / self.action_values.shape[-1]
        return jnp.log(share + jnp.where(action == self.mode(), 1.0 - self.epsilon, 0.0))

    def entropy(self) -> Float[Array, "..."]:
        count = self.action_values.shape[-1]
        other = self.epsilon / count
        best = 1.0 - self.epsilon + other
        return -_plogp(best) - (count - 1) * _plogp(other)

    def value(self, action: Int[Array, "..."]) -> Float[Array, "..."]:
        """The value of an action."""
        return chosen_values(self.action_values, action)


def _plogp(p: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0)
