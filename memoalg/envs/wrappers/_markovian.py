"""Show the hidden state: the fully observed control of an experiment."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, PyTree

from ..._tree import key_path, leaf_text
from .._environment import AbstractEnvironment, Params, State
from ..spaces import AbstractSpace, Box, Dict
from ._wrapper import AbstractObservationWrapper


class Markovian(AbstractObservationWrapper[State, Params]):
    """Show the environment's whole state, beside the observation or instead of it.

    The state is one vector of default floats: all leaves of what the environment's `describe` says,
    in the order of `jax.tree.leaves`, each in row-major order. With it the task needs no memory. The
    numbers are raw, counts and times among them: scale them (`NormaliseObservation`) before a
    network's failure is read as anything else. What a task draws late, as the card games do, is not
    in its state before it is drawn.

    Args:
        env: the environment to wrap, in its `TimeLimit` and `StickyAction` where it has them.
        full: False shows a dict of `"obs"` and `"state"` (the reference's FULL_AND_PARTIAL), True
            the state alone (FULL).

    Raises:
        TypeError: the state holds a random key or something else that is no number.
        ValueError: the wrappers are in the wrong order.

    Source:
        `popgym/wrappers/markovian.py` of release 1.0.7, whose states are each task's own.

    Example:
        >>> import jax
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> from memoalg.envs import Markovian
        >>> env = Markovian(PositionOnlyCartPole())
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs["state"].shape  # four physical numbers and the time
        (5,)
    """

    env: AbstractEnvironment[State, Params]
    full: bool = eqx.field(static=True, default=False)

    def check(self) -> None:
        """Refuse states that are no numbers."""
        if not isinstance(self.full, bool):
            raise TypeError(f"Markovian(env, full=...) must be a bool, got {self.full!r}")
        self._size(self.default_params())

    def show(
        self, observation: PyTree[Array], action: PyTree[Array] | None, state: State, params: Params
    ) -> PyTree[Array]:
        """The state, with the observation or alone."""
        vector = _vector(self.env.describe(state))
        return vector if self.full else {"obs": observation, "state": vector}

    def observation_space(self, params: Params) -> AbstractSpace:
        """An unbounded vector, with the wrapped space or alone."""
        state = Box(-np.inf, np.inf, (self._size(params),))
        if self.full:
            return state
        return Dict({"obs": self.env.observation_space(params), "state": state})

    def _size(self, params: Params) -> int:
        _, state = jax.eval_shape(self.env.reset, jax.random.key(0), params)
        state = jax.eval_shape(self.env.describe, state)
        for path, leaf in jtu.tree_leaves_with_path(state):
            if not _is_number(leaf):
                raise TypeError(
                    f"Markovian shows numbers, but the state of {self.env.name} holds "
                    f"{leaf_text(leaf)} at {key_path(path)}: a random key is no part of what an "
                    f"agent could know; use the keys that reset and transition get"
                )
        return sum(leaf.size for leaf in jax.tree.leaves(state))


def _vector(state: PyTree[Array]) -> Float[Array, " size"]:
    """All leaves as one vector of default floats."""
    return jnp.concatenate([leaf.astype(float).reshape(-1) for leaf in jax.tree.leaves(state)])


def _is_number(leaf: Any) -> bool:
    # An old random key is a pair of uint32, which nothing else in a state is.
    old_key = leaf.dtype == np.uint32 and leaf.shape[-1:] == (2,)
    real = any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
    return real and not old_key
