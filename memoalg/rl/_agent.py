"""The actor-critic: one torso with a memory in it, a policy head and a value head."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from memoalg import nn
from memoalg.envs import Box, Discrete

from ._dense import Dense
from ._distributions import AbstractDistribution, Categorical, DiagonalNormal


class ActorCriticNetwork(eqx.Module):
    """`dense -> relu -> memory -> dense -> relu -> (policy, value)`.

    Only the memory knows of time. In the sequence call everything else runs once on the whole
    `(T, E)` batch; only the memory is mapped over environments.

    Attributes:
        encoder: From the flat observation.
        memory: Any sequence layer.
        torso: After the memory.
        policy: Logits, or means for a continuous action.
        value: One number.
        log_std: Of a continuous policy, learned, the same in every state; None for a discrete one.
    """

    encoder: Dense
    memory: nn.AbstractLayer
    torso: Dense
    policy: Dense
    value: Dense
    log_std: Float[Array, " A"] | None

    def init_carry(self) -> PyTree[Array]:
        """The memory of one environment before its first step."""
        return self.memory.init_carry()

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
        carry, hidden = self.memory.step(carry, self._encode(observation), start)
        return carry, *self._heads(hidden)

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
        over_envs = jax.vmap(self.memory, in_axes=(0, 1, 1), out_axes=(0, 1))
        carry, hidden = over_envs(carry, self._encode(observations), start)
        return carry, *self._heads(hidden)

    def _encode(self, observation: Float[Array, "... F"]) -> Float[Array, "... W"]:
        return jax.nn.relu(self.encoder(observation))

    def _heads(
        self, hidden: Float[Array, "... M"]
    ) -> tuple[AbstractDistribution, Float[Array, "..."]]:
        features = jax.nn.relu(self.torso(hidden))
        value = self.value(features)[..., 0]
        outputs = self.policy(features)
        if self.log_std is None:
            return Categorical(outputs), value
        return DiagonalNormal(outputs, jnp.broadcast_to(self.log_std, outputs.shape)), value


class ActorCritic(eqx.Module):
    """How to build an `ActorCriticNetwork`: a recipe without arrays, so that each seed has its own.

    Attributes:
        memory: A name from `ma.nn.names()`, `"mlp"` for no memory, or a function
            `(in_size, key) -> layer` for a layer of one's own.
        width: Hidden units of every part.
        depth: Memory layers, one after the other; ignored for a layer of one's own.

    Raises:
        TypeError: `memory` is neither a name nor a function.
        ValueError: `width` or `depth` is not a positive int.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> agent = ma.rl.ActorCritic("gru", width=16)
        >>> network = agent.init(jax.random.key(0), ma.envs.Box(-1, 1, (4,)), ma.envs.Discrete(2))
        >>> network.value.weight.shape
        (16, 1)
    """

    memory: str | Callable[[int, Any], nn.AbstractLayer] = eqx.field(static=True, default="lru")
    width: int = eqx.field(static=True, default=128)
    depth: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not (isinstance(self.memory, str) or callable(self.memory)):
            raise TypeError(
                "ActorCritic: memory must be a name such as 'lru' or a function "
                f"(in_size, key) -> layer, not {type(self.memory).__name__}."
            )
        for name, value in (("width", self.width), ("depth", self.depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"ActorCritic: {name} must be an int of at least 1, not {value!r}."
                )

    def init(
        self, key: PRNGKeyArray, observation_space: Any, action_space: Any
    ) -> ActorCriticNetwork:
        """Draw a network.

        Args:
            key: Random key.
            observation_space: Of the environment; a flat float vector (`ma.rl.PPO` sees to it).
            action_space: `Discrete` or `Box`.

        Returns:
            The network with fresh parameters.

        Raises:
            TypeError: The action space is neither `Discrete` nor `Box`, or `memory` made something
                that is not a layer.
        """
        actions = action_size(action_space)
        keys = jax.random.split(key, 5)
        encoder = Dense(observation_space.flat_size, self.width, scale=math.sqrt(2), key=keys[0])
        memory = self._make_memory(keys[1])
        return ActorCriticNetwork(
            encoder=encoder,
            memory=memory,
            torso=Dense(_out_size(memory, self.width), self.width, scale=math.sqrt(2), key=keys[2]),
            policy=Dense(self.width, actions, scale=0.01, key=keys[3]),
            value=Dense(self.width, 1, scale=1.0, key=keys[4]),
            log_std=jnp.zeros(actions) if isinstance(action_space, Box) else None,
        )

    def _make_memory(self, key: PRNGKeyArray) -> nn.AbstractLayer:
        if isinstance(self.memory, str):
            size = self.width
            return nn.make(
                self.memory, in_size=size, out_size=size, width=size, depth=self.depth, key=key
            )
        layer = self.memory(self.width, key)
        if not isinstance(layer, nn.AbstractLayer):
            raise TypeError(
                "ActorCritic: the memory function must return a ma.nn.AbstractLayer, "
                f"not {type(layer).__name__}."
            )
        return layer


def _out_size(memory: nn.AbstractLayer, in_size: int) -> int:
    """Length of the vector that the memory returns; tried out, for not every layer knows it."""
    x, start = jax.ShapeDtypeStruct((in_size,), jnp.result_type(float)), jnp.ones((), bool)
    _, y = eqx.filter_eval_shape(memory.step, memory.init_carry(), x, start)
    if not (isinstance(y, jax.ShapeDtypeStruct) and y.ndim == 1):
        raise TypeError(
            f"ActorCritic: the memory must return one vector per step, {type(memory).__name__} "
            f"returns {y}; let its readout flatten it."
        )
    return y.shape[0]


def action_size(space: Any) -> int:
    """Outputs that a policy head needs for an action space.

    Args:
        space: `Discrete(n)`: n logits; `Box`: one mean per number.

    Returns:
        The size.

    Raises:
        TypeError: Any other space.
    """
    if isinstance(space, Discrete):
        return space.n
    if isinstance(space, Box):
        return space.flat_size
    raise TypeError(
        "ActorCritic: the action space must be Discrete or Box, "
        f"not {type(space).__name__}; wrap the environment so that it has one of these."
    )
