"""Returns that a formula gives: by family, from the constructor's arguments of a level."""

import itertools
import math
from collections.abc import Callable

import numpy as np

from benchmarks import anchors_dials

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
    return {"random": 0.0, "optimal": card_counting(decks), "memoryless": 84 / 169}


def card_counting(decks: int) -> float:
    """The mean of |higher - lower| / left over all steps: who counts names the side that has more.

    Given the card on the table, the `left` cards are a random subset of the other ones.
    """
    cards, each = DECK * decks, DECK * decks // 13
    total = 0.0
    for rank in range(13):
        higher, lower = (12 - rank) * each, rank * each
        for left in range(1, cards):
            for equal in range(min(each - 1, left) + 1):
                rest = left - equal
                ways = sum(
                    math.comb(higher, up) * math.comb(lower, rest - up) * abs(2 * up - rest)
                    for up in range(rest + 1)
                )
                total += math.comb(each - 1, equal) * ways / math.comb(cards - 1, left) / left
    return total / 13 / cards


def bandit(arms: int, length: int) -> Parts:
    """Every arm pays half of the time on average; the best of n uniform numbers is n / (n + 1)."""
    return {"random": 0.0, "optimal": (arms - 1) / (arms + 1)}


def memory_chain(length: int) -> Parts:
    """Without memory the answer is a fair coin."""
    return anchors_dials.memory_chain(length)._asdict()


def n_back(n: int, symbols: int, length: int) -> Parts:
    """Matches are independent of the present symbol."""
    return anchors_dials.n_back()._asdict()


def t_maze(length: int) -> Parts:
    """Random: a walk between two walls until it turns."""
    return anchors_dials.t_maze(length, 10 * (length + 1))._asdict()


def trace_conditioning(interval: int, distractors: int) -> Parts:
    """Random: blinks half of the time."""
    return anchors_dials.trace_conditioning(interval, jitter=3)._asdict()


def room_memory(size: int) -> Parts:
    """Random: a walk on the map until it reaches the fork."""
    return anchors_dials.room_memory(size, 10 * (size + 10))._asdict()


def meta_bandit(arms: int, length: int) -> Parts:
    """Without memory, for two arms: the best of all 32 rules from what the last pull showed."""
    means = {"random": 0.5, "optimal": arms / (arms + 1)}
    if arms > 2:
        return means
    rules = np.array(list(itertools.product((0, 1), repeat=5)))
    return {**means, "memoryless": float(anchors_dials.bandit_reactive(rules, length).max())}


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
    "CartPole": reaches_one,
    "MemoryChain": memory_chain,
    "NBack": n_back,
    "TMaze": t_maze,
    "TraceConditioning": trace_conditioning,
    "RoomMemory": room_memory,
    "MetaBandit": meta_bandit,
}
