"""The returns that mark the scale of every task of ours: what `memoalg/envs/_anchors.py` holds.

    python -m benchmarks.anchors [--only TEXT] [--episodes 4096] [--search 40]

Prints one line for each id, to be pasted into the table. `random` plays uniformly; `optimal` is the
task's own oracle, a policy that sees the state (or a better one, see `optimal`); `memoryless` is the
best policy found that sees the last observation only: one that is written below, or for tasks
without one the best of a cross-entropy search over policies that are linear in the flat observation.
Each number is the mean of complete episodes, with its standard error. Where a formula gives a number
exactly, it is what is printed, with error 0; what was measured follows as a comment.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import memoalg.envs as envs
from benchmarks.anchors_exact import EXACT
from benchmarks.anchors_policies import REACTIVE

Policy = Callable[[Any, Any, Any, Any], Any]
"""`(key, observation, state, weights) -> action`."""

SIGHTED = (envs.Acrobot, envs.MountainCar, envs.Pendulum)
"""Tasks whose oracle is no optimum, with a constructor switch that shows the whole state."""

POPULATION, ELITE, LANES = 128, 16, 32


class Mean(NamedTuple):
    """A mean of episodes' returns, and its standard error."""

    value: float
    error: float


def returns(env: Any, params: Any, policy: Policy, lanes: int, key: Any, weights: Any) -> Any:
    """The return of one complete episode in each lane."""

    def body(carry: tuple) -> tuple:
        observation, state, total, over, key = carry
        key, key_act, key_step = jax.random.split(key, 3)
        act = jax.vmap(policy, in_axes=(0, 0, 0, None))
        action = act(jax.random.split(key_act, lanes), observation, state, weights)
        move = jax.vmap(env.transition, in_axes=(0, 0, 0, None))
        keys = jax.random.split(key_step, lanes)
        observation, state, reward, *ends = move(keys, state, action, params)
        total = total + jnp.where(over, 0, reward)
        return observation, state, total, over | ends[0] | ends[1], key

    key_reset, key = jax.random.split(key)
    keys = jax.random.split(key_reset, lanes)
    observation, state = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    start = observation, state, jnp.zeros(lanes), jnp.zeros(lanes, bool), key
    return jax.lax.while_loop(lambda carry: ~jnp.all(carry[3]), body, start)[2]


def measure(env: Any, params: Any, policy: Policy, episodes: int, weights: Any = None) -> Mean:
    """Play `episodes` complete episodes."""
    key = jax.random.key(1)
    totals = jax.jit(lambda key, weights: returns(env, params, policy, episodes, key, weights))
    found = np.asarray(totals(key, weights), np.float64)
    return Mean(float(found.mean()), float(found.std(ddof=1) / np.sqrt(episodes)))


def linear(env: Any, params: Any) -> tuple[Policy, int]:
    """A policy that is linear in the flat observation: a softmax of logits, or a squashed mean."""
    seen, acts = env.observation_space(params), env.action_space(params)
    inputs, outputs = seen.flat_size + 1, acts.flat_size

    def policy(key: Any, observation: Any, state: Any, weights: Any) -> Any:
        flat = jnp.append(seen.flatten(observation), 1.0)
        out = flat @ weights.reshape(inputs, outputs)
        if isinstance(acts, envs.Discrete):
            return jax.random.categorical(key, out).astype(jnp.int32)
        if isinstance(acts, envs.MultiDiscrete):
            cuts = np.cumsum(acts.nvec)[:-1].tolist()
            keys = jax.random.split(key, len(acts.nvec))
            parts = zip(keys, jnp.split(out, cuts), strict=True)
            return jnp.stack([jax.random.categorical(k, part) for k, part in parts]).astype(int)
        high = jnp.asarray(acts.high, out.dtype)
        return high * jnp.tanh(out)

    return policy, inputs * outputs


