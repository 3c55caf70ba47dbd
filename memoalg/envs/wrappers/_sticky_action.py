"""Actions that are sometimes repeated."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from ..._tree import first_difference, shape_of, tree_where
from .._checks import float_in_range
from .._environment import AbstractEnvironment, Params, State, Transition
from ._streams import STICKY
from ._wrapper import AbstractEpisodeWrapper, Wrapped


class LastAction(eqx.Module):
    """What `StickyAction` carries.

    Args:
        action: what was carried out last; the null action at an episode's start.
        exists: whether something was, in this episode.
    """

    action: PyTree[Array]
    exists: Bool[Array, ""]


class StickyAction(AbstractEpisodeWrapper[State, LastAction, Params]):
    """With some probability, carry out the previous action once more instead of the new one.

    What is repeated is what was carried out, itself perhaps a repetition. The first action of an
    episode is always carried out. The wrapped environment gets the same keys as without the wrapper.

    Args:
        env: the environment to wrap; any action space.
        probability: of a repetition, 0 to 1. The Arcade Learning Environment's is 0.25.

    Raises:
        ValueError: `probability` is out of range, or the wrappers are in the wrong order.

    Source:
        Machado et al., Revisiting the Arcade Learning Environment (JAIR 61, 2018), section 5.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import StickyAction
        >>> env = StickyAction(RepeatFirst(), 1.0)
        >>> params, key = env.default_params(), jax.random.key(0)
        >>> obs, state = env.reset(key, params)
        >>> for action in (2, 3):
        ...     obs, state, *_ = env.step(key, state, jnp.array(action), params)
        >>> int(state.own.action)
        2
    """

    env: AbstractEnvironment[State, Params]
    probability: float = eqx.field(static=True)

    def check(self) -> None:
        """Refuse what is no probability."""
        float_in_range(self.probability, "StickyAction(probability=...)", 0.0, 1.0)

    def begin(self, params: Params) -> LastAction:
        """Nothing to repeat."""
        return LastAction(self.action_space(params).null(), jnp.zeros((), bool))

    def transition(
        self,
        key: PRNGKeyArray,
        state: Wrapped[State, LastAction],
        action: PyTree[Array],
        params: Params,
    ) -> Transition[Wrapped[State, LastAction]]:
        """Advance by the previous action or by this one."""
        again = jax.random.bernoulli(jax.random.fold_in(key, STICKY), float(self.probability))
        action = _as_strong(action, state.own.action)
        done = tree_where(again & state.own.exists, state.own.action, action)
        observation, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, done, params
        )
        own = LastAction(done, jnp.ones((), bool))
        return observation, Wrapped(inner, own), reward, terminated, truncated


def _as_strong(action: PyTree, null: PyTree[Array]) -> PyTree[Array]:
    """The action in the dtype of the action space; raises where it is of another kind."""
    leaves, structure = jax.tree.flatten(action)
    wanted = jax.tree.leaves(null)
    same = structure == jax.tree.structure(null)
    if same and all(map(_same_kind, leaves, wanted)):
        cast = [
            jnp.asarray(leaf).astype(like.dtype) for leaf, like in zip(leaves, wanted, strict=True)
        ]
        return jax.tree.unflatten(structure, cast)
    got = shape_of(jax.tree.map(jnp.asarray, action))
    raise TypeError(
        f"StickyAction takes an action of the action space; {first_difference(shape_of(null), got)}"
    )


def _same_kind(leaf: Array, like: Array) -> bool:
    array = jnp.asarray(leaf)
    kind = jnp.integer if jnp.issubdtype(like.dtype, jnp.integer) else jnp.floating
    return array.shape == like.shape and bool(jnp.issubdtype(array.dtype, kind))
