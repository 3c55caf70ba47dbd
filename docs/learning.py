"""Writes `learning.md` from the table that a study left behind, and from what the longer runs printed.

    memoalg study benchmarks/studies/learning.toml --out runs/learning
    cp runs/learning/study.csv runs/learning/*.png docs/assets/learning/
    python benchmarks/learning.py > docs/assets/learning/more.md
    python -m docs.learning > docs/learning.md

A test compares the page with what this program prints: no figure is written by hand.
"""

import csv
from itertools import groupby
from pathlib import Path

RESULTS = Path(__file__).parent / "assets/learning"

HEAD = """# What learns

Greedy returns after training with **default hyper-parameters**, over complete episodes, beside what
random actions and the optimum get. A cell is the mean over the seeds, and the range of the seeds' means.
What does not learn stands here too. PQN's defaults for minibatches and traces were chosen on short runs
of MemoryChain, RepeatPrevious and RepeatFirst, so on those its figures are no blind test.

`memoalg study benchmarks/studies/learning.toml`: {frames:,} frames a seed, {seeds} seeds. Agents see
their last action and whether an episode begins, as POPGym's own baselines do.
"""

MORE = """## Longer and other runs

`python benchmarks/learning.py`: DQN on tapes, a bit held for 64 steps, and a long run. Three seeds each.
"""


def page() -> str:
    with (RESULTS / "study.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    frames, seeds = int(rows[0]["steps"]), len({row["seed"] for row in rows})
    lines = [HEAD.format(frames=frames, seeds=seeds)]
    rows.sort(key=lambda row: row["env"])
    for env, group in groupby(rows, key=lambda row: row["env"]):
        lines += task(env, list(group))
    lines += [MORE, (RESULTS / "more.md").read_text().strip(), ""]
    if (RESULTS / "profiles.png").exists():
        lines += ["## Over all tasks", "", "![Performance profiles](assets/learning/profiles.png)"]
    return "\n".join(lines).rstrip()


def task(env: str, rows: list[dict[str, str]]) -> list[str]:
    """A table and a figure."""
    first = rows[0]
    bounds = ", ".join(
        f"{name} {float(first[name]):.2f}" for name in ("random", "optimal") if first[name]
    )
    lines = [f"## {env}", "", f"{bounds[:1].upper()}{bounds[1:]}.", ""]
    lines += ["| memory | " + " | ".join(name.upper() for name in algorithms(rows)) + " |"]
    lines += ["|---" * (1 + len(algorithms(rows))) + "|"]
    for memory in dict.fromkeys(row["memory"] for row in rows):
        cells = [cell(rows, memory, name) for name in algorithms(rows)]
        lines.append(f"| {memory} | " + " | ".join(cells) + " |")
    picture = f"curves-{env.replace('/', '-')}.png"
    if (RESULTS / picture).exists():
        lines += ["", f"![Learning curves on {env}](assets/learning/{picture})"]
    return [*lines, ""]


def algorithms(rows: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["algorithm"] for row in rows))


def cell(rows: list[dict[str, str]], memory: str, algorithm: str) -> str:
    """Mean and range over the seeds."""
    found = [
        float(row["greedy"])
        for row in rows
        if (row["memory"], row["algorithm"]) == (memory, algorithm) and row["greedy"]
    ]
    if not found:
        return "–"
    return f"{sum(found) / len(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    print(page())
