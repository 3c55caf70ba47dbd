"""Returns that a formula gives: by family, from the constructor's arguments of a level."""

import math
from collections.abc import Callable

Parts = dict[str, float]

DECK = 52


def repeat_first(decks: int) -> Parts:
    """Without memory: the suit on the table is right at once, later with (D/4 - 1) / (D - 1)."""
    cards = DECK * decks
    later = 2 * (cards / 4 - 1) / (cards - 1) - 1
    memoryless = (1 + (cards - 2) * later) / (cards - 1)
    return {"random": -0.5, "optimal": 1.0, "memoryless": memoryless}


def repeat_previous(decks: int, lag: int) -> Parts:
    """Without memory: a suit that is not on the table, right with (D/4) / (D - 1)."""
    cards = DECK * decks
    best = 1.0 if lag == 1 else cards / 2 / (cards - 1) - 1
    return {"random": -0.5, "optimal": 1.0, "memoryless": best}


def autoencode(decks: int) -> Parts:
    """Without memory: the last card is still on the table when it is asked for; then a constant."""
    cards = DECK * decks
    return {"random": -0.5, "optimal": 1.0, "memoryless": -0.5 + 1.5 / cards}


def count_recall(decks: int, types: int) -> Parts:
    """Without memory: the likeliest count, given whether the value shown is the one asked for."""
    cards, actions = DECK * decks, _counts(decks, types)
    shown, hidden = (
        max(
            sum(_drawn(cards - 1, each, t, count - seen) for t in range(cards - 1)) / (cards - 1)
            for count in range(actions)
        )
        for seen, each in ((1, cards // types - 1), (0, cards // types))
    )
    right = shown / types + hidden * (1 - 1 / types)
    return {"random": 2 / actions - 1, "optimal": 1.0, "memoryless": 2 * right - 1}


def _counts(decks: int, types: int) -> int:
    """How many counts can be named."""
    return DECK * decks // types + 1


def _drawn(total: int, good: int, drawn: int, found: int) -> float:
    """The hypergeometric probability of `found` good ones among `drawn` of `total`."""
    if found < 0 or found > good or drawn - found > total - good or found > drawn:
        return 0.0
    ways = math.comb(good, found) * math.comb(total - good, drawn - found)
    return ways / math.comb(total, drawn)


def higher_lower(decks: int) -> Parts:
    """Without memory: the likelier side of the rank on the table, by the whole deck."""
    return {"random": 0.0, "memoryless": 84 / 169}


def bandit(arms: int, length: int) -> Parts:
    """Every arm pays half of the time on average; the best of n uniform numbers is n / (n + 1)."""
    return {"random": 0.0, "optimal": (arms - 1) / (arms + 1)}


def reaches_one(*arguments: object) -> Parts:
    """Who sees the state can always reach the most."""
    return {"optimal": 1.0}


EXACT: dict[str, Callable[..., Parts]] = {
    "RepeatFirst": repeat_first,
    "RepeatPrevious": repeat_previous,
    "Autoencode": autoencode,
    "CountRecall": count_recall,
    "HigherLower": higher_lower,
    "MultiarmedBandit": bandit,
    "Battleship": reaches_one,
    "MineSweeper": reaches_one,
    "PositionOnlyCartPole": reaches_one,
    "VelocityOnlyCartPole": reaches_one,
    "NoisyPositionOnlyCartPole": reaches_one,
}
