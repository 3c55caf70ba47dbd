"""`memoalg eval`."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from tyro.conf import Positional

from memoalg import envs, rl

from ._episode import agent_player, play, summary
from ._episode_picture import check_out, write_episode
from ._episode_text import show_episode
from ._errors import UsageError, told_as_usage
from ._experiment import build, load
from ._parse import parse
from ._table import table


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Play complete episodes with a checkpoint of a run, or watch one episode.

    Intervals are 95 % bootstrap intervals. Those of a seed are over its episodes; those of all
    seeds together over the seeds, whose mean returns are the samples.

    Attributes:
        run: Run folder.
        episodes: Complete episodes per seed and policy.
        policy: Take the best action, or sample as in training (Q-learners: with the exploration they
            had last), or first one and then the other.
        checkpoint: The newest, or the one whose evaluation during training was best.
        seed: Random seed of the evaluation.
        render: Play one episode instead, in the terminal, or as the picture `out`; beside it the
            state's value and the actions' probabilities or values.
        out: Picture of the episode, `.gif` or, for a sheet of frames, `.png`.
        member: Which of several seeds plays the episode, from 0.
        steps: Steps of the episode to show at most.
        per_second: Steps per second.
        columns: Frames in a row of a sheet.
    """

    run: Positional[Path]
    episodes: int = 1000
    policy: Literal["both", "greedy", "stochastic"] = "both"
    checkpoint: Literal["newest", "best"] = "newest"
    seed: int = 0
    render: bool = False
    out: Path | None = None
    member: int = 0
    steps: int = 200
    per_second: int = 5
    columns: int = 6


def run(argv: Sequence[str]) -> None:
    """Prints returns and lengths of each seed and of all, or shows an episode."""
    options = parse(Evaluate, argv, "eval")
    _check(options)
    if options.render:
        _show(options)
        return
    experiment = load(options.run)
    algorithm = build(experiment)
    with told_as_usage(FileNotFoundError, rl.CheckpointError):
        loaded = rl.load_run(options.run, algorithm, which=options.checkpoint)
    results = {
        policy: _play(options, algorithm, loaded.state, experiment.seeds, policy == "greedy")
        for policy in ("greedy", "stochastic")
        if options.policy in (policy, "both")
    }
    print(f"{options.run}, update {loaded.update}: {options.episodes} episodes per seed")
    titles = ["policy", "seed", "complete", "return", "95 % interval", "IQM", "length"]
    print(table(titles, [row for item in results.items() for row in _rows(*item)]))
    for policy, result in results.items():
        print(_overall(policy, result, experiment.env))


def _check(options: Evaluate) -> None:
    if options.out is not None:
        check_out("eval", options.out)
        if not options.render:
            raise UsageError("eval: --out is the picture of an episode; add --render")
    if min(options.steps, options.per_second, options.columns) < 1:
        raise UsageError("eval: --steps, --per-second and --columns are at least 1")
    if options.per_second > 100:
        raise UsageError("eval: --per-second is at most 100")


def _play(options: Evaluate, algorithm: Any, state: Any, seeds: int, greedy: bool) -> rl.Evaluation:
    key = jax.random.key(options.seed)
    with told_as_usage(rl.FitArgumentError):
        return rl.evaluate_run(algorithm, state, key, options.episodes, seeds=seeds, greedy=greedy)


def _rows(policy: str, result: rl.Evaluation) -> Iterator[list[str]]:
    parts = zip(*map(np.asarray, (result.returns, result.lengths, result.complete)), strict=True)
    for seed, (returns, lengths, complete) in enumerate(parts):
        own = returns[complete]
        mean, low, high = rl.summary_interval([own.tolist()])
        middle = f"{rl.iqm(own):.3f}" if len(own) else ""
        length = f"{lengths[complete].mean():.1f}" if complete.any() else ""
        interval = f"{low:.3f} to {high:.3f}"
        yield [policy, str(seed), str(complete.sum()), f"{mean:.3f}", interval, middle, length]


def _overall(policy: str, result: rl.Evaluation, env: str) -> str:
    """Mean and IQM with their intervals over the seeds, or the episodes of a single one."""
    parts = zip(np.asarray(result.returns), np.asarray(result.complete), strict=True)
    known = [returns[complete].astype(float) for returns, complete in parts if complete.any()]
    if not known:
        return f"{policy}: no episode came to its end"
    samples = known[0] if len(known) == 1 else np.array([r.mean() for r in known])
    what = "episodes of one seed" if len(known) == 1 else f"{len(known)} seeds"
    texts = []
    for name, statistic in (("mean", np.mean), ("IQM", rl.iqm)):
        low, high = rl.bootstrap_interval(samples[:, None], statistic=statistic)
        texts.append(f"{name} {float(statistic(samples)):.3f} ({low:.3f} to {high:.3f})")
    mean = math.fsum(samples) / len(samples)
    return f"{policy}, over {what}: {', '.join(texts)}{_scale(env, mean)}"


def _scale(env: str, mean: float) -> str:
    try:
        scale = envs.anchors(env)
    except ValueError:
        return ""
    score = envs.normalised_score(env, mean)
    return f"; optimum {scale.optimal:g}, random {scale.random:g}, normalised score {score:.3f}"


def _show(options: Evaluate) -> None:
    greedy = options.policy != "stochastic"
    player = agent_player(
        options.run, member=options.member, which=options.checkpoint, greedy=greedy
    )
    with told_as_usage(NotImplementedError, ModuleNotFoundError):
        frames = play(player, jax.random.key(options.seed), options.steps)
    if options.out is None:
        show_episode(frames, options.per_second)
        print(summary(frames))
        return
    write_episode(frames, options.out, options.per_second, options.columns)
    print(f"wrote {options.out}: {summary(frames)}")
