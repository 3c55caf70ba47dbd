"""Where the members of a population run: one after another, side by side, or over devices."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


@dataclasses.dataclass(frozen=True)
class Layout:
    """How members are mapped; hashable, a static argument of the programs.

    Attributes:
        members: how many.
        sequential: one after another within the program (`lax.map`), or side by side (`vmap`).
        devices: those that share the members equally, by the members' leading axis; empty for the
            default device alone.
    """

    members: int
    sequential: bool
    devices: tuple[Any, ...] = ()

    def shardings(self, state: PyTree) -> PyTree:
        """A sharding for each leaf of a training state: `shared` everywhere, the rest divided."""
        divided = jax.tree.map(lambda _: self._sharding("member"), state)
        shared = jax.tree.map(lambda _: self._sharding(), state.shared)
        return eqx.tree_at(lambda s: s.shared, divided, shared)

    def constrain(self, state: PyTree) -> PyTree:
        """The state, kept where `shardings` says; within a program."""
        if not self.devices:
            return state
        return jax.lax.with_sharding_constraint(state, self.shardings(state))

    def place(self, state: PyTree) -> PyTree:
        """The state, moved to where `shardings` says."""
        return jax.device_put(state, self.shardings(state)) if self.devices else state

    def divide(self, stacked: PyTree) -> PyTree:
        """Arrays with a leading axis of members, moved to the members' devices."""
        return jax.device_put(stacked, self._sharding("member")) if self.devices else stacked

    def copy(self, arrays: PyTree) -> PyTree:
        """Arrays that all members share, copied to every device."""
        return jax.device_put(arrays, self._sharding()) if self.devices else arrays

    def structs(self, shapes: PyTree) -> PyTree:
        """Shapes of a training state, with the place of each leaf."""
        if not self.devices:
            return shapes
        return jax.tree.map(
            lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
            shapes,
            self.shardings(shapes),
        )

    def divided_struct(self, shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        """The shape of an array with a leading axis of members, with its place."""
        if not self.devices:
            return shape
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=self._sharding("member"))

    def _sharding(self, *axes: str) -> NamedSharding:
        return NamedSharding(Mesh(np.array(self.devices), ("member",)), PartitionSpec(*axes))


def choose_layout(members: int) -> Layout:
    """The layout that is fastest here.

    On one CPU the members run one after another: `vmap` over them is slower there. On one
    accelerator they run side by side, and on several devices side by side on as many of them as
    divide the members equally. Within `jax.default_device(…)` that device alone is used.

    Args:
        members: how many, at least 1.
    """
    devices = available_devices()
    used = max(n for n in range(1, len(devices) + 1) if members % n == 0)
    if used > 1:
        return Layout(members, False, tuple(devices[:used]))
    return Layout(members, devices[0].platform == "cpu")


def available_devices() -> Sequence[Any]:
    """The device chosen by `jax.default_device(…)`, else all of this process."""
    chosen: Any = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if chosen is None:
        return jax.local_devices()
    return jax.local_devices(backend=chosen)[:1] if isinstance(chosen, str) else [chosen]
