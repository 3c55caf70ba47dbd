"""The networks that act and learn: one interface for policies and for action values."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._dense import Dense
from ._distributions import AbstractDistribution, Categorical, DiagonalNormal, EpsilonGreedy
from ._torso import Torso


class AbstractNetwork(eqx.Module):
    """What acting, evaluation and losses ask of a network with a memory."""

    @abstractmethod
    def init_carry(self) -> PyTree[Array]:
        """The memory of one environment before its first step."""

    @abstractmethod
    def step(
        self, carry: PyTree[Array], observation: Float[Array, " F"], start: Bool[Array, ""]
    ) -> tuple[PyTree[Array], AbstractDistribution, Float[Array, ""]]:
        """One step of one environment, O(1) in the time that has passed.

        Args:
            carry: The memory before this observation.
            observation: Flat.
            start: Whether it is the first of its episode.

        Returns:
            The memory after it, the policy, the value.
        """

    @abstractmethod
    def __call__(
        self, carry: PyTree[Array], observations: Float[Array, "T E F"], start: Bool[Array, "T E"]
    ) -> tuple[PyTree[Array], AbstractDistribution, Float[Array, "T E"]]:
        """`T` steps of `E` environments at once; the same numbers as `step` by step.

        Args:
            carry: The memories before the first step, leading `E`.
            observations: Time first.
            start: Where an episode begins.

        Returns:
            The memories after the last step, the policies and the values, leading `(T, E)`.
        """


class ActorCriticNetwork(AbstractNetwork):
    """A policy and a value on one torso, or on a torso each.

    Attributes:
        torso: Of the policy, and of the value where `critic` is None.
        critic: The value's own torso, with a memory of its own; None where it shares the policy's.
            With both, a carry is the pair of theirs.
        policy: Logits, or means for a continuous action.
        value: One number.
        log_std: Of a continuous policy, learned, the same in every state; None for a discrete one.
    """

    torso: Torso
    critic: Torso | None
    policy: Dense
    value: Dense
    log_std: Float[Array, " A"] | None

    def init_carry(self) -> PyTree[Array]:
        own = self.torso.init_carry()
        return own if self.critic is None else (own, self.critic.init_carry())

    def step(
        self, carry: PyTree[Array], observation: Float[Array, " F"], start: Bool[Array, ""]
    ) -> tuple[PyTree[Array], AbstractDistribution, Float[Array, ""]]:
        if self.critic is None:
            carry, features = self.torso.step(carry, observation, start)
            return carry, self._policy(features), self._value(features)
        own, features = self.torso.step(carry[0], observation, start)
        other, judged = self.critic.step(carry[1], observation, start)
        return (own, other), self._policy(features), self._value(judged)

    def __call__(
        self, carry: PyTree[Array], observations: Float[Array, "T E F"], start: Bool[Array, "T E"]
    ) -> tuple[PyTree[Array], AbstractDistribution, Float[Array, "T E"]]:
        if self.critic is None:
            carry, features = self.torso(carry, observations, start)
            return carry, self._policy(features), self._value(features)
        own, features = self.torso(carry[0], observations, start)
        other, judged = self.critic(carry[1], observations, start)
        return (own, other), self._policy(features), self._value(judged)

    def _value(self, features: Float[Array, "... W"]) -> Float[Array, "..."]:
        return self.value(features)[..., 0]

    def _policy(self, features: Float[Array, "... W"]) -> AbstractDistribution:
        outputs = self.policy(features)
        if self.log_std is None:
            return Categorical(outputs)
        return DiagonalNormal(outputs, jnp.broadcast_to(self.log_std, outputs.shape))


class QNetwork(AbstractNetwork):
    """Values of all actions; its policy is greedy, its value that of the best action.

    Attributes:
        torso: With the memory.
        advantage: One number per action.
        value: Of the state, for `Q = V + A - mean(A)` (dueling); None for `Q = A`.

    Source:
        Wang et al. 2016, Dueling Network Architectures (arXiv 1511.06581), equation 9.
    """

    torso: Torso
    advantage: Dense
    value: Dense | None

    def init_carry(self) -> PyTree[Array]:
        return self.torso.init_carry()

    def step(
        self, carry: PyTree[Array], observation: Float[Array, " F"], start: Bool[Array, ""]
    ) -> tuple[PyTree[Array], EpsilonGreedy, Float[Array, ""]]:
        carry, features = self.torso.step(carry, observation, start)
        return carry, *self._heads(features)

    def __call__(
        self, carry: PyTree[Array], observations: Float[Array, "T E F"], start: Bool[Array, "T E"]
    ) -> tuple[PyTree[Array], EpsilonGreedy, Float[Array, "T E"]]:
        carry, features = self.torso(carry, observations, start)
        return carry, *self._heads(features)

    def _heads(self, features: Float[Array, "... W"]) -> tuple[EpsilonGreedy, Float[Array, "..."]]:
        values = self.advantage(features)
        if self.value is not None:
            values = values - jnp.mean(values, axis=-1, keepdims=True) + self.value(features)
        greedy = jnp.zeros(values.shape[:-1], values.dtype)
        return EpsilonGreedy(values, greedy), jnp.max(values, axis=-1)


class Exploring(AbstractNetwork):
    """A Q-network that takes a random action with probability epsilon.

    Attributes:
        network: Whose values are followed otherwise.
        epsilon: In [0, 1].
    """

    network: QNetwork
    epsilon: Float[Array, ""]

    def init_carry(self) -> PyTree[Array]:
        return self.network.init_carry()

    def step(
        self, carry: PyTree[Array], observation: Float[Array, " F"], start: Bool[Array, ""]
    ) -> tuple[PyTree[Array], EpsilonGreedy, Float[Array, ""]]:
        return self._explore(self.network.step(carry, observation, start))

    def __call__(
        self, carry: PyTree[Array], observations: Float[Array, "T E F"], start: Bool[Array, "T E"]
    ) -> tuple[PyTree[Array], EpsilonGreedy, Float[Array, "T E"]]:
        return self._explore(self.network(carry, observations, start))

    def _explore(
        self, outputs: tuple[PyTree[Array], EpsilonGreedy, Array]
    ) -> tuple[PyTree[Array], EpsilonGreedy, Array]:
        carry, policy, value = outputs
        epsilon = jnp.broadcast_to(self.epsilon.astype(value.dtype), value.shape)
        return carry, EpsilonGreedy(policy.action_values, epsilon), value


def replay(
    network: AbstractNetwork,
    carry: PyTree[Array],
    observations: Float[Array, "T E F"],
    start: Bool[Array, "T E"],
    burn_in: int,
) -> tuple[Any, Float[Array, "later E"]]:
    """The sequence call behind a burn-in: the first steps only warm the memory up.

    Args:
        network: To be differentiated.
        carry: Stored before the first step, perhaps by older parameters.
        observations: Time first.
        start: Where an episode begins.
        burn_in: Leading steps whose outputs are dropped, and through which no gradient flows.

    Returns:
        Policies and values of the steps from `burn_in` on.

    Source:
        Kapturowski et al. 2019, Recurrent Experience Replay in Distributed RL (R2D2), section 3.
    """
    if burn_in:
        warm, _, _ = network(carry, observations[:burn_in], start[:burn_in])
        carry = jax.lax.stop_gradient(warm)
    _, policy, values = network(carry, observations[burn_in:], start[burn_in:])
    return policy, values