def search(env: Any, params: Any, rounds: int) -> tuple[Policy, Any]:
    """The cross-entropy method on the weights of a linear policy."""
    policy, size = linear(env, params)
    play = jax.jit(
        jax.vmap(
            lambda key, weights: returns(env, params, policy, LANES, key, weights).mean(),
            in_axes=(None, 0),
        )
    )
    generator = np.random.default_rng(0)
    mean, spread = np.zeros(size), np.full(size, 3.0)
    for i in range(rounds):
        drawn = mean + spread * generator.standard_normal((POPULATION, size))
        scores = np.asarray(play(jax.random.key(i), jnp.asarray(drawn, float)))
        best = drawn[np.argsort(-scores)[:ELITE]]
        # The spread shrinks slowly: scores are noisy.
        mean, spread = best.mean(0), 0.9 * best.std(0) + 0.1 * spread
    return policy, jnp.asarray(mean, float)


def memoryless(name: str, env: Any, params: Any, options: argparse.Namespace) -> Mean:
    """The best return found of a policy that sees the last observation only."""
    family = type(env).__name__
    if type(env) in (*SIGHTED, envs.CartPole) and env.hidden == "none":
        return optimal(env, params, options)  # all there is to see is in the observation
    if family in REACTIVE:
        act = REACTIVE[family](env, params)
        return measure(env, params, lambda key, obs, state, _: act(key, obs), options.episodes)
    policy, weights = search(env, params, options.search)
    found = measure(env, params, policy, options.episodes, weights)
    uniform = measure(env, params, random_policy(env, params), options.episodes)
    return max(found, uniform)


def optimal(env: Any, params: Any, options: argparse.Namespace) -> Mean:
    """The task's oracle, or a better policy that a search finds where the whole state can be shown."""

    def oracle(key: Any, observation: Any, state: Any, weights: Any) -> Any:
        return env.oracle(state, params)

    found = measure(env, params, oracle, options.episodes)
    if type(env) not in SIGHTED:
        return found
    shown = type(env)("none", 0.0, env.max_steps)
    policy, weights = search(shown, params, options.search)
    return max(found, measure(shown, params, policy, options.episodes, weights))


def random_policy(env: Any, params: Any) -> Policy:
    """Uniformly random actions."""
    sample = env.action_space(params).sample
    return lambda key, observation, state, weights: sample(key)


def line(name: str, options: argparse.Namespace) -> str:
    """The table's line for an id."""
    env, params = envs.make(name)
    family = type(env).__name__
    exact = EXACT[family](*_arguments(env)) if family in EXACT else {}
    measured = {
        "random": measure(env, params, random_policy(env, params), options.episodes),
        "optimal": optimal(env, params, options),
    }
    if "memoryless" not in exact:
        measured["memoryless"] = memoryless(name, env, params, options)
    told = {part: Mean(exact[part], 0.0) if part in exact else measured[part] for part in PARTS}
    # A sum of float32 rewards is not exact in its sixth digit; a formula is.
    values = ", ".join(f"{told[part].value:.{6 if part in exact else 5}g}" for part in PARTS)
    errors = ", ".join(f"{told[part].error:.2g}" for part in PARTS)
    seen = ", ".join(f"{part} {m.value:.4f} ± {m.error:.4f}" for part, m in measured.items())
    return f'    "{name}": Anchors({values}, ({errors})),  # measured: {seen}'


PARTS = ("random", "optimal", "memoryless")


def _arguments(env: Any) -> tuple:
    """The constructor's arguments of an id's level."""
    levels = vars(type(env))["levels"]
    made = [type(env)(*level) for level in levels]
    return levels[made.index(env)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="ids that contain this text")
    parser.add_argument("--episodes", type=int, default=4096)
    parser.add_argument("--search", type=int, default=40, help="rounds of the cross-entropy search")
    options = parser.parse_args()
    for name in envs.names():
        if not name.startswith("gymnax/") and options.only in name:
            print(line(name, options), flush=True)


if __name__ == "__main__":
    main()
