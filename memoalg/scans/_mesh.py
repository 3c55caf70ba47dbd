"""What a program under `jax.shard_map` needs of its mesh: places, and one exchange each way."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, PyTree

from .._tree import split_inexact
from ._packing import pack_bits, pack_numbers

AxisName = str | tuple[str, ...]
"""One mesh axis, or several that are one, as in `PartitionSpec(("host", "gpu"))`."""


def axes_of(axis_name: AxisName) -> frozenset[str]:
    """The names one by one."""
    return frozenset((axis_name,) if isinstance(axis_name, str) else axis_name)


def count_shards(axis_name: AxisName) -> int:
    """The size of a bound axis.

    Raises:
        ValueError: outside `jax.shard_map`, with what to write.
    """
    try:
        return jax.lax.axis_size(axis_name)
    except NameError:
        raise ValueError(
            f"Sharded({axis_name!r}): no mesh axis {axis_name!r} is bound here. Call it inside "
            f"jax.shard_map over a mesh with that axis, or give the mesh: "
            f"ma.Sharded({axis_name!r}, mesh=mesh)"
        ) from None


def position(axis_name: AxisName, size: int, reverse: bool) -> Int32[Array, ""]:
    """This shard's place in the order of execution."""
    index = jax.lax.axis_index(axis_name)
    return size - 1 - index if reverse else index


def gathered(tree: PyTree, axis_name: AxisName, reverse: bool) -> PyTree:
    """The tree of every shard, in the order of execution, by one all-gather; the same on all shards."""
    if not jax.tree.leaves(tree):
        return tree
    moving, still = split_inexact(tree)

    def collect(packed: Array, unpack: Callable[[Array], PyTree]) -> PyTree:
        rows = jax.lax.all_gather(packed, axis_name, to="invarying")
        return unpack(jnp.flip(rows, 0) if reverse else rows)

    @jax.custom_jvp
    def gather(moving: PyTree, still: PyTree) -> tuple[PyTree, PyTree]:
        return split_inexact(collect(*pack_bits(eqx.combine(moving, still))))

    @gather.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        # Only derivatives of derivatives come here. Bits have none; numbers of one dtype have.
        moving, still = gather(*primals)
        dots = collect(*pack_numbers(tangents[0], lead=0)) if jax.tree.leaves(moving) else moving
        return (moving, still), (dots, jax.tree.map(_no_tangent, still))

    return eqx.combine(*gather(moving, still))


def summed(rows: PyTree, axis_name: AxisName, reverse: bool) -> PyTree:
    """Of rows in the order of execution, this shard's, summed over all shards by one reduce-scatter."""
    packed, unpack = pack_numbers(rows, lead=1)
    if reverse:
        packed = jnp.flip(packed, 0)
    # Tiled, because jax.vmap of the other form may take the wrong axis (jax 0.10 to 0.12).
    own = jax.lax.psum_scatter(packed, axis_name, scatter_dimension=0, tiled=True)
    return unpack(own[0])


def _no_tangent(leaf: Array) -> np.ndarray:
    return np.zeros(leaf.shape, jax.dtypes.float0)
