"""Writes `performance.md` from what the benchmarks printed.

    python benchmarks/scans.py --json docs/assets/benchmarks/scans.json --plot docs/assets/benchmarks
    python benchmarks/NAME.py > docs/assets/benchmarks/NAME.md      # layers, chunked, newton, gpu_counts
    python -m docs.performance > docs/performance.md

A test compares the page with what this program prints: no figure is written by hand.
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "assets/benchmarks"

HEAD = """# Performance

Every figure on this page was printed by a program in `benchmarks/`, in one run for each table, beside
the alternatives in that table. Times are CPU-seconds of one core and mean something only as
ratios; GPU figures are counted in compiled programs, not timed. Run them on your machine.
"""

SCANS = """## Scans on a CPU

`python benchmarks/scans.py`: B = 8 sequences, an episode of 64 steps on average, float32. Times are
multiples of a hand-written `lax.scan` with the reset selected in its step (below 1 is faster); memory is
in arrays of states (or of reads, for outer products and delta rules).
"""

SECTIONS = {
    "chunked": ("Outer-product memories on a CPU", "python benchmarks/chunked.py"),
    "layers": ("Whole layers on a CPU", "python benchmarks/layers.py"),
    "models": ("Models beside memax's", "python benchmarks/models.py"),
    "training": ("Training beside a plain hand-written loop", "python benchmarks/training.py"),
    "windows": ("Windows", "python benchmarks/windows.py"),
    "newton": ("Recurrent cells", "python benchmarks/newton.py"),
    "environments": ("Environments on a CPU", "python benchmarks/environments.py"),
    "gpu_counts": (
        "Counted for a GPU",
        "memoalg bench gpu-counts, python benchmarks/gpu_counts.py",
    ),
}

COLUMNS = {
    "forward": "forward",
    "gradient": "gradient",
    "gradient_build": "build of the gradient",
    "gradient_temp": "memory of the gradient",
}
IN_PASSES = ("gradient_temp",)


def scans_table(name: str, by_length: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """One row for each length and scan."""
    lines = [f"### {name}", "", "| T | scan | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|---" * (2 + len(COLUMNS)) + "|")
    for length, found in by_length.items():
        reference = found["lax.scan"]
        for scan, figures in found.items():
            cells = [cell(field, figures[field], reference[field]) for field in COLUMNS]
            lines.append(f"| {int(length):,} | {scan} | " + " | ".join(cells) + " |")
    picture = RESULTS / f"scans-{name}.svg"
    if picture.exists():
        lines += ["", f"![{name}: seconds over T](assets/benchmarks/{picture.name})"]
    return [*lines, ""]


def cell(field: str, value: float, reference: float) -> str:
    if value != value:  # it was not run
        return "–"
    return f"{value:.2f}" if field in IN_PASSES else f"{value / reference:.2f}×"


def page() -> str:
    lines = [HEAD]
    scans: dict[str, Any] = json.loads((RESULTS / "scans.json").read_text())
    lines += [SCANS]
    for name, by_length in scans.items():
        lines += scans_table(name, by_length)
    for stem, (title, command) in SECTIONS.items():
        if not (RESULTS / f"{stem}.md").exists():
            continue
        text = (RESULTS / f"{stem}.md").read_text().strip()
        lines += [f"## {title}", "", f"`{command}`", "", text, ""]
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    print(page())
