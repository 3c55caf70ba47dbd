"""`memoalg envs show`: an episode as a GIF or as a sheet of frames."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tyro.conf import Positional

from memoalg import envs

from ..envs._expect import require_environment
from ._episode import Frame, Player, agent_player, oracle_player, play, random_player
from ._errors import UsageError, told_as_usage
from ._parse import parse

_CAPTION = 16  # pixels below a frame


@dataclasses.dataclass(frozen=True)
class Show:
    """Draw one episode of an environment: as a GIF, or as a sheet of frames where `out` is a PNG.

    Below a frame: the step, the action that led to it, its reward, and the sum of rewards so far.

    Attributes:
        env: Id of the environment; `memoalg envs` lists them.
        policy: `random`, `oracle` (a good policy that sees the whole state), or the folder of a run of
            `memoalg train`, whose agent plays greedily.
        out: File to write, `.gif` or `.png`; the environment's name with `.gif` where it is not given.
        steps: Steps to draw at most.
        seed: Random seed of the episode.
        per_second: Frames per second of a GIF.
        columns: Frames in a row of a sheet.
    """

    env: Positional[str]
    policy: str = "random"
    out: Path | None = None
    steps: int = 200
    seed: int = 0
    per_second: int = 5
    columns: int = 6


def show(argv: Sequence[str]) -> None:
    """Plays, draws and writes."""
    options = parse(Show, argv, "envs show")
    out = options.out or Path(f"{options.env.split('/')[-1]}.gif")
    if out.suffix not in (".gif", ".png"):
        raise UsageError(f"envs show: --out ends with .gif or .png, got {out}")
    if not out.parent.is_dir():
        raise UsageError(f"envs show: --out {out}: there is no folder {out.parent}")
    if min(options.steps, options.per_second, options.columns) < 1:
        raise UsageError("envs show: --steps, --per-second and --columns are at least 1")
    if options.per_second > 100 or not 0 <= options.seed < 2**32:
        raise UsageError("envs show: --per-second is at most 100, --seed from 0 to 4294967295")
    player = _player(options)
    with told_as_usage(NotImplementedError, ModuleNotFoundError):
        frames = play(player, jax.random.key(options.seed), options.steps)
    pictures = [_captioned(frame) for frame in frames]
    if out.suffix == ".gif":
        rest = pictures[1:]
        duration = 1000 // options.per_second
        pictures[0].save(out, save_all=True, append_images=rest, duration=duration, loop=0)
    else:
        _sheet(pictures, options.columns).save(out)
    last = frames[-1]
    end = "ended" if last.over else "was cut by --steps"
    print(f"wrote {out}: {len(frames) - 1} steps, return {last.total:.3f}; the episode {end}")


def _player(options: Show) -> Player:
    with told_as_usage():
        env, params = envs.make(options.env)
        require_environment("memoalg envs show", env)
    if options.policy == "random":
        return random_player(env, params)
    if options.policy == "oracle":
        return oracle_player(env, params)
    folder = Path(options.policy)
    if not folder.is_dir():
        raise UsageError(
            f"envs show: --policy {folder} is neither random nor oracle nor the folder of a run"
        )
    return agent_player(folder, options.env)


def _captioned(frame: Frame) -> Any:
    """The picture with a line below it: step, action, reward, and the return so far."""
    from PIL import Image, ImageDraw

    height, width, _ = frame.picture.shape
    whole = Image.new("RGB", (width, height + _CAPTION), "white")
    whole.paste(Image.fromarray(frame.picture), (0, 0))
    text = f"t={frame.step} a={frame.told} r={frame.reward:.3g} sum={frame.total:.3g}"
    ImageDraw.Draw(whole).text((2, height + 2), text if frame.step else "t=0", fill="black")
    return whole


def _sheet(pictures: list, columns: int) -> Any:
    """The pictures in rows, at most 5 of them: evenly spaced, first and last among them."""
    from PIL import Image

    most = 5 * columns
    if len(pictures) > most:
        chosen = np.linspace(0, len(pictures) - 1, most).round().astype(int)
        pictures = [pictures[i] for i in chosen]
    width, height = (side + 4 for side in pictures[0].size)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * width, i // columns * height))
    return sheet
