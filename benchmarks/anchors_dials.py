"""Returns of the memory tasks with a dial that follow from their rules.

`random` is the uniformly random policy's mean return, `memoryless` the best one of a policy that
sees the last observation only, `optimal` the best one of all that remember.
"""

from typing import NamedTuple

import numpy as np

STAND = -0.025  # T-maze: standing still, and the wrong turn
BLINK = 0.02  # trace conditioning: a blink for nothing


class Returns(NamedTuple):
    """Exact mean returns of one episode."""

    random: float
    memoryless: float
    optimal: float


def memory_chain(length: int) -> Returns:
    """A fair coin, unless bit and question are in one observation."""
    return Returns(0.0, 1.0 if length == 1 else 0.0, 1.0)


def n_back() -> Returns:
    """Matches are independent of the present symbol, and balanced."""
    return Returns(0.0, 0.0, 1.0)


def t_maze(length: int, limit: int) -> Returns:
    """Random: the law of a lazy walk that is reflected at both ends, until it turns or time is up."""
    law, total = np.zeros(length + 1), 0.0
    law[0] = 1
    for _ in range(limit):
        here = law[length]
        total += here / 4 + STAND * (here / 2 + law[1:length].sum() / 2 + 3 / 4 * law[0])
        following = np.zeros_like(law)
        following[1:] += law[:-1] / 4
        following[:-1] += law[1:] / 4
        following[1:length] += law[1:length] / 2
        following[0] += 3 / 4 * law[0]
        following[length] += law[length] / 4
        law = following
    return Returns(float(total), (1 + STAND) / 2, 1.0)


def trace_conditioning(interval: int, jitter: int) -> Returns:
    """A trial has 1 step at which a blink pays, and 100 + interval + 1 others on average."""
    return Returns((1 - BLINK * (101 + interval)) / 2, 0.0, 1 - BLINK * jitter)


def room_memory(size: int, limit: int) -> Returns:
    """Random: half of the probability that a walk on the map reaches the fork's ends in time."""
    cells = [(r, c) for r in (-1, 0, 1) for c in range(3) if (r, c) != (-1, 0)]
    starts = len(cells)
    cells += [(0, c) for c in range(3, 4 + size)]
    index = {cell: i for i, cell in enumerate(cells)}
    walk, leave = np.zeros((len(cells), len(cells))), np.zeros(len(cells))
    leave[index[0, 3 + size]] = 1 / 2
    for (r, c), i in index.items():
        for step in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if abs(step[0]) == 1 and step[1] == 3 + size:
                continue
            walk[i, index.get(step, i)] += 1 / 4
    law, reached = np.zeros(len(cells)), 0.0
    law[:starts] = 1 / starts
    for _ in range(limit):
        reached += law @ leave
        law = law @ walk
    return Returns(float(reached) / 2, 0.5, 1.0)


def bandit_reactive(policies: np.ndarray, length: int) -> np.ndarray:
    """Mean payouts of policies for two Bernoulli arms that see the last arm and payout.

    Args:
        policies: `(n, 5)`, the arm after nothing, (0, lost), (0, won), (1, lost), (1, won).
        length: the number of pulls.

    Returns:
        Exact: a return is a polynomial in the two means, which the quadrature integrates.
    """
    nodes, weights = np.polynomial.legendre.leggauss(length // 2 + 1)
    p, w = (nodes + 1) / 2, weights / 2
    first, second = np.meshgrid(p, p, indexing="ij")
    law = np.where(policies[:, 0, None, None] == 0, 1.0, 0.0) * np.ones_like(first)
    to_first = np.where(policies[:, 1:, None, None] == 0, 1.0, 0.0)
    total = np.zeros_like(law)
    for _ in range(length):
        total += law * first + (1 - law) * second
        lost, won, lost_other, won_other = np.moveaxis(to_first, 1, 0)
        law = law * (first * won + (1 - first) * lost) + (1 - law) * (
            second * won_other + (1 - second) * lost_other
        )
    return np.einsum("nij,i,j->n", total, w, w) / length


def best_of_normals(arms: int) -> float:
    """The mean of the largest of some independent standard normal numbers."""
    x = np.linspace(-12, 12, 200_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    step = x[1] - x[0]
    return float(np.sum(x * arms * density * np.cumsum(density * step) ** (arms - 1)) * step)
