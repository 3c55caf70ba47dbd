"""What is wrong with the arguments of a scan, said before anything is traced."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, PyTree

from .._tree import first_difference, key_path, leaf_text, shape_of
from ..algebra import AbstractMonoid, AbstractSemigroup
from ..algebra._fixed import is_fixed, merge_fixed, split_fixed
from ._method import AbstractMethod


def check_method(method: Any) -> None:
    """A method is an object: neither its class nor its name."""
    if not isinstance(method, AbstractMethod):
        raise TypeError(
            f"method must be a method object such as ma.Sequential(), got {method!r}"
            + (" (write the instance: add parentheses)" if isinstance(method, type) else "")
        )


def check_start(start: Any, length: int | None) -> Array | None:
    """`start` as a bool array (time,), or None."""
    if start is None:
        return None
    if not isinstance(start, bool) and not is_array(start):
        raise TypeError(
            f"start must be a bool array (time,) or None, got {type(start).__name__}; "
            "write start=None to continue without a reset"
        )
    start = jnp.asarray(start)
    if start.dtype != jnp.bool_:
        raise TypeError(
            f"start must be bool (time,), got {leaf_text(start)}: write start.astype(bool)"
        )
    if start.ndim != 1:
        raise ValueError(
            f"start must have one axis, time, got shape {start.shape}: for a batch wrap the call in "
            "jax.vmap; for one step use a layer's `step`"
        )
    if length is not None and start.shape[0] != length:
        raise ValueError(
            f"start has {start.shape[0]} steps but the sequence has {length}; start must be "
            f"bool ({length},), true on the first step of each episode"
        )
    return start


def is_array(x: Any) -> bool:
    """Arrays of JAX and of numpy."""
    return isinstance(x, jax.Array) or type(x).__module__ == "numpy"


def sequence_length(what: str, tree: PyTree) -> int | None:
    """The common leading axis of all leaves; `Fixed` parts have none. None where nothing is timed."""
    paths, _ = jtu.tree_flatten_with_path(tree, is_leaf=is_fixed)
    lengths: dict[str, int] = {}
    for path, leaf in paths:
        if is_fixed(leaf):
            continue
        if jnp.ndim(leaf) == 0:
            raise ValueError(
                f"{what}: leaf {key_path(path)} has no time axis; every part needs a leading axis "
                "(time, ...), or ma.Fixed(value) for a part that does not change over time"
            )
        lengths[key_path(path)] = jnp.shape(leaf)[0]
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{what}: the leading time axes differ: {lengths}")
    return next(iter(lengths.values()), None)


def check_elements(semigroup: AbstractSemigroup, elements: PyTree) -> int:
    """Elements of a scan: the monoid's element with a leading time axis. Returns the length."""
    if not isinstance(semigroup, AbstractSemigroup):
        raise TypeError(f"expected a monoid, got {type(semigroup).__name__}; write ma.Add(), say")
    length = sequence_length("elements", elements)
    if length is None:
        raise ValueError("elements: every part is Fixed, so the number of steps is unknown")
    one = _at_one_time(elements)
    difference = first_difference(semigroup.element, one)
    if difference is not None:
        raise ValueError(
            f"elements of {type(semigroup).__name__} must be its element with a leading time axis, "
            f"but one step differs in {difference}. For a batch wrap the call in jax.vmap."
        )
    return length


def check_step(
    monoid: AbstractMonoid, state: PyTree, generators: PyTree, initial: PyTree, queries: PyTree
) -> None:
    """One step must keep the state's type: the message names the leaf, before `lax.scan` does."""
    own = shape_of(jax.eval_shape(monoid.initial_state))
    for what, given in (("state", state), ("initial_state", initial)):
        difference = None if given is None else first_difference(own, shape_of(given))
        if difference is not None:
            raise ValueError(
                f"{what} must be what {type(monoid).__name__}.initial_state() is, but differs in "
                f"{difference}"
            )
    one = _at_one_time(generators)
    difference = _step_difference(monoid, own, one)
    if difference is not None:
        raise ValueError(
            f"a step of {type(monoid).__name__} must keep the state's type, but differs in "
            f"{difference}. Check shapes and dtypes of the generators: one step is {_text(one)}. For "
            "a batch wrap the call in jax.vmap."
        )
    if queries is not None:
        jax.eval_shape(monoid.read, own, _at_one_time(queries))


def _step_difference(monoid: AbstractMonoid, state: PyTree, generator: PyTree) -> str | None:
    try:
        return first_difference(state, jax.eval_shape(monoid.advance, state, generator))
    except (TypeError, ValueError) as error:
        return f"a way that JAX refuses ({str(error).splitlines()[0]})"


def _at_one_time(tree: PyTree) -> PyTree:
    """Shapes and dtypes of one step, `Fixed` parts unwrapped."""
    fixed, timed, treedef = split_fixed(tree)
    one = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf)[1:], jnp.result_type(leaf)), timed
    )
    return merge_fixed(treedef, shape_of(fixed), one)


def _text(tree: PyTree) -> str:
    return str(jax.tree.map(leaf_text, tree))
