"""The part of a network that has the memory in it."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from memoalg import nn
from memoalg.nn._norm import layer_norm

from ._dense import Dense


class Torso(eqx.Module):
    """`dense -> relu -> memory -> dense -> relu`, with a layer norm before each relu if asked for.

    Only the memory knows of time. In the sequence call everything else runs once on the whole
    `(T, E)` batch; only the memory is mapped over environments.

    Attributes:
        encoder: From the flat observation.
        memory: Any sequence layer.
        output: After the memory.
        normalise: Whether both dense layers are followed by a layer norm without parameters.
    """

    encoder: Dense
    memory: nn.AbstractLayer
    output: Dense
    normalise: bool = eqx.field(static=True, default=False)

    def init_carry(self) -> PyTree[Array]:
        """The memory of one environment before its first step."""
        return self.memory.init_carry()

    def step(
        self, carry: PyTree[Array], observation: Float[Array, " F"], start: Bool[Array, ""]
    ) -> tuple[PyTree[Array], Float[Array, " W"]]:
        """One step of one environment: the memory after it, and the features."""
        carry, hidden = self.memory.step(carry, self._relu(self.encoder(observation)), start)
        return carry, self._relu(self.output(hidden))

    def __call__(
        self, carry: PyTree[Array], observations: Float[Array, "T E F"], start: Bool[Array, "T E"]
    ) -> tuple[PyTree[Array], Float[Array, "T E W"]]:
        """`T` steps of `E` environments: the memories after the last, and all features."""
        over_envs = jax.vmap(self.memory, in_axes=(0, 1, 1), out_axes=(0, 1))
        carry, hidden = over_envs(carry, self._relu(self.encoder(observations)), start)
        return carry, self._relu(self.output(hidden))

    def _relu(self, x: Float[Array, "... W"]) -> Float[Array, "... W"]:
        return jax.nn.relu(layer_norm(x) if self.normalise else x)


def make_torso(
    in_size: int,
    width: int,
    memory: nn.AbstractLayer,
    memory_size: int,
    key: PRNGKeyArray,
    *,
    normalise: bool = False,
) -> Torso:
    """A torso around a memory.

    Args:
        in_size: Length of the flat observation.
        width: Of both dense layers.
        memory: From `width` numbers to `memory_size`.
        memory_size: Length of what the memory returns.
        key: Random key.
        normalise: Layer norms before the relus.
    """
    first, second = jax.random.split(key)
    gain = math.sqrt(2)
    encoder = Dense(in_size, width, scale=gain, key=first)
    return Torso(encoder, memory, Dense(memory_size, width, scale=gain, key=second), normalise)
