"""`memoalg envs show`: an episode as a GIF or as a sheet of frames."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
from tyro.conf import Positional

from memoalg import envs

from ..envs._expect import require_environment
from ._episode import (
    Player,
    agent_player,
    oracle_player,
    play,
    random_player,
    require_same,
    summary,
)
from ._episode_picture import check_out, write_episode
from ._errors import UsageError, told_as_usage
from ._parse import parse


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
    check_out("envs show", out)
    if min(options.steps, options.per_second, options.columns) < 1:
        raise UsageError("envs show: --steps, --per-second and --columns are at least 1")
    if options.per_second > 100 or not 0 <= options.seed < 2**32:
        raise UsageError("envs show: --per-second is at most 100, --seed from 0 to 4294967295")
    player = _player(options)
    with told_as_usage(NotImplementedError, ModuleNotFoundError):
        frames = play(player, jax.random.key(options.seed), options.steps)
    write_episode(frames, out, options.per_second, options.columns)
    print(f"wrote {out}: {summary(frames)}")


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
    require_same(folder, options.env)
    return agent_player(folder)
