"""Writes the pages of `environments/`: one for every family of tasks, and the table of all.

    python -m docs.environments

Pictures are of an episode that the task's oracle plays. A test compares the pages with what this
program would write.
"""

import inspect
import re
from pathlib import Path
from typing import Any

import jax

import memoalg.envs as envs
from memoalg.envs._registry import SUITES

FOLDER = Path(__file__).parent / "environments"
PICTURES = Path(__file__).parent / "assets/environments"
STEPS = {"TraceConditioning": 94}
"""How far into its episode a picture is, where twelve steps show nothing."""

LEVELS = ("Easy", "Medium", "Hard")

TITLES = {
    "popgym": (
        "POPGym's tasks",
        "Written anew in JAX, with the rules of the `popgym` package (release 1.0.7): tests replay the "
        "original's episodes, hidden state and all, and compare every step.",
    ),
    "memory": (
        "Tasks with a dial",
        "How far does a memory reach? Each of these has an argument that sets how long, or how much, has "
        "to be held in mind. In the classic control tasks it is `hidden`: Easy shows everything, Medium "
        "hides the velocities, Hard adds noise.",
    ),
}

HEAD = """# Environments

Every task is a frozen module with one protocol
([`AbstractEnvironment`][memoalg.envs.AbstractEnvironment]), runs under `jit`, `vmap` and `scan`, and starts
its next episode by itself. `memoalg envs` lists them; `memoalg envs show ID` writes a GIF of an episode.

```python
import jax
import memoalg as ma

env, params = ma.envs.make("popgym/BattleshipEasy")
env = ma.envs.PreviousAction(env)  # Battleship and the bandits do not show where the shot went

def step(state, key):
    key_action, key_step = jax.random.split(key)
    action = env.action_space(params).sample(key_action)
    _, state, reward, terminated, truncated, _ = env.step(key_step, state, action, params)
    return state, (reward, terminated | truncated)

@jax.jit
@jax.vmap
def rollout(key):
    key_reset, key = jax.random.split(key)
    _, state = env.reset(key_reset, params)
    return jax.lax.scan(step, state, jax.random.split(key, 128))[1]

rewards, over = rollout(jax.random.split(jax.random.key(0), 512))  # (512, 128) each
mean = rewards.sum() / over.sum()
print(ma.envs.normalised_score("popgym/BattleshipEasy", mean))  # about 0: it plays at random
```

Other sizes than Easy, Medium and Hard are arguments of the classes: `ma.envs.TMaze(length=25)`. Numbers
in `params` may change without a new program, `dataclasses.replace(params, length=jnp.int32(30))`, under
`jax.vmap` too.
[Wrappers](../api/envs.md#wrappers), [gymnax](../gymnax.md) and
[environments on the host](../api/envs.md#on-the-host) are on the API page.

In the tables, returns are means of whole, undiscounted episodes: `random` of uniformly random actions;
`memoryless` of the best policy known that sees the last observation only; `optimal` of a policy that
sees the whole state, or a proven maximum: an upper mark, which an agent cannot always reach. Where the
last two are close, a task says little about memory: labyrinths can be walked with a hand on the wall,
and velocities alone hold a pole.
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
        f"*{(inspect.getdoc(family.render) or '').splitlines()[0]}*",
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
        text = f"MultiDiscrete(({space.nvec[0]},) * {len(space.nvec)})"
    return f"`{text}`"


def _number(value: float | None, error: float) -> str:
    if value is None:
        return ""
    # Exact numbers may need more digits than three; errors are rounded up.
    if not error:
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:.3f} ± {max(error, 0.001):.3f}"


def draw(suite: str, family: type) -> None:
    """A picture of a state some way into an episode of the oracle."""
    from PIL import Image

    env, params = envs.make(f"{suite}/{family.__name__}Easy")
    key = jax.random.key(3)
    _, state = env.reset(key, params)
    transition = jax.jit(env.transition)
    for t in range(STEPS.get(family.__name__, 12)):
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
