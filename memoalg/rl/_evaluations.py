"""Evaluations of several members: rows of the file, scores, and text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._metrics import Row, plain
from ._state import Evaluation
from ._statistics import summary_interval


def complete_values(evaluation: Evaluation, name: str) -> list[np.ndarray]:
    """One field of an evaluation, of the complete episodes of each member."""
    values = np.asarray(getattr(evaluation, name))
    return [v[c] for v, c in zip(values, np.asarray(evaluation.complete), strict=True)]


def evaluation_rows(
    evaluation: Evaluation, update: int, steps: int, labels: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Rows of `evaluation.jsonl`, one per member; means are over complete episodes.

    Args:
        evaluation: on the host, `(members, episodes)`.
        update: after which it was made.
        steps: environment steps of each member until then.
        labels: of the members.
    """
    returns = complete_values(evaluation, "returns")
    lengths = complete_values(evaluation, "lengths")
    incomplete = np.sum(~np.asarray(evaluation.complete), axis=-1)
    return [
        {
            "update": update,
            "steps": steps,
            **label,
            "mean": plain(r.mean()) if len(r) else None,
            "incomplete": int(cut),
            "returns": [plain(x) for x in r],
            "lengths": [plain(x) for x in n],
        }
        for label, r, n, cut in zip(labels, returns, lengths, incomplete, strict=True)
    ]


def mean_score(rows: Sequence[Row]) -> float | None:
    """Mean over the members of their mean returns; None if a member has no complete episode.

    From the rows and not from the arrays, so that a run that is continued decides the same.
    """
    means = [row["mean"] for row in rows]
    return float(np.mean(means)) if means and None not in means else None


def best_member(evaluation: Evaluation) -> int:
    """The member with the highest mean return of complete episodes; 0 if none has any."""
    means = [r.mean() if len(r) else -np.inf for r in complete_values(evaluation, "returns")]
    return int(np.argmax(np.nan_to_num(means, nan=-np.inf)))


def interval_text(returns: Sequence[np.ndarray]) -> str:
    """Mean return of all members with its interval, as text."""
    mean, low, high = summary_interval([list(map(float, r)) for r in returns])
    return f"evaluation return {mean:.3f} (95 % interval over episodes {low:.3f} to {high:.3f})"
