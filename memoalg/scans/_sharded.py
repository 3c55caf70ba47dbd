"""The time axis over several devices, as a method."""

import math

import equinox as eqx
import jax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, PyTree

from .._tree import tree_where
from ..algebra import AbstractMonoid
from ..algebra._fixed import mark_fixed, split_fixed
from ._associative import no_reads
from ._auto import Auto
from ._edges import resets_in_reverse, row_before, sees_whole, shifted_start
from ._mesh import AxisName, axes_of, count_shards, position
from ._method import AbstractMethod, length_of
from ._pieces import Operands, Piece


class Sharded(AbstractMethod):
    r"""The time axis over the devices of a mesh axis, for sequences too long for one device.

    Each device has an equal, contiguous piece of the sequence. It folds its piece into one element; the
    devices exchange these elements; then each runs its piece from the state that enters it. That is one
    all-gather of an element for each device, and in the gradient one reduce-scatter of a state for each,
    whatever the length and the monoid. Nothing is stored beyond what `local` stores.

    It is used in one of two ways.

    - Inside `jax.shard_map`, `Sharded("time")`: generators, `start`, queries and reads are this device's
      piece; `state`, `initial_state` and `Fixed` parts are the same on all devices, and so is the last
      state that comes back, which JAX knows (`out_specs=P()` is accepted). This way also takes batches, by
      `jax.vmap` inside and a second mesh axis.
    - Anywhere else, `Sharded("time", mesh=mesh)`: arrays are whole sequences, whose length is a multiple
      of the number of devices, on a mesh whose axes are `AxisType.Auto`.

    Layers pass it on: `layer(carry, xs, start, method=ma.Sharded("time"))`. What is no monoid, such as a
    GRU, has no total, and cannot be sharded over time.

    The fold multiplies elements: for n × n matrices that is $n^3$ a step, where a step of the trajectory
    is $n^2$ (but not for the delta rule, whose total has a form of its own). Reverse mode only, to any
    order; `Associative` as `local` is computed again in the gradient.

    Arguments:
        axis_name: of the mesh; a tuple for several axes taken as one.
        local: how each device runs its piece.
        mesh: None inside `jax.shard_map`.

    Raises:
        TypeError: where `axis_name` is not a name, or `local` not a method.
        ValueError: where no such axis is bound, or the mesh has none, or the length cannot be cut.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> from jax.sharding import AxisType
        >>> mesh = jax.make_mesh((jax.device_count(),), ("time",), axis_types=(AxisType.Auto,))
        >>> print(ma.scan(ma.Add(), jnp.ones(8), method=ma.Sharded("time", mesh=mesh)))
        [1. 2. 3. 4. 5. 6. 7. 8.]
    """

    axis_name: AxisName = eqx.field(static=True)
    local: AbstractMethod = Auto()
    mesh: Mesh | None = eqx.field(static=True, default=None, kw_only=True)

    def __check_init__(self) -> None:
        names = self.axis_name if isinstance(self.axis_name, tuple) else (self.axis_name,)
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"Sharded takes the name of a mesh axis, got {self.axis_name!r}; write "
                'ma.Sharded("time")'
            )
        if not isinstance(self.local, AbstractMethod) or isinstance(self.local, Sharded):
            raise TypeError(
                "Sharded: local is how one device runs its piece, a method such as ma.Sequential(), "
                f"got {self.local!r}"
            )
        if self.mesh is not None and not axes_of(self.axis_name) <= set(self.mesh.axis_names):
            raise ValueError(
                f"Sharded({self.axis_name!r}): the mesh has no such axis, but {self.mesh.axis_names}"
            )

    def run(
        self,
        monoid: AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        operands = (state, generators, resets, initial_state, queries)
        if self.mesh is not None:
            return self._over_mesh(self.mesh, monoid, operands, reverse)
        size = count_shards(self.axis_name)
        if length_of(generators, resets) == 0:
            return state, no_reads(monoid, state, queries)
        closed = None
        if reverse and resets is not None:
            # A reset before this piece's first step concerns the piece that is run next.
            closed, resets = resets[0], shifted_start(resets)
        arrays, static = eqx.partition(monoid, eqx.is_array)
        piece = Piece(self.axis_name, size, self.local, static, reverse)
        return piece.run(
            Operands(arrays, state, generators, resets, closed, initial_state, queries)
        )

    def _over_mesh(
        self, mesh: Mesh, monoid: AbstractMonoid, operands: tuple, reverse: bool
    ) -> tuple[PyTree, PyTree]:
        state, generators, resets, initial_state, queries = operands
        _check_divides(self.axis_name, mesh, length_of(generators, resets))
        arrays, static = eqx.partition(monoid, eqx.is_array)
        fixed, timed, treedef = split_fixed(generators)
        inside = Sharded(self.axis_name, self.local)

        def piece(whole: tuple, cut: tuple) -> tuple[PyTree, PyTree]:
            arrays, state, fixed, initial_state = whole
            timed, resets, queries = cut
            return inside.run(
                eqx.combine(arrays, static),
                state,
                mark_fixed(treedef, fixed, timed),
                resets,
                initial_state,
                queries,
                reverse,
            )

        # The types that JAX would check are right; with them, `jax.vmap(..., spmd_axis_name=...)` of this
        # cannot hold a `jax.vmap` (jax 0.10 to 0.12: pvary of what varies already).
        everywhere, over_time = PartitionSpec(), PartitionSpec(self.axis_name)
        return jax.shard_map(
            piece,
            mesh=mesh,
            in_specs=(everywhere, over_time),
            out_specs=(everywhere, over_time),
            check_vma=False,
        )((arrays, state, fixed, initial_state), (timed, resets, queries))


def _check_divides(axis_name: AxisName, mesh: Mesh, length: int) -> None:
    shards = math.prod(mesh.shape[name] for name in axes_of(axis_name))
    if length % shards:
        raise ValueError(
            f"Sharded({axis_name!r}): {length} steps cannot be cut into {shards} equal pieces; pad the "
            f"sequence to {length + -length % shards} steps, or choose another mesh axis"
        )


@resets_in_reverse.register
def _(method: Sharded, start: Bool[Array, " time"]) -> Bool[Array, " time"]:
    return start


@sees_whole.register
def _(method: Sharded) -> bool:
    return False


@row_before.register
def _(method: Sharded, edge: PyTree, rows: PyTree, reverse: bool) -> PyTree:
    if method.mesh is not None:
        return edge
    size, by = count_shards(method.axis_name), -1 if reverse else 1
    pairs = [(i, i + by) for i in range(size) if 0 <= i + by < size]
    is_first = position(method.axis_name, size, reverse) == 0

    def before(edge: Array, rows: Array) -> Array:
        sent = jax.lax.ppermute(rows[0 if reverse else -1], method.axis_name, pairs)
        return tree_where(is_first, edge, sent)

    return jax.tree.map(before, edge, rows)
