"""One index instead of a vector of them."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from .._checks import discrete_action
from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import AbstractSpace, Discrete, MultiDiscrete, Tuple
from ._wrapper import AbstractWrapper


class DiscreteAction(AbstractWrapper[State, Params]):
    """Make one Discrete action of a MultiDiscrete one, or of a Tuple of Discrete ones.

    The last part varies fastest, as in `numpy.unravel_index`: with sizes (2, 3), action 4 is
    (1, 1). A Discrete action space stays as it is.

    Args:
        env: the environment to wrap.

    Raises:
        TypeError: the action space is none of these.
        ValueError: there are more than 2**31 - 1 actions, or the wrappers are in the wrong order.

    Source:
        `popgym/wrappers/discrete_action.py` of release 1.0.7.

    Example:
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import DiscreteAction
        >>> env = DiscreteAction(RepeatFirst())
        >>> env.action_space(env.default_params())
        Discrete(n=4)
    """

    env: AbstractEnvironment[State, Params]

    def check(self) -> None:
        """Refuse other action spaces."""
        self.action_space(self.default_params())

    def action_space(self, params: Params) -> Discrete:
        """As many actions as the product of the sizes."""
        sizes = _sizes(self.env.action_space(params))
        if math.prod(sizes) >= 2**31:
            raise ValueError(
                f"DiscreteAction counts to 2**31 - 1; actions of sizes {sizes} are more"
            )
        return Discrete(math.prod(sizes))

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], State]:
        """The wrapped environment's."""
        return self.env.reset(key, params)

    def restart(
        self, key: PRNGKeyArray, state: State, over: Bool[Array, ""], params: Params
    ) -> tuple[PyTree[Array], State]:
        """The wrapped environment's."""
        return self.env.restart(key, state, over, params)

    def transition(
        self, key: PRNGKeyArray, state: State, action: Int[Array, ""], params: Params
    ) -> Transition[State]:
        """Advance by the action's parts."""
        action = discrete_action(action, "DiscreteAction")
        space = self.env.action_space(params)
        return self.env.transition(key, state, _unravel(space, action), params)

    def oracle(self, state: State, params: Params) -> Int[Array, ""]:
        """The index of the wrapped environment's."""
        return _ravel(self.env.action_space(params), self.env.oracle(state, params))


def _sizes(space: AbstractSpace) -> tuple[int, ...]:
    """How many values each part has."""
    if isinstance(space, Discrete):
        return (space.n,)
    if isinstance(space, MultiDiscrete):
        return space.nvec
    if isinstance(space, Tuple) and all(isinstance(part, Discrete) for part in space.spaces):
        return tuple(part.flat_size for part in space.spaces)
    raise TypeError(
        f"DiscreteAction takes an environment whose actions are Discrete, MultiDiscrete or a Tuple "
        f"of Discrete, got {space}"
    )


def _unravel(space: AbstractSpace, index: Int[Array, ""]) -> PyTree[Array]:
    """The space's element with this index; an index outside gives parts of -1, which are outside."""
    if isinstance(space, Discrete):
        return index
    parts: list[Array] = []
    sizes = _sizes(space)
    inside = (index >= 0) & (index < math.prod(sizes))
    for size in reversed(sizes):
        parts.insert(0, jnp.where(inside, index % size, -1))
        index = index // size
    return tuple(parts) if isinstance(space, Tuple) else jnp.stack(parts)


def _ravel(space: AbstractSpace, action: PyTree[Array]) -> Int[Array, ""]:
    """The index of the space's element."""
    if isinstance(space, Discrete):
        return jnp.asarray(action)
    index = jnp.zeros((), jnp.int32)
    for part, size in zip(action, _sizes(space), strict=True):
        index = index * size + part
    return index
