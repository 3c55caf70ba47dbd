"""Checks of what a caller passes in."""

from ..nn import AbstractLayer
from ._task import AbstractTask


def check_size(value: object, what: str, low: int) -> None:
    """Refuse what is not an int of at least `low`; `what` names class and argument."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int of at least {low}, got {value!r}")
    if value < low:
        raise ValueError(f"{what} must be at least {low}, got {value}")


def check_model(what: str, model: object, task: object) -> None:
    """Refuse what is no layer, no task, or a layer whose known sizes are not the task's."""
    if not isinstance(task, AbstractTask):
        raise TypeError(
            f"{what} takes a task, such as ma.tasks.Copy(), got {type(task).__name__}; by name: "
            'ma.tasks.make("copy")'
        )
    if not isinstance(model, AbstractLayer):
        raise TypeError(f"{what} takes a layer of ma.nn as model, got {type(model).__name__}")
    wanted = {"in_size": (model.in_size, task.in_size), "out_size": (model.out_size, task.out_size)}
    for name, (have, need) in wanted.items():
        if have is not None and have != need:
            raise ValueError(
                f"{what}: {type(task).__name__} has {name}={need}, but the model has {name}={have}: "
                "write ma.nn.make(..., in_size=task.in_size, out_size=task.out_size, key=key)"
            )
