"""Environments that run on the host, outside of jax: any gymnasium environment, natively batched."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.core
import jax.errors
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.experimental import io_callback
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ._checks import int_in_range
from ._host_batch import NOTE, HostBatch
from ._host_spaces import from_gymnasium_space
from .spaces import AbstractSpace


class HostState(eqx.Module):
    """What is carried: nothing but the order of the calls. The rest lives in the environments.

    Args:
        ticket: int32, the number of the call that this state came from.
    """

    ticket: Int[Array, ""]


@jax.tree_util.register_static
class HostEnvironment:
    """N gymnasium environments behind one call to the host a step; made by `from_gymnasium`.

    The methods are those of an environment of ours, for all N at once: there is no `jax.vmap`
    around them, and every array has a leading axis of N. They work inside `jax.jit` and
    `jax.lax.scan` (each step is exactly one ordered callback) and outside. There is no derivative,
    no `jax.vmap` over seeds and no way back to an older state; whatever tries says so.

    An exception inside an environment is raised as it is by a call outside of `jax.jit`, and inside a
    `with` block of the environment (or of `own_errors`) by jitted programs too, with a note that says
    in which environment. Elsewhere a jitted program raises jax's error, which contains its text.

    Args:
        factory: makes one gymnasium environment.
        num_envs: N.
        name: for messages; None takes the environment's class.

    Raises:
        TypeError: a space is none of those that `from_gymnasium` lists.
        ValueError: `num_envs` is out of range, or the function returns one environment twice.
    """

    def __init__(self, factory: Callable[[], Any], num_envs: int, name: str | None = None):
        self.num_envs = int_in_range(num_envs, "HostEnvironment(num_envs=...)", 1, 1_000_000)
        self._dtype = np.dtype(jnp.result_type(float))
        with contextlib.ExitStack() as undo:
            envs = []
            for _ in range(self.num_envs):
                envs.append(factory())
                undo.callback(envs[-1].close)
            self._observations = from_gymnasium_space(envs[0].observation_space)
            self._actions = from_gymnasium_space(envs[0].action_space)
            self.name = type(envs[0].unwrapped).__name__ if name is None else name
            if len(set(map(id, envs))) < self.num_envs:
                raise ValueError(
                    f"{self.name}: the function returned the same environment twice; it must make a "
                    f"new one at each call"
                )
            undo.pop_all()
        self._batch = HostBatch(envs, self.name, self._observations, self._actions, self._dtype)
        # The same filter each time: logging keeps one.
        logging.getLogger("jax._src.callback").addFilter(_OWN_FAILURES)

    def __repr__(self) -> str:
        return f"HostEnvironment({self.name!r}, num_envs={self.num_envs})"

    def __enter__(self) -> "HostEnvironment":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self._settle(error)
        finally:
            self.close()

    def close(self) -> None:
        """Close the environments; a second time does nothing."""
        self._batch.close()

    def default_params(self) -> None:
        """None: what gymnasium's environments take, they take at construction."""
        return None

    def observation_space(self, params: None = None) -> AbstractSpace:
        """The set that one environment's observations are from."""
        return self._observations

    def action_space(self, params: None = None) -> AbstractSpace:
        """The set that one environment's actions are from."""
        return self._actions

    def seeds(self, key: PRNGKeyArray) -> Int[Array, " envs"]:
        """What `reset` passes to each environment's `reset(seed=...)`."""
        return jax.random.randint(key, (self.num_envs,), 0, 2**31 - 1, jnp.int32)

    def reset(self, key: PRNGKeyArray, params: None = None) -> tuple[PyTree[Array], HostState]:
        """Begin an episode everywhere.

        Args:
            key: a random key; each environment gets a seed of its own from it.
            params: None.

        Returns:
            The first observations and the state.
        """
        result = (self._shapes(self._observations), jax.ShapeDtypeStruct((), np.int32))
        observation, ticket = self._call(self._batch.reset, result, self.seeds(key))
        return observation, HostState(ticket)

    def step(
        self,
        key: PRNGKeyArray,
        state: HostState,
        action: PyTree[Array],
        params: None = None,
    ) -> tuple[
        PyTree[Array],
        HostState,
        Float[Array, " envs"],
        Bool[Array, " envs"],
        Bool[Array, " envs"],
        dict[str, Any],
    ]:
        """Step everywhere; where an episode ended, begin the next one at once.

        Args:
            key: not used: the environments draw from generators of their own, seeded by `reset`.
            state: the newest one.
            action: elements of `action_space()`, stacked: every leaf has a leading axis of N.
            params: None.

        Returns:
            `(observation, state, reward, terminated, truncated, info)`, as of an environment of
            ours: `info["final_observation"]` is what was seen before a restart, at every step.
        """
        action = self._check_action(action)
        flags = jax.ShapeDtypeStruct((self.num_envs,), np.bool_)
        shown = self._shapes(self._observations)
        rewards = jax.ShapeDtypeStruct((self.num_envs,), self._dtype)
        ticket = jax.ShapeDtypeStruct((), np.int32)
        result = (shown, ticket, rewards, flags, flags, shown)
        observation, ticket, reward, terminated, truncated, final = self._call(
            self._batch.step, result, state.ticket, action
        )
        info = {"final_observation": final}
        return observation, HostState(ticket), reward, terminated, truncated, info

    @contextlib.contextmanager
    def own_errors(self) -> Iterator[None]:
        """Inside this block, an exception of an environment comes out of a jitted program as it is."""
        try:
            yield
        except BaseException as error:
            self._settle(error)
            raise
        else:
            self._settle(None)

    def _settle(self, error: BaseException | None) -> None:
        """Wait for what was dispatched, and replace jax's error by the environment's own."""
        if error is None:
            try:
                jax.effects_barrier()
            except jax.errors.JaxRuntimeError as late:
                self._settle(late)
                raise
        elif isinstance(error, jax.errors.JaxRuntimeError) and self._batch.failure is not None:
            raise self._batch.failure from None

    def _call(self, function: Callable[..., Any], result: Any, *arguments: Any) -> Any:
        """Call a function of the batch: in order inside of a program, at once outside."""
        # Inside of jit even constants are traced, so a new array says where we are.
        inside = [jnp.zeros(()), *jax.tree.leaves(arguments)]
        if any(isinstance(leaf, jax.core.Tracer) for leaf in inside):
            return self._callback(function, result, *arguments)
        with self.own_errors():
            arguments = jax.tree.map(np.asarray, arguments)
        return jax.tree.map(jnp.asarray, function(*arguments))

    def _callback(self, function: Callable[..., Any], result: Any, *arguments: Any) -> Any:
        @custom_vmap
        def call(*arguments: Any) -> Any:
            return io_callback(function, result, *arguments, ordered=True)

        call.def_vmap(self._refuse_vmap)
        guarded = jax.custom_jvp(call)
        guarded.defjvp(self._refuse_jvp)
        return guarded(*arguments)

    def _refuse_vmap(self, axis_size: int, in_batched: Any, *arguments: Any) -> NoReturn:
        raise TypeError(
            f"{self.name} runs on the host and cannot be vmapped: it is {self.num_envs} environments "
            f"already. Write from_gymnasium(..., num_envs=n) for n environments in one call, and a "
            f"Python loop over environments for several seeds"
        )

    def _refuse_jvp(self, primals: Any, tangents: Any) -> NoReturn:
        raise TypeError(
            f"{self.name} runs on the host and has no derivative: step it in the rollout, outside "
            f"of the loss, or write jax.lax.stop_gradient(action)"
        )

    def _shapes(self, space: AbstractSpace) -> PyTree[jax.ShapeDtypeStruct]:
        """What a batch from a space looks like."""
        one = jax.eval_shape(space.null)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((self.num_envs, *leaf.shape), leaf.dtype), one
        )

    def _check_action(self, action: PyTree[Array]) -> PyTree[Array]:
        """The action in the space's dtypes, or an error that says what came."""
        wanted = self._shapes(self._actions)
        got = jax.tree.map(jnp.asarray, action)
        same = jax.tree.structure(got) == jax.tree.structure(wanted)
        pairs = zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=same)
        if not same or not all(_fits(leaf, want) for leaf, want in pairs):
            raise ValueError(
                f"{self.name} takes actions of {self._actions} with a leading axis of num_envs="
                f"{self.num_envs}: {_text(wanted)}; got {_text(got)}"
            )
        return jax.tree.map(lambda leaf, want: leaf.astype(want.dtype), got, wanted)


def _fits(leaf: Array, wanted: jax.ShapeDtypeStruct) -> bool:
    kind = jnp.integer if jnp.issubdtype(wanted.dtype, jnp.integer) else jnp.floating
    return leaf.shape == wanted.shape and jnp.issubdtype(leaf.dtype, kind)


def _text(tree: PyTree) -> str:
    """The shapes and dtypes of a tree."""
    return str(jax.tree.map(lambda leaf: jax.typeof(leaf).str_short(), tree))


class _OwnFailures(logging.Filter):
    """Drops what jax logs of an exception of a host environment: a second copy of its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not any(note.startswith(NOTE) for note in getattr(error, "__notes__", ()))


_OWN_FAILURES = _OwnFailures()
