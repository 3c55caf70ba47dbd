"""Which of gymnax's environments run, found out by running them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from ._environment import AbstractEnvironment
from ._gymnax import GYMNAX_EXCLUDED, GYMNAX_NAMES, from_gymnax

REMARKS = {
    "BernoulliBandit-misc": "memory: hidden arms; shows the last action and reward",
    "Catch-bsuite": "fully observed",
    "CartPole-v1": "fully observed; positions_only and velocities_only hide a half",
    "DeepSea-bsuite": "exploration; its two counters over episodes begin anew",
    "FrozenLake-misc": "fully observed, by a Discrete observation",
    "GaussianBandit-misc": "memory: hidden arms; observations leave their Box",
    "MemoryChain-bsuite": "memory: needs max_steps_in_episode > memory_length",
    "MetaMaze-misc": "memory: 3 x 3 view, last action and reward",
    "PointRobot-misc": "memory: hidden goal; shows the last action and reward",
    "SimpleBandit-bsuite": "one step; new arms at every step, nothing to learn across steps",
    "UmbrellaChain-bsuite": "credit assignment, fully observed",
    "DiscountingChain-bsuite": "credit assignment, fully observed",
}
"""What an experimenter should know, where there is something."""

COLUMNS = ("id", "runs", "observation", "action", "terminated", "truncated", "remark")


def gymnax_table(names: Sequence[str] | None = None, steps: int = 200) -> str:
    """Run gymnax's environments through the adapter with random actions and say what happened.

    `python -c "import memoalg.envs as envs; print(envs.gymnax_table())"` takes about two minutes.

    Args:
        names: gymnax's ids; None takes all, those that are excluded too.
        steps: how many steps each.

    Returns:
        A Markdown table: the id, whether it ran (an observation or reward that is not finite, or
        an exception, counts as not), the spaces, the numbers of ended episodes, a remark.

    Raises:
        ModuleNotFoundError: gymnax (or `six`, which it needs and does not declare) is missing.

    Example:
        >>> from memoalg.envs import gymnax_table
        >>> print(gymnax_table(["MNISTBandit-bsuite"]).splitlines()[-1][:28])
        | MNISTBandit-bsuite | no |
    """
    chosen = (*GYMNAX_NAMES, *GYMNAX_EXCLUDED) if names is None else names
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, steps) for name in chosen)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, steps: int) -> tuple[str, ...]:
    if name in GYMNAX_EXCLUDED:
        return name, "no", "", "", "", "", GYMNAX_EXCLUDED[name]
    try:
        env = from_gymnax(name)
        params = env.default_params()
        finite, terminated, truncated = jax.jit(_rollout, static_argnums=(0, 3))(
            env, params, jax.random.key(0), steps
        )
    # Whatever an environment of somebody else raises is what the table is there to say.
    except Exception as error:
        return name, "no", "", "", "", "", f"{type(error).__name__}: {error}".split("\n")[0]
    spaces = (str(env.observation_space(params)), str(env.action_space(params)))
    runs = "yes" if finite else "no"
    return name, runs, *spaces, str(terminated), str(truncated), REMARKS.get(name, "")


def _rollout(
    env: AbstractEnvironment[Any, Any], params: PyTree, key: PRNGKeyArray, steps: int
) -> tuple:
    """Random actions: whether all was finite, and how many episodes ended in which way."""
    key_reset, key_steps = jax.random.split(key)
    _, state = env.reset(key_reset, params)

    def body(state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, tuple]:
        key_action, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_action)
        observation, state, reward, *flags, _ = env.step(key_step, state, action, params)
        shown = [jnp.all(jnp.isfinite(x.astype(float))) for x in jax.tree.leaves(observation)]
        return state, (jnp.stack([*shown, jnp.isfinite(reward)]).all(), *flags)

    _, (finite, terminated, truncated) = jax.lax.scan(
        body, state, jax.random.split(key_steps, steps)
    )
    return finite.all(), terminated.sum(), truncated.sum()
