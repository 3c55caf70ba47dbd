"""Run folders written by hand, for what reads them."""

import json
from pathlib import Path
from typing import Any


def write_run(path: Path, config: dict[str, Any], means: list[float | None]) -> Path:
    """A run with one update and one evaluation of a single episode for each member.

    Args:
        path: of the folder.
        config: what `config.json` holds; `seeds` and `sweep` say how many members there are.
        means: evaluation return of each member; None for no complete episode.
    """
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"seeds": 1, **config}))
    labels = [{"seed": i % config.get("seeds", 1), **_swept(config, i)} for i in range(len(means))]
    common = {"update": 1, "steps": 10}
    metrics = [{**common, **label, "return_sum": 1.0, "episodes": 2} for label in labels]
    judged = [
        {**common, **label, "mean": mean, "returns": [] if mean is None else [mean]}
        for label, mean in zip(labels, means, strict=True)
    ]
    for name, rows in (("metrics", metrics), ("evaluation", judged)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (path / f"{name}.jsonl").write_text(lines)
    return path


def _swept(config: dict[str, Any], member: int) -> dict[str, float]:
    sweep = config.get("sweep", {})
    if not sweep:
        return {}
    ((name, values),) = sweep.items()
    return {f"config.{name}": values[member // config["seeds"]]}
