"""Train any model on any synthetic task, with a progress bar and a picture of the learning curve.

    pip install "memoalg[cli,plot]"
    python examples/train_model.py --model lru --task copy
    python examples/train_model.py --model gru --task parity --width 32 --steps 500 --picture parity.png

`--help` lists every setting, the models and the tasks.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

import memoalg as ma
from memoalg import tasks

Progress = Callable[[int, float, float], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """Train a memory model on a synthetic task.

    Attributes:
        model: Its name, see below.
        task: Its name, see below.
        width: Channels of the model's blocks.
        depth: Number of blocks.
        episodes: Episodes in one sequence; the model is reset between them.
        seed: Of the parameters and of the examples.
        picture: Where the learning curve goes; None draws none.
        training: Settings of the training.
    """

    model: str = "lru"
    task: str = "copy"
    width: int = 64
    depth: int = 2
    episodes: int = 2
    seed: int = 0
    picture: Path | None = Path("train_model.png")
    training: tasks.FitConfig = dataclasses.field(default_factory=tasks.FitConfig)


def main(options: Options) -> None:
    """Trains, evaluates on new examples, draws."""
    model_key, train_key, test_key = jax.random.split(jax.random.key(options.seed), 3)
    try:
        task, model = build(options, model_key)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if options.picture is not None and not options.picture.parent.is_dir():
        raise SystemExit(f"there is no folder {options.picture.parent} for the picture")
    # Made before the training, so that a missing library is told before anything is lost.
    figure = None if options.picture is None else new_figure()
    print(f"{options.model}: {ma.nn.count_parameters(model):,} parameters, {task}")
    with bar(options.training.steps) as show:
        fitted = tasks.fit(model, task, train_key, options.training, show)
    tested = tasks.evaluate(fitted.model, task, test_key)
    print(
        f"{len(fitted.losses)} updates; on new examples: loss {float(tested.loss):.4f}, "
        f"score {float(tested.score):.3f} (chance {task.chance:.3f})"
    )
    if figure is not None:
        draw(figure, fitted, task.chance, f"{options.model} on {options.task}")
        figure.savefig(options.picture, dpi=130)
        print(f"learning curve: {options.picture}")


def build(options: Options, key: PRNGKeyArray) -> tuple[tasks.AbstractTask, ma.nn.AbstractLayer]:
    """The task and a model of its sizes."""
    task = tasks.Packed(tasks.make(options.task), options.episodes)
    model = ma.nn.make(
        options.model,
        in_size=task.in_size,
        out_size=task.out_size,
        width=options.width,
        depth=options.depth,
        key=key,
    )
    return task, model


@contextlib.contextmanager
def bar(steps: int) -> Iterator[Progress]:
    """A live bar on the error stream; gives the function that moves it."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        raise SystemExit('the progress bar needs rich: pip install "memoalg[cli]"') from None
    columns = BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        row = progress.add_task("compiling", total=steps)

        def show(update: int, loss: float, score: float) -> None:
            text = f"update {update} of {steps}  loss {loss:.4f}  score {score:.3f}"
            progress.update(row, completed=update, description=text)

        yield show


def new_figure() -> Any:
    """A figure of its own, not pyplot's: no window, no global state."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise SystemExit('the picture needs matplotlib: pip install "memoalg[plot]"') from None
    return Figure(figsize=(7.0, 5.0), layout="constrained")


def draw(figure: Any, fitted: tasks.Fitted, chance: float, title: str) -> None:
    """Loss and score of the training batches, each a mean over a hundredth of the updates."""
    above, below = figure.subplots(2, sharex=True)
    for axes, values, name in ((above, fitted.losses, "loss"), (below, fitted.scores, "score")):
        axes.plot(*smoothed(values))
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    above.set_title(title)
    below.axhline(chance, color="grey", linestyle="--", label="chance")
    below.set_ylim(0.0, 1.02)
    below.set_xlabel("updates")
    below.legend(loc="best")


def smoothed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last update and the mean of each of up to a hundred bins."""
    bins = np.array_split(np.arange(1, len(values) + 1), min(100, len(values)))
    return np.array([b[-1] for b in bins]), np.array([values[b - 1].mean() for b in bins])


if __name__ == "__main__":
    try:
        import tyro
    except ModuleNotFoundError:
        raise SystemExit('the command line needs tyro: pip install "memoalg[cli]"') from None
    known = f"models: {', '.join(ma.nn.names())}\n\ntasks: {', '.join(tasks.names())}"
    config = (tyro.conf.OmitArgPrefixes,)
    main(tyro.cli(Options, description=f"{__doc__}\n{known}", config=config))
