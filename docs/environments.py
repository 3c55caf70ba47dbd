"""Writes the pages of `environments/`: one for every family of tasks, and the table of all.

    python -m docs.environments

Pictures are of an episode that the task's oracle plays. A test compares the pages with what this
program would write.
"""

import re
from pathlib import Path
from typing import Any

import jax

import memoalg.envs as envs
from memoalg.envs._registry import SUITES

FOLDER = Path(__file__).parent / "environments"
PICTURES = Path(__file__).parent / "assets/environments"
LEVELS = ("Easy", "Medium", "Hard")

TITLES = {
    "popgym": (
        "POPGym's tasks",
        "Written anew in JAX, with the rules of the `popgym` package (release 1.0.7): tests replay the "
        "original's episodes, hidden state and all, and compare every step.",
    ),
    "memory": (
        "Tasks with a dial",
        "How far does a memory reach? Each of these has a number that sets how long, or how much, has "
        "to be held in mind.",
    ),
}

HEAD = """# Environments

Every task is a frozen module with one protocol
([`AbstractEnvironment`][memoalg.envs.AbstractEnvironment]), runs under `jit`, `vmap` and `scan`, and starts
its next episode by itself. `memoalg envs` prints this table; `memoalg envs show ID` writes a GIF of an
episode.

Returns are means of whole, undiscounted episodes: of uniformly random actions, of the best policy
known that sees the last observation only, and of one that sees the whole state (or the most that is
possible).
Standard errors are given where a number is not exact. `python -m benchmarks.anchors` computes them.
"""

HEADER = [
    "| id | observation | actions | random | memoryless | optimal |",
    "|---|---|---|---|---|---|",
]


def slug(family: type) -> str:
    """The page's name: `RepeatFirst` -> `repeat-first`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", family.__name__).lower()


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    found, described = {"index.md": index()}, set()
    for suite, families in SUITES.items():
        for family in families:
            types = [name for name in _types(family) if name not in described]
            described.update(types)
            found[f"{slug(family)}.md"] = page(suite, family, types)
    return found


def index() -> str:
    """The table of all tasks."""
    lines = [HEAD]
    for suite, families in SUITES.items():
        title, text = TITLES[suite]
        lines += [f"## {title}", "", text, "", *HEADER]
        for family in families:
            lines += [
                row(f"{suite}/{family.__name__}{level}", f"{slug(family)}.md") for level in LEVELS
            ]
        lines.append("")
    return "\n".join(lines)


def page(suite: str, family: type, types: list[str]) -> str:
    """Picture, table, rules, and the classes that no earlier page describes."""
    name = family.__name__
    rows = [row(f"{suite}/{name}{level}", None) for level in LEVELS]
    lines = [
        f"# {name}",
        "",
        f"![A picture of {name}](../assets/environments/{name}.png)",
        "",
        *HEADER,
        *rows,
        "",
        *(line for one in (name, *types) for line in (f"::: memoalg.envs.{one}", "")),
    ]
    return "\n".join(lines)


def _types(family: Any) -> tuple[str, str]:
    """The names of the classes of parameters and state."""
    env = family()
    params = env.default_params()
    _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    return type(params).__name__, type(state).__name__


def row(name: str, link: str | None) -> str:
    """A line of the table."""
    env, params = envs.make(name)
    scale = envs.anchors(name)
    told = f"[`{name}`]({link})" if link else f"`{name}`"
    spaces = [_short(env.observation_space(params)), _short(env.action_space(params))]
    numbers = [
        _number(value, error)
        for value, error in zip(
            (scale.random, scale.memoryless, scale.optimal),
            (scale.errors[0], scale.errors[2], scale.errors[1]),
            strict=True,
        )
    ]
    return f"| {' | '.join([told, *spaces, *numbers])} |"


def _short(space: envs.AbstractSpace) -> str:
    """A space in a few characters."""
    text = str(space).replace(", dtype=float32", "")
    if isinstance(space, envs.MultiDiscrete) and len(set(space.nvec)) == 1 and len(space.nvec) > 2:
        text = f"{len(space.nvec)} × Discrete(n={space.nvec[0]})"
    return f"`{text}`"


def _number(value: float | None, error: float) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if not error else f"{value:.3f} ± {error:.1g}"


def draw(suite: str, family: type) -> None:
    """A picture of a state some way into an episode of the oracle."""
    from PIL import Image

    env, params = envs.make(f"{suite}/{family.__name__}Easy")
    key = jax.random.key(3)
    _, state = env.reset(key, params)
    transition = jax.jit(env.transition)
    for t in range(12):
        following = transition(jax.random.fold_in(key, t), state, env.oracle(state, params), params)
        if following[3] or following[4]:
            break
        state = following[1]
    Image.fromarray(env.render(state)).save(PICTURES / f"{family.__name__}.png")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    for suite, families in SUITES.items():
        for family in families:
            draw(suite, family)


if __name__ == "__main__":
    main()
