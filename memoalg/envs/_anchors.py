"""The returns that mark the scale of each task."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Mean undiscounted returns of one episode that mark the scale of a task.

    Args:
        random: of a uniformly random policy.
        optimal: the most that is possible, or the return of a policy that sees the whole state.
        memoryless: of the best policy known that sees the last observation only; None: unknown.
        errors: the standard errors of the three, in this order; 0 where a number is exact or unknown.
    """

    random: float
    optimal: float
    memoryless: float | None = None
    errors: tuple[float, float, float] = (0.0, 0.0, 0.0)


# Card games: exact, D = 52 decks. The best memoryless policy in RepeatPrevious names a suit that is
# not on the table, right with probability (D/4) / (D-1); in RepeatFirst it names the suit on the
# table: right at the first step, then with probability (D/4 - 1) / (D-1).
ANCHORS: dict[str, Anchors] = {
    "popgym/RepeatFirstEasy": Anchors(-0.5, 1.0, -0.499423),
    "popgym/RepeatFirstMedium": Anchors(-0.5, 1.0, -0.499991),
    "popgym/RepeatFirstHard": Anchors(-0.5, 1.0, -0.499998),
    "popgym/RepeatPreviousEasy": Anchors(-0.5, 1.0, 26 / 51 - 1),
    "popgym/RepeatPreviousMedium": Anchors(-0.5, 1.0, 52 / 103 - 1),
    "popgym/RepeatPreviousHard": Anchors(-0.5, 1.0, 78 / 155 - 1),
    "popgym/PositionOnlyCartPoleEasy": Anchors(0.1113, 1.0),
    "popgym/PositionOnlyCartPoleMedium": Anchors(0.0556, 1.0),
    "popgym/PositionOnlyCartPoleHard": Anchors(0.0371, 1.0),
}
