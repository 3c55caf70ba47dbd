"""The affine maps of positive numbers, by their logarithms."""

from jaxtyping import Array

from .._typing import DTypeLike, Shape
from ._action import shift
from ._add import Add
from ._log_sum_exp import LogSumExp
from ._semidirect import SemidirectProduct


def LogAffine(shape: Shape = (), dtype: DTypeLike | None = None) -> SemidirectProduct[Array, Array]:
    r"""The monoid of maps $h \mapsto a\,h + b$ of positive numbers: elements $(\log a, \log b)$.

    $$(p, q) \bullet (p', q') = (p + p',\; \log(e^{q + p'} + e^{q'})), \qquad e = (0, -\infty), \qquad
      s \cdot (p, q) = \log(e^{s + p} + e^q).$$

    It is `SemidirectProduct(Add(shape), LogSumExp(shape), shift)`, spelled once; the state is $\log h$.

    [`memoalg.Affine`][] restricted to positive numbers is isomorphic to it: as a monoid it is
    `Map(Affine(), Isomorphism(log, exp))` with log and exp taken of both parts. Composed so, each
    combine would exponentiate, and overflow or underflow where h does; here nothing is exponentiated
    but differences.

    Hazard: positive numbers only; a sign has to be carried apart. $-\infty$ is a valid $\log b$ (add
    nothing) and a valid $\log a$ (forget everything), both with finite gradients.

    Arguments:
        shape: of log a and log b; `4` means `(4,)`.
        dtype: real floating; None is the default float, fixed at construction.

    Returns:
        The semidirect product.

    Raises:
        ValueError: for an integer, bool or complex dtype.

    Source: Heinsen, Efficient Parallelization of a Ubiquitous Sequential Computation
    (arXiv 2311.06281); Feng et al., Were RNNs All We Needed? (arXiv 2410.01201), in log space.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> log_decays, log_inputs = jnp.full(3, jnp.log(0.5)), jnp.zeros(3)
        >>> m = ma.LogAffine()
        >>> last, states = ma.trajectory(m, m.initial_state(), (log_decays, log_inputs), None)
        >>> print(jnp.exp(states))
        [1.   1.5  1.75]
    """
    return SemidirectProduct(Add(shape, dtype), LogSumExp(shape, dtype), shift)
