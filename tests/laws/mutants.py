"""Planted mistakes, and which law sees each. `python -m tests.laws.mutants` prints the table."""

import collections
import sys
import time

import jax

from tests.laws.mutant import Mutant, law_that_sees
from tests.laws.mutants_combinators import COMBINATORS
from tests.laws.mutants_filters import FILTERS
from tests.laws.mutants_ground import GROUND
from tests.laws.mutants_lawful import LAWFUL
from tests.laws.mutants_layers import LAYERS
from tests.laws.mutants_maps import ACTIONS, MAPS
from tests.laws.mutants_matrix import MATRIX

MUTANTS: dict[str, Mutant] = (
    GROUND | MATRIX | FILTERS | COMBINATORS | ACTIONS | MAPS | LAYERS | LAWFUL
)
"""Every mistake by `class: mistake`."""

MISSED: dict[str, str] = {
    "Count: float": (
        "each sum is right up to rounding, and a law that allows rounding allows a counter that "
        "stops; Count refuses float dtypes for that reason"
    ),
    "Rotation: plain": (
        "products leave the rotations by one rounding each, which is seen after thousands of steps; "
        "the tests of Rotation multiply so many"
    ),
}
"""Mistakes that no law sees, and why."""

RECURRENCE = "assert_matches_recurrence"


def main(selected: list[str]) -> None:
    """The table of all mutants, or of those whose name contains one of the given words."""
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    seen: collections.Counter[str] = collections.Counter()
    planted: collections.Counter[str] = collections.Counter()
    whole = 0.0
    for name, mutant in MUTANTS.items():
        if selected and not any(word in name for word in selected):
            continue
        begun = time.process_time()
        law = law_that_sees(mutant.build(), mutant.kit)
        seconds = time.process_time() - begun
        planted[mutant.kit] += 1
        seen[mutant.kit] += law is not None
        whole += seconds
        print(f"{name:36} {law or 'MISSED':28} {seconds:5.1f} s  {mutant.what}", flush=True)
    print()
    for kit, count in planted.items():
        print(f"{kit:28} {seen[kit]:3} of {count:3} caught")
    lawless = planted.total() - planted[RECURRENCE]
    by_laws = seen.total() - seen[RECURRENCE]
    print(f"{'by the laws alone':28} {by_laws:3} of {lawless:3}: {by_laws / max(lawless, 1):.1%}")
    print(f"{'all':28} {seen.total():3} of {planted.total():3}, in {whole:.0f} CPU-seconds")


if __name__ == "__main__":
    main(sys.argv[1:])
