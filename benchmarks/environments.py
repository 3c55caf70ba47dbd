"""Steps per CPU-second of memoalg's environments beside numpy popgym and gymnax, in one run.

    pip install "memoalg[gymnax,popgym]"    # what is missing is left out
    python benchmarks/environments.py [--repeats 5] [--only TEXT] [--levels Easy Medium Hard]

Ours and gymnax's CartPole: 512 environments, 400 steps with restarts in one jitted scan, a uniform
random policy. popgym: a plain Python loop over one environment with random actions drawn ahead and
a reset at every episode's end, which is faster per CPU-second than its vector environments.
`build` is trace + compile of the vmapped `reset` and `step` in CPU-seconds.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing
import jax

import memoalg.envs as envs

ENVIRONMENTS, STEPS = 512, 400
PEER = "gymnax/CartPole-v1 (gymnax's own step)"


def rollout(reset: Callable, step: Callable, sample: Callable) -> Callable:
    """The jitted program: STEPS steps of a random policy in ENVIRONMENTS environments."""

    def run(key: jax.Array, params: Any) -> Any:
        key_reset, key = jax.random.split(key)
        keys = jax.random.split(key_reset, ENVIRONMENTS)
        _, state = jax.vmap(reset, in_axes=(0, None))(keys, params)

        def one(key: jax.Array, state: Any) -> Any:
            key_action, key_step = jax.random.split(key)
            observation, state, reward, *_ = step(key_step, state, sample(key_action), params)
            return state, (observation, reward)

        def body(state: Any, key: jax.Array) -> Any:
            state, (observation, reward) = jax.vmap(one)(jax.random.split(key, ENVIRONMENTS), state)
            # What a learner would read, reduced so that memory traffic is not what is measured.
            return state, jax.tree.map(jax.numpy.sum, (observation, reward))

        return jax.lax.scan(body, state, jax.random.split(key, STEPS))

    return jax.jit(run)


def build_seconds(reset: Callable, step: Callable, sample: Callable, params: Any) -> float:
    """Trace and compile both methods for all environments."""
    keys = jax.random.split(jax.random.key(0), ENVIRONMENTS)
    begin = jax.jit(jax.vmap(reset, in_axes=(0, None)))
    _, state = jax.eval_shape(begin, keys, params)
    actions = jax.eval_shape(jax.vmap(sample), keys)
    move = jax.jit(jax.vmap(step, in_axes=(0, 0, 0, None)))
    built = (
        _timing.compiled(begin, keys, params),
        _timing.compiled(move, keys, state, actions, params),
    )
    return sum(one.build_seconds for one in built)


class Candidate(NamedTuple):
    """What is timed: a rollout, its parameters, and the CPU-seconds of compiling its parts."""

    rollout: Callable
    params: Any
    build_seconds: float


def candidate(reset: Callable, step: Callable, sample: Callable, params: Any) -> Candidate:
    """Both programs of an environment."""
    seconds = build_seconds(reset, step, sample, params)
    return Candidate(rollout(reset, step, sample), params, seconds)


def programs(names: list[str]) -> dict[str, Candidate]:
    """What is timed for each name, and for gymnax."""
    found = {}
    for name in names:
        env, params = envs.make(name)
        found[name] = candidate(env.reset, env.step, env.action_space(params).sample, params)
    try:
        import gymnax
    except ImportError:
        return found
    env, params = gymnax.make("CartPole-v1")
    found[PEER] = candidate(env.reset, env.step, env.action_space(params).sample, params)
    return found


def popgym_rate(name: str, seconds: float = 0.6) -> float:
    """Steps per CPU-second of the original; 0 where it is not installed."""
    try:
        import gymnasium
        import popgym  # noqa: F401  (registers its environments)
    except ImportError:
        return 0.0
    suite, short = name.split("/")
    if suite != "popgym":
        return 0.0
    # The original's own spelling.
    short = short.replace("VelocityOnlyCartPole", "VelocityOnlyCartpole")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labyrinths warn that they need no memory
        env = gymnasium.make(f"popgym-{short}-v0").unwrapped
    actions = [env.action_space.sample() for _ in range(1024)]
    env.reset(seed=0)
    steps, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        for action in actions[:64]:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        steps += 64
    return steps / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are shown")
    parser.add_argument("--only", default="", help="ids that contain this text")
    parser.add_argument("--levels", nargs="+", default=["Easy", "Medium", "Hard"])
    options = parser.parse_args()
    repeats, key = options.repeats, jax.random.key(0)
    chosen = [
        name
        for name in envs.names()
        if name.split("/")[0] in ("popgym", "memory")
        and options.only in name
        and name.endswith(tuple(options.levels))
    ]
    candidates = programs(chosen)
    built = {
        name: _timing.compiled(one.rollout, key, one.params) for name, one in candidates.items()
    }
    measures = {
        name: lambda name=name: _timing.settled_cpu_seconds(
            lambda: built[name].call(key, candidates[name].params)
        )
        for name in built
    }
    seconds = _timing.medians(_timing.interleaved(measures, repeats))
    rates = {name: ENVIRONMENTS * STEPS / value for name, value in seconds.items()}
    rows = []
    for name, rate in rates.items():
        original = popgym_rate(name) if name != PEER else 0.0
        rows.append(
            (
                name,
                f"{rate / 1e6:.2f}",
                f"{original / 1e6:.3f}" if original else "",
                f"{rate / original:.0f}x" if original else "",
                f"{rate / rates[PEER]:.2f}x" if PEER in rates else "",
                f"{candidates[name].build_seconds:.1f}",
            )
        )
    print(_timing.machine())
    header = ("environment", "M steps/CPU-s", "popgym", "ratio", "to gymnax CartPole", "build (s)")
    print(_timing.markdown_table(header, rows))


if __name__ == "__main__":
    _timing.run_single_threaded(main)
