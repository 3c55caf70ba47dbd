"""Check the laws of a layer, at its initial parameters and after an update."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._tree import first_difference, key_path, shape_of
from ..algebra import describe
from ..algebra._fixed import merge_fixed, split_fixed
from ..nn import AbstractLayer, AbstractMemoroid
from ._check import run_checks
from ._draft import Rows
from ._draw import Source
from ._inputs import draw_inputs, example_input
from ._judge import judge
from ._law import Law, meaning, statement
from ._memoroid import LAYER, METHODS
from ._options import compiler_options
from ._report import LawError, Report, text
from ._widen import widened, widened_values

LENGTH, ROWS = 5, 24
BITWISE = ("layer_reset_containment",)


def check_layer(
    layer: AbstractLayer, in_size: int | None = None, *, input: Any = None, seed: int = 0
) -> Report:
    """Check that a layer keeps its protocol, as it is and after a random update of its parameters.

    Step by step, in pieces and over the whole sequence it must compute the same numbers; the carry must
    keep its type; a start must forget what came before, NaN included; gradients must be finite; and all
    methods must agree. The monoids of memoroids in it are checked on what their own `encode` makes of
    varied inputs: with other parameters a model may leave the elements on which its operator is
    associative.

    That a layer is the *right* one, no law can say: see [`memoalg.laws.assert_matches_recurrence`][].

    Arguments:
        layer: the layer.
        in_size: length of an input vector, where the layer does not say.
        input: one step of input, for layers that take other than float vectors. Its floating leaves
            are drawn anew for each step, the others repeated.
        seed: of inputs and update.

    Returns:
        A report with the names of the laws.

    Raises:
        LawError: for the first law that fails.
        ValueError: where the length of an input is unknown.

    Example:
        >>> import jax, memoalg as ma
        >>> report = ma.laws.check_layer(ma.nn.GRU(2, 3, key=jax.random.key(0)))
        >>> report.laws[:3]
        ('carry_type', 'layer_steps', 'layer_split')
    """
    example = example_input(layer, in_size, input)
    _check_carry_type(layer, example)
    xs = draw_inputs(example, Source(seed, LENGTH, mild=True))
    start = np.arange(LENGTH) % 3 == 2
    laws = LAYER | (METHODS if _has_methods(layer, xs, start) else {})
    runner = _Runner(laws, layer)
    names = ["carry_type", *laws]
    for model, when in (
        (layer, "with the parameters it has"),
        (updated(layer, seed), "after a random update of its parameters"),
    ):
        runner.run(model, xs, start, when)
        names += _check_monoids(model, example, seed)
    return Report((_name(layer),), tuple(dict.fromkeys(names)), 2)


def updated(layer: AbstractLayer, seed: int) -> AbstractLayer:
    """The layer after three steps of noise on all floating parameters."""
    rng = np.random.default_rng(seed)

    def moved(leaf: Any) -> Any:
        if not eqx.is_inexact_array(leaf):
            return leaf
        noise = sum(0.2 * rng.normal(size=leaf.shape) for _ in range(3))
        return jnp.asarray((np.asarray(leaf) + noise).astype(leaf.dtype))

    return jax.tree.map(moved, layer)


class _Runner:
    """All laws of a layer in one compiled program, for any parameters; and in double precision."""

    def __init__(self, laws: dict[str, Law], layer: AbstractLayer):
        self.laws = laws
        self.static = eqx.partition(layer, eqx.is_array)[1]
        self._compiled = jax.jit(self._sides, static_argnums=0, compiler_options=compiler_options())

    def _sides(self, static: Any, arrays: Any, xs: Any, start: Any) -> dict:
        layer = eqx.combine(arrays, static)
        return {name: law(layer, xs, start) for name, law in self.laws.items()}

    def run(self, layer: AbstractLayer, xs: Any, start: np.ndarray, when: str) -> None:
        sides = self._evaluate(layer, xs, start)
        wide = None
        for name, law in self.laws.items():
            bitwise = name in BITWISE
            one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], sides[name])
            verdict = judge(one, [_case(xs)], None, None, bitwise)
            if verdict.failing.any() and not bitwise:
                wide = wide or self._in_double(layer, xs, start)
                oracle = None if wide is None else _case(wide[name])
                verdict = judge(one, [_case(xs)], oracle, None, alone=oracle is None)
            if verdict.failing.any():
                raise _error(
                    layer, name, law, sides[name], verdict.leaf[0] or "itself", when, start
                )

    def _evaluate(self, layer: AbstractLayer, xs: Any, start: np.ndarray) -> dict:
        arrays, static = eqx.partition(layer, eqx.is_array)
        return jax.device_get(self._compiled(static, arrays, xs, start))

    def _in_double(self, layer: AbstractLayer, xs: Any, start: np.ndarray) -> dict | None:
        with jax.enable_x64(True):
            try:
                return self._evaluate(widened(layer), widened_values(xs), start)
            except (TypeError, ValueError):  # a layer that hard-codes its dtype somewhere
                return None


def _case(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], tree)


def _has_methods(layer: AbstractLayer, xs: Any, start: np.ndarray) -> bool:
    """Whether there is a parallel tree: cells that are no monoid refuse one."""
    try:
        for law in METHODS.values():
            jax.eval_shape(lambda xs, law=law: law(layer, xs, jnp.asarray(start)), xs)
    except TypeError as error:
        if "no monoid" in str(error):
            return False
        raise
    return True


def _check_carry_type(layer: AbstractLayer, example: Any) -> None:
    """The carry keeps structure, shapes and dtypes, in a call and in a step."""
    carry = shape_of(layer.init_carry())
    one = shape_of(example)
    xs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), one)
    flags = jax.ShapeDtypeStruct((3,), jnp.bool_)
    after = {
        "a call": jax.eval_shape(lambda c, x, s: layer(c, x, s)[0], carry, xs, flags),
        "step": jax.eval_shape(
            lambda c, x, s: layer.step(c, x, s)[0], carry, one, jax.ShapeDtypeStruct((), jnp.bool_)
        ),
    }
    for what, found in after.items():
        difference = first_difference(carry, found)
        if difference is not None:
            raise LawError(
                f"carry_type fails for\n  {_name(layer)}\n{what} returns another carry than init_carry() "
                f"gives: it differs in {difference}\nUsually: an array is cast or broadcast on the way; a "
                "carry must be the same kind of thing at every step."
            )


def _check_monoids(layer: AbstractLayer, example: Any, seed: int) -> list[str]:
    """The laws of the monoid of every memoroid whose inputs are known, on what it encodes."""
    names: list[str] = []
    nodes = jax.tree.leaves(layer, is_leaf=_is_memoroid)
    for node in filter(_is_memoroid, nodes):
        if node is layer:
            one = example
        elif isinstance(node.in_size, int):
            one = np.zeros(node.in_size, np.dtype(jnp.zeros(()).dtype))
        else:
            continue
        rows = _encoded(node, draw_inputs(one, Source(seed, ROWS)))
        try:
            names += run_checks(node.monoid, Rows(rows, False, 0), seed=seed).laws
        except LawError as error:
            raise LawError(f"{error}\n(The monoid of {_name(node)}, on what it encodes.)") from None
    return names


def _encoded(layer: AbstractMemoroid, xs: Any) -> Any:
    def plain(x: Any) -> Any:
        fixed, timed, treedef = split_fixed(layer.encode(x))
        return merge_fixed(treedef, fixed, timed)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(plain))(xs))


def _is_memoroid(node: Any) -> bool:
    return isinstance(node, AbstractMemoroid)


def _name(layer: AbstractLayer) -> str:
    sizes = f"in_size={layer.in_size}, out_size={layer.out_size}"
    monoid = f" of {describe(layer.monoid)[0]}" if isinstance(layer, AbstractMemoroid) else ""
    return f"{type(layer).__name__}({sizes}){monoid}"


def _error(
    layer: AbstractLayer,
    name: str,
    law: Law,
    sides: tuple[Any, Any],
    leaf: str,
    when: str,
    start: np.ndarray,
) -> LawError:
    left, right = (
        {key_path(path): value for path, value in jtu.tree_flatten_with_path(side)[0]}[leaf]
        for side in sides
    )
    lines = [
        f"{name} fails for",
        f"  {_name(layer)}",
        f"{when}, on {len(start)} steps",
        f"left side  = {text(left)}",
        f"right side = {text(right)}",
        f"first difference: leaf {leaf}",
        f"The law: {statement(law)}.",
        meaning(law),
    ]
    return LawError("\n".join(lines))
