r"""A recurrence solved for all steps at once, with its derivatives.

With $F_t(s) = f(\text{initial if reset}_t \text{ else } s_{t-1}, x_t)$ the states solve $s = F(s)$.
Newton's step $d$ from a guess $s$ is $d_t = J_t d_{t-1} + F_t(s) - s_t$, an affine recurrence, in which
J is the Jacobian of f in the state, or its diagonal, and 0 wherever what enters is known: at a reset
and at the first step.

The derivatives do not know how the states were found (implicit function theorem): tangents solve
$\dot s_t - J_t \dot s_{t-1} = \dot F_t$, cotangents the transposed system, which runs backward.
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from .._tree import split_inexact, tree_where
from ._newton_linear import Linearised, affine_scan, shifted, solve_linear
from ._newton_search import Problem, largest, search
from ._newton_vector import Scheme

RESIDUAL_WEIGHT = 4
"""By how much an error may exceed the residual that it leaves: measured, at gain 3 about 2."""


class Operands(NamedTuple):
    """What the states depend on.

    Attributes:
        constants: what every step reads.
        state: the vector that enters the first step executed.
        initial: the vector that enters a step with a reset.
        steps: what each step reads, with a time axis.
        resets: bool (time,), or None for nowhere.
    """

    constants: PyTree
    state: Array
    initial: Array
    steps: PyTree
    resets: Array | None


class Outputs(NamedTuple):
    """The states, and how they were found."""

    states: Array
    rounds: Array
    residual: Array
    fell_back: Array


def run(scheme: Scheme, operands: Operands) -> Outputs:
    """The states, differentiable in all operands."""
    moving, still = split_inexact(operands)
    call = jax.custom_jvp(functools.partial(_primal, scheme))
    call.defjvp(functools.partial(_tangent, scheme))
    return call(moving, still)


def _primal(scheme: Scheme, moving: PyTree, still: PyTree) -> Outputs:
    operands: Operands = eqx.combine(moving, still)
    leaves, treedef = jax.tree.flatten(operands)

    def read(leaves: Any) -> Operands:
        return jax.tree.unflatten(treedef, leaves)

    problem = Problem(
        begin=lambda leaves: _begin(scheme, read(leaves)),
        refine=lambda leaves, kept, guess: _refine(scheme, read(leaves), guess),
        loop=lambda leaves: _loop(scheme, read(leaves)),
        limit=scheme.limit,
        tolerance=scheme.tolerance,
    )
    return Outputs(*search(problem, None, tuple(leaves)))


def _tangent(scheme: Scheme, primals: tuple, tangents: tuple) -> tuple[Outputs, Outputs]:
    operands: Operands = eqx.combine(*primals)
    dots: Operands = tangents[0]
    # By the rule again, so that a derivative of the derivative knows what the states depend on.
    outputs = run(scheme, operands)
    entering = _entering(scheme, operands, outputs.states)
    # What the states before contribute is left to the system.
    given_dot = _entering(
        scheme, dots._replace(resets=operands.resets), jnp.zeros_like(outputs.states)
    )
    (constants, steps), rest = split_inexact((operands.constants, operands.steps))

    def stepped(constants: PyTree, entering: Array, steps: PyTree) -> Array:
        constants, steps = eqx.combine((constants, steps), rest)
        return jax.vmap(scheme.step, (None, 0, 0))(constants, entering, steps)

    directions = dots.constants, given_dot, dots.steps
    inputs_dot = jax.jvp(stepped, (constants, entering, steps), directions)[1]
    known = _known(scheme, operands, entering.shape[0])
    at = Linearised(operands.constants, entering, operands.steps, known)
    states_dot = solve_linear(scheme, at, outputs.fell_back, inputs_dot)
    none: Any = np.zeros((), jax.dtypes.float0)
    return outputs, Outputs(states_dot, none, jnp.zeros_like(outputs.residual), none)


def _entering(scheme: Scheme, operands: Operands, states: Array) -> Array:
    """What enters every step."""
    entering = shifted(operands.state, states, scheme.reverse)
    if operands.resets is None:
        return entering
    initial = jnp.broadcast_to(operands.initial, entering.shape)
    return tree_where(operands.resets, initial, entering)


def _known(scheme: Scheme, operands: Operands, length: int) -> Bool[Array, " time"]:
    """Where what enters is given and no state."""
    first = jnp.arange(length) == (length - 1 if scheme.reverse else 0)
    return first if operands.resets is None else first | operands.resets


def _begin(scheme: Scheme, operands: Operands) -> tuple[Array, None, Array]:
    """The guess that every step begins an episode."""
    length = jax.tree.leaves(operands.steps)[0].shape[0]
    initial = jnp.broadcast_to(operands.initial, (length, *operands.initial.shape))
    guess = _stepped(scheme, operands, initial)
    return guess, None, jnp.full((), jnp.finfo(guess.dtype).max, guess.dtype)


def _refine(scheme: Scheme, operands: Operands, guess: Array) -> tuple[Array, Array, Array]:
    entering = _entering(scheme, operands, guess)
    values, jacobians = jax.vmap(scheme.linearise, (None, 0, 0))(
        operands.constants, entering, operands.steps
    )
    known = _known(scheme, operands, guess.shape[0])
    jacobians = tree_where(known, jnp.zeros_like(jacobians), jacobians)
    change = affine_scan(jacobians, values - guess, scheme.reverse)
    better = guess + change
    residual = _size(_stepped(scheme, operands, better) - better, better)
    error = _size(change, better)
    # The residual spares a round that would only show how good the last one was.
    spared = RESIDUAL_WEIGHT * residual
    return better, jnp.where(spared < error, spared, error), residual


def _stepped(scheme: Scheme, operands: Operands, states: Array) -> Array:
    entering = _entering(scheme, operands, states)
    return jax.vmap(scheme.step, (None, 0, 0))(operands.constants, entering, operands.steps)


def _size(change: Array, states: Array) -> Array:
    """The largest change, relative to the states where they are large."""
    return largest(jnp.abs(change) / jnp.maximum(jnp.abs(states), 1))


def _loop(scheme: Scheme, operands: Operands) -> Array:
    constants, state, initial, steps, resets = operands

    def body(before: Array, now: tuple) -> tuple[Array, Array]:
        now, reset = now
        entering = before if reset is None else tree_where(reset, initial, before)
        after = scheme.step(constants, entering, now)
        return after, after

    return jax.lax.scan(body, state, (steps, resets), reverse=scheme.reverse)[1]
