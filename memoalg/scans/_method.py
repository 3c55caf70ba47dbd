"""What a method is: one way to execute a trajectory."""

import abc

import equinox as eqx
import jax
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ..algebra._fixed import split_fixed


class AbstractMethod(eqx.Module):
    """HOW a scan is executed: an object given as `method=` to the functions of `memoalg.scans`.

    All methods compute the same numbers up to rounding and the same gradients. A new method is one
    file with one class that implements `run`.

    Example:
        >>> import memoalg as ma
        >>> isinstance(ma.Sequential(), ma.AbstractMethod)
        True
    """

    @abc.abstractmethod
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
        """Execute a checked trajectory.

        Arguments:
            monoid: the algebra.
            state: entering the first step executed (step T-1 where `reverse`).
            generators: with a leading time axis, `Fixed` parts without.
            resets: bool (time,), true where the state *entering* the step is `initial_state`
                instead, in the order of time also where `reverse`; None for nowhere.
            initial_state: None for the monoid's own, which has no gradient.
            queries: with a leading time axis; None to return the states.
            reverse: run from the last step to the first.

        Returns:
            `(last_state, reads)`, reads with a leading time axis, in the order of time.
        """


def initial_state_of(monoid: AbstractMonoid, initial_state: PyTree | None) -> PyTree:
    """The state at a reset: the one given, or the monoid's own."""
    return monoid.initial_state() if initial_state is None else initial_state


def length_of(generators: PyTree, resets: Bool[Array, " time"] | None) -> int:
    """The number of steps."""
    if resets is not None:
        return resets.shape[0]
    return jax.tree.leaves(split_fixed(generators)[1])[0].shape[0]
