"""Check the laws of a monoid, of an action, of a homomorphism."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import (
    AbstractAction,
    AbstractMonoid,
    AbstractSemigroup,
    Homomorphism,
    SemidirectProduct,
)
from ..scans._check import check_elements
from ._action import GENERATORS
from ._draft import Rows, draft, drawn_rows
from ._draw import Source
from ._program import Program
from ._report import Report, law_error, subject_lines
from ._run import Runner
from ._shrink import shrink
from ._site import (
    Site,
    action_site,
    homomorphism_sites,
    sequence_sites,
    sites_of,
)
from ._unexpanded import unexpanded

CASES, SEQUENCES, DEEP = 48, 4, 8
LENGTH = 4  # The shortest for which a tree and a loop multiply in another order.
DEEP_LENGTHS = (0, 1, 2, 3, 4, 7, 8, 9, 17)


def check(
    monoid: AbstractSemigroup,
    elements: Any = None,
    *,
    generator: Callable[[Source], Any] | None = None,
    equal: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
    deep: bool = False,
    tolerance: float | None = None,
) -> Report:
    r"""Check every law that applies to a monoid: what it is, what it claims, how it scans and resets.

    Laws are checked on *reachable* elements: varied generators (normal, zero, large, tiny, one-hot,
    repeated, and small whole numbers), expanded, and products of up to nine of them, with the identity
    and starts among them. Where a law fails, the elements are made as small as they can be while it
    still fails. The actions of semidirect products and the maps of [`memoalg.Map`][] inside a
    composed monoid are checked on their own as well.

    Sides that are integers or bools must be equal. Floating sides may differ by 16 units of rounding of
    the largest number in the case; where they differ by more, the same monoid is built in float64
    and decides on the same elements whether that was rounding. Elements are compared by their `canon`.

    Arguments:
        monoid: the monoid (or semigroup) to check.
        elements: the monoid's element with a leading axis of at least 3, in place of what
            [`memoalg.laws.draw`][] draws: what your `encode` makes of varied inputs.
        generator: in place of `draw`, a function from a [`memoalg.laws.Source`][] to generators (what
            `expand` takes), as arrays with a leading axis of `source.count`.
        equal: in place of `canon` and rounding, your own equality of two elements, a bool. It is traced.
        seed: of what is drawn.
        deep: more cases, and sequences of more lengths: a minute instead of seconds.
        tolerance: in place of the oracle, the allowed difference in units of the dtype's rounding times
            the largest number in the case (at least 1).

    Returns:
        A report with the names of the laws.

    Raises:
        LawError: for the first law that fails.
        ValueError: where the elements do not fit the monoid.

    Example:
        >>> import memoalg as ma
        >>> ma.laws.check(ma.Add()).laws[:3]
        ('associativity', 'no_nan', 'left_identity')
    """
    _require_monoid(monoid)
    given = None if elements is None else _given(monoid, elements)
    rows = given
    if generator is not None:
        rows = _generated(generator, seed)
    return run_checks(monoid, rows, equal=equal, seed=seed, deep=deep, tolerance=tolerance)


def run_checks(
    monoid: AbstractSemigroup,
    rows: Rows | None,
    *,
    equal: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
    deep: bool = False,
    tolerance: float | None = None,
) -> Report:
    """Every law that applies to a monoid, on given rows or on what is drawn."""
    sites = sites_of(monoid)
    subject = monoid
    if rows is not None and rows.elements:
        # The rows are elements: laws of generators have nothing to speak of.
        laws = {name: law for name, law in sites[0].laws.items() if name not in GENERATORS}
        sites[0] = Site(monoid, laws, sites[0].sources, monoid)
        subject = unexpanded(monoid)
    for length in DEEP_LENGTHS if deep else (LENGTH,):
        sites += sequence_sites(subject, length, gradient=length in (LENGTH, 8))
    known: dict[Any, Rows] = {}
    if rows is not None:
        known = dict.fromkeys((monoid, subject), rows)
    return check_sites(sites, known, subject_lines(monoid), equal, monoid, seed, deep, tolerance)


def check_action(
    action: AbstractAction,
    acting: AbstractMonoid,
    base: AbstractMonoid,
    *,
    seed: int = 0,
    deep: bool = False,
    tolerance: float | None = None,
) -> Report:
    r"""Check that an action is one: identity, composition and both parts of distributivity.

    $$b \triangleleft e = b, \quad b \triangleleft (a \bullet a') = (b \triangleleft a) \triangleleft a',
      \quad (b \bullet b') \triangleleft a = (b \triangleleft a) \bullet (b' \triangleleft a), \quad
      e \triangleleft a = e.$$

    Arguments:
        action: the action.
        acting: the monoid whose elements act.
        base: the monoid acted on.
        seed: of what is drawn.
        deep: more cases.
        tolerance: as for [`memoalg.laws.check`][].

    Returns:
        A report with the names of the laws.

    Raises:
        LawError: for the first law that fails.
        AlgebraTypeError: where the action does not map the base to its own type.

    Example:
        >>> import memoalg as ma
        >>> ma.laws.check_action(ma.shift, ma.Add(3), ma.Max(3)).laws
        ('acting_identity', 'acting_composition', 'distributivity', 'distributivity_identity')
    """
    product = SemidirectProduct(acting, base, action)
    sites = [action_site(product)]
    return check_sites(sites, {}, subject_lines(product), None, base, seed, deep, tolerance)


def check_homomorphism(
    function: Callable[[Any], Any],
    source: AbstractSemigroup | None = None,
    target: AbstractSemigroup | None = None,
    *,
    seed: int = 0,
    deep: bool = False,
    tolerance: float | None = None,
) -> Report:
    r"""Check that a map between monoids is a homomorphism.

    $$h(x \bullet y) = h(x) \bullet h(y), \qquad h(e) = e, \qquad
      \mathrm{scan}(h \circ x) = h \circ \mathrm{scan}(x).$$

    What the source forgets (what lies before a start, say) must not reach the image either, NaN included.

    Arguments:
        function: from an element of the source to one of the target; or a
            [`memoalg.Homomorphism`][], which knows its ends.
        source: the monoid (or semigroup) it maps from.
        target: the monoid (or semigroup) it maps to.
        seed: of what is drawn.
        deep: more cases.
        tolerance: as for [`memoalg.laws.check`][].

    Returns:
        A report with the names of the laws.

    Raises:
        LawError: for the first law that fails.
        TypeError: where an end is missing.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.laws.check_homomorphism(jnp.negative, ma.Max(3), ma.Min(3)).laws[:2]
        ('homomorphism', 'homomorphism_identity')
    """
    if isinstance(function, Homomorphism):
        between = function
    elif source is None or target is None:
        raise TypeError("check_homomorphism needs both ends: write (function, source, target)")
    else:
        between = Homomorphism(source, target, function)
    sites = homomorphism_sites(between, LENGTH)
    lines = subject_lines(between)
    return check_sites(sites, {}, lines, None, between.target, seed, deep, tolerance)


def check_sites(
    sites: list[Site],
    known: dict[AbstractSemigroup, Rows],
    subject: list[str],
    equal: Callable[[Any, Any], Any] | None,
    of: AbstractSemigroup,
    seed: int,
    deep: bool,
    tolerance: float | None,
) -> Report:
    """Draw, run, and raise for the first law that fails, on the smallest case found."""
    cases = CASES * (DEEP if deep else 1)
    drafts, pools = [], []
    for index, site in enumerate(sites):
        rows = _rows_of(site, known, seed, deep)
        many = cases if site.length is None else SEQUENCES
        drafts.append(draft(site, rows, many, seed + index))
        pools.append(rows)
    given = frozenset(monoid for monoid, rows in known.items() if rows.elements)
    runner = Runner(Program(sites, given, equal, of), drafts, tolerance)
    for failure in runner.failures():
        smallest = shrink(runner, failure, pools[failure.site])
        raise law_error(sites[failure.site], smallest, frozenset(known))
    laws = dict.fromkeys(name for site in sites for name in site.laws)
    return Report(tuple(subject), tuple(laws), cases)


def _rows_of(
    site: Site, known: dict[AbstractSemigroup, Rows], seed: int, deep: bool
) -> dict[AbstractSemigroup, Rows]:
    return {
        source: known[source]
        if source in known
        else drawn_rows(source, seed, mild=site.mild, deep=deep)
        for source in dict.fromkeys(site.sources.values())
    }


def _given(monoid: AbstractSemigroup, elements: Any) -> Rows:
    if check_elements(monoid, jax.tree.map(jnp.asarray, elements)) < 3:
        raise ValueError("check needs at least 3 elements, to combine three at a time")
    return Rows(jax.tree.map(np.asarray, elements), True, 0)


def _generated(generator: Callable[[Source], Any], seed: int) -> Rows:
    varied, exact = generator(Source(seed, 24)), generator(Source(seed + 1, 12, exact=True))
    both = jax.tree.map(lambda a, b: np.concatenate([np.asarray(a), np.asarray(b)]), varied, exact)
    return Rows(both, False, 12)


def _require_monoid(monoid: Any) -> None:
    if not isinstance(monoid, AbstractSemigroup):
        hint = f"write the instance: {monoid.__name__}(...)" if isinstance(monoid, type) else ""
        name = monoid.__name__ if isinstance(monoid, type) else type(monoid).__name__
        raise TypeError(f"check takes a monoid, got {name}" + (f"; {hint}" if hint else ""))
