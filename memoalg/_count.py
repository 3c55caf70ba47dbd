"""Counts operations and bytes in a traced program, loops included."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


class Work(NamedTuple):
    """Floating-point operations, and bytes of the operands and results of products and loops."""

    flops: int
    bytes: int

    def __add__(self, other: tuple) -> "Work":
        return Work(self.flops + other[0], self.bytes + other[1])

    def times(self, count: int) -> "Work":
        """The same, several times."""
        return Work(self.flops * count, self.bytes * count)


NOTHING = Work(0, 0)

# What moves numbers about, or looks at their shapes, but computes none.
FREE = {
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "dynamic_slice",
    "dynamic_update_slice", "concatenate", "pad", "gather", "scatter", "rev", "convert_element_type",
    "iota", "copy", "copy_p", "stop_gradient", "select_n", "real", "imag", "complex", "split",
    "bitcast_convert_type", "reduce_precision", "optimization_barrier", "pvary",
}  # fmt: skip


def count_work(closed: ClosedJaxpr) -> Work:
    """Of a program as traced, before any compiler, but without what its results do not need.

    A complex multiplication or addition counts as one operation, and so does an exponential; of a `cond`
    the dearest branch counts. A `while` loop of unknown length counts once.
    """
    jaxpr = closed.jaxpr
    return _needed(jaxpr, [True] * len(jaxpr.outvars))[0]


def _needed(jaxpr: Jaxpr, wanted: list[bool]) -> tuple[Work, list[bool]]:
    """The work behind the results that are wanted, and which inputs it needs."""
    total, live = NOTHING, {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want}
    for equation in reversed(jaxpr.eqns):
        asked = [variable in live for variable in equation.outvars]
        if not any(asked):
            continue
        work, used = _equation(equation, asked)
        total = total + work
        live |= {
            variable
            for variable, use in zip(equation.invars, used, strict=True)
            if use and not isinstance(variable, Literal)
        }
    return total, [variable in live for variable in jaxpr.invars]


def _equation(equation: JaxprEqn, asked: list[bool]) -> tuple[Work, list[bool]]:
    name, params = equation.primitive.name, equation.params
    everything = [True] * len(equation.invars)
    if name == "scan":
        # Inside, state and inputs stay in the cache: the loop's own operands and results count.
        body = params["jaxpr"].jaxpr
        inner = _needed(body, [True] * len(body.outvars))[0].times(params["length"])
        return Work(inner.flops, _moved(equation)), everything
    if name == "cond":
        branches = [_needed(b.jaxpr, asked)[0] for b in params["branches"]]
        return max(branches, key=lambda work: work.flops), everything
    if name == "while":
        body = params["body_jaxpr"].jaxpr
        return Work(
            _needed(body, [True] * len(body.outvars))[0].flops, _moved(equation)
        ), everything
    if name == "custom_linear_solve":
        solve = params["jaxprs"].solve.jaxpr
        inner = _needed(solve, [True] * len(solve.outvars))[0]
        return Work(inner.flops, _moved(equation)), everything
    # A rule for derivatives carries programs besides the one that is run: the first is that.
    program = next((value for value in params.values() if _is_program(value)), None)
    if program is None:
        return _plain(equation), everything
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    if len(jaxpr.outvars) != len(asked) or len(jaxpr.invars) != len(everything):
        return _needed(jaxpr, [True] * len(jaxpr.outvars))[0], everything
    return _needed(jaxpr, asked)


def _plain(equation: JaxprEqn) -> Work:
    name, params = equation.primitive.name, equation.params
    first = _shape(equation.invars)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        depth = math.prod(first[axis] for axis in contracted)
        return Work(2 * depth * _size(equation.outvars), _moved(equation))
    if name == "memoalg_dense_product":
        return Work(2 * math.prod(first[-1:]) * _size(equation.outvars), _moved(equation))
    if name == "triangular_solve":
        return Work(math.prod(first[-1:]) * _size(equation.invars[1:]), _moved(equation))
    if name.startswith(("reduce_", "cum", "arg")) or name == "sort":
        return Work(_size(equation.invars), 0)
    return NOTHING if name in FREE else Work(_size(equation.outvars), 0)


def _shape(variables: Any) -> tuple[int, ...]:
    """Of the first; of none, that of a number."""
    return next((variable.aval.shape for variable in variables), ())


def _size(variables: Any) -> int:
    return sum(variable.aval.size for variable in variables)


def _moved(equation: JaxprEqn) -> int:
    variables = [*equation.invars, *equation.outvars]
    return sum(v.aval.size * v.aval.dtype.itemsize for v in variables if _is_plain(v.aval))


def _is_plain(aval: Any) -> bool:
    # A random key has a dtype without a size in bytes.
    return not jnp.issubdtype(aval.dtype, jax.dtypes.extended)


def _is_program(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)
