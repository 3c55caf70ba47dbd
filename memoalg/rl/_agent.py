"""Recipes of networks: what a user asks for, before any array exists."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from memoalg import nn
from memoalg.envs import Box, Discrete

from ._dense import Dense
from ._network import ActorCriticNetwork, QNetwork
from ._torso import Torso, make_torso

Memory = str | Callable[[int, Any], nn.AbstractLayer]
"""A name from `ma.nn.names()`, or a function `(in_size, key) -> layer`."""


class ActorCritic(eqx.Module):
    """How to build an `ActorCriticNetwork`: a recipe without arrays, so that each seed has its own.

    Attributes:
        memory: A name from `ma.nn.names()`, `"mlp"` for no memory, or a function
            `(in_size, key) -> layer` for a layer of one's own.
        width: Hidden units of every part.
        depth: Memory layers, one after the other; ignored for a layer of one's own.
        separate: Whether policy and value have a torso and a memory each; otherwise they share.

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

    memory: Memory = eqx.field(static=True, default="lru")
    width: int = eqx.field(static=True, default=128)
    depth: int = eqx.field(static=True, default=1)
    separate: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        _check_recipe("ActorCritic", self.memory, {"width": self.width, "depth": self.depth})

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
        keys = jax.random.split(key, 4)
        torso = _torso("ActorCritic", self, observation_space.flat_size, keys[0])
        critic = None
        if self.separate:
            critic = _torso("ActorCritic", self, observation_space.flat_size, keys[1])
        return ActorCriticNetwork(
            torso=torso,
            critic=critic,
            policy=Dense(self.width, actions, scale=0.01, key=keys[2]),
            value=Dense(self.width, 1, scale=1.0, key=keys[3]),
            log_std=jnp.zeros(actions) if isinstance(action_space, Box) else None,
        )


class QAgent(eqx.Module):
    """How to build a `QNetwork`: a recipe without arrays, so that each seed has its own.

    Attributes:
        memory: A name from `ma.nn.names()`, `"mlp"` for no memory, or a function
            `(in_size, key) -> layer` for a layer of one's own.
        width: Hidden units of every part.
        depth: Memory layers, one after the other; ignored for a layer of one's own.
        dueling: Whether a state's value and the actions' advantages have heads of their own.
        normalise: Whether the dense layers are followed by a layer norm. Without it PQN, which has
            no target network, may diverge (Gallici et al. 2024, arXiv 2407.04811, section 3).

    Raises:
        TypeError: `memory` is neither a name nor a function.
        ValueError: `width` or `depth` is not a positive int.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> agent = ma.rl.QAgent("gru", width=16)
        >>> network = agent.init(jax.random.key(0), ma.envs.Box(-1, 1, (4,)), ma.envs.Discrete(2))
        >>> network.advantage.weight.shape
        (16, 2)
    """

    memory: Memory = eqx.field(static=True, default="lru")
    width: int = eqx.field(static=True, default=128)
    depth: int = eqx.field(static=True, default=1)
    dueling: bool = eqx.field(static=True, default=False)
    normalise: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        _check_recipe("QAgent", self.memory, {"width": self.width, "depth": self.depth})

    def init(self, key: PRNGKeyArray, observation_space: Any, action_space: Any) -> QNetwork:
        """Draw a network.

        Args:
            key: Random key.
            observation_space: Of the environment; a flat float vector.
            action_space: `Discrete`.

        Returns:
            The network with fresh parameters.

        Raises:
            TypeError: The action space is not `Discrete`, or `memory` made something that is not a
                layer.
        """
        if not isinstance(action_space, Discrete):
            raise TypeError(
                "QAgent: action values need finitely many actions, the action space is "
                f"{type(action_space).__name__}; use ma.rl.PPO with ma.rl.ActorCritic, or wrap the "
                "environment so that its actions are Discrete."
            )
        keys = jax.random.split(key, 3)
        torso = _torso("QAgent", self, observation_space.flat_size, keys[0], self.normalise)
        return QNetwork(
            torso=torso,
            advantage=Dense(self.width, action_space.n, scale=0.01, key=keys[1]),
            value=Dense(self.width, 1, scale=0.01, key=keys[2]) if self.dueling else None,
        )


def _check_recipe(name: str, memory: Any, sizes: dict[str, Any]) -> None:
    if not (isinstance(memory, str) or callable(memory)):
        raise TypeError(
            f"{name}: memory must be a name such as 'lru' or a function "
            f"(in_size, key) -> layer, not {type(memory).__name__}."
        )
    for field, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: {field} must be an int of at least 1, not {value!r}.")


def _torso(
    name: str,
    recipe: ActorCritic | QAgent,
    in_size: int,
    key: PRNGKeyArray,
    normalise: bool = False,
) -> Torso:
    first, second = jax.random.split(key)
    memory = _make_memory(name, recipe, first)
    size = _out_size(name, memory, recipe.width)
    return make_torso(in_size, recipe.width, memory, size, second, normalise=normalise)


def _make_memory(name: str, recipe: ActorCritic | QAgent, key: PRNGKeyArray) -> nn.AbstractLayer:
    if isinstance(recipe.memory, str):
        size, depth = recipe.width, recipe.depth
        return nn.make(recipe.memory, in_size=size, out_size=size, width=size, depth=depth, key=key)
    layer = recipe.memory(recipe.width, key)
    if not isinstance(layer, nn.AbstractLayer):
        raise TypeError(
            f"{name}: the memory function must return a ma.nn.AbstractLayer, "
            f"not {type(layer).__name__}."
        )
    return layer


def _out_size(name: str, memory: nn.AbstractLayer, in_size: int) -> int:
    """Length of the vector that the memory returns; tried out, for not every layer knows it."""
    x, start = jax.ShapeDtypeStruct((in_size,), jnp.result_type(float)), jnp.ones((), bool)
    _, y = eqx.filter_eval_shape(memory.step, memory.init_carry(), x, start)
    if not (isinstance(y, jax.ShapeDtypeStruct) and y.ndim == 1):
        raise TypeError(
            f"{name}: the memory must return one vector per step, {type(memory).__name__} "
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
