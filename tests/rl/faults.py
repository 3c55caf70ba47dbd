"""Probes that a fault of a recurrent loop shows up in. Each returns an error that ought to be 0."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from memoalg.rl import _learn, _ppo, _rollout
from memoalg.rl._minibatch import Batch
from memoalg.rl._rollout import init_rollout
from tests.rl.worlds import Ticker, counting_network, outspoken

CONFIG = ma.rl.PPOConfig(
    num_envs=4, num_steps=16, minibatches=2, epochs=1, discount=0.9, gae_decay=0.8
)
LANES = np.array([3, 2])  # the minibatch that is replayed
BEGIN = 0


def numbered_batch(num_steps: int, num_envs: int) -> Batch:
    """A batch in which the entry of step t and environment e is t * E + e."""
    number = jnp.arange(num_steps * num_envs).reshape(num_steps, num_envs)
    real, first = number.astype(float), jnp.zeros((num_steps, num_envs), bool)
    carry = jnp.arange(num_envs)
    return Batch(carry, real[..., None], first, number, real, real, real, real)


def contiguity_error(take) -> float:
    """Steps of a minibatch that do not follow their predecessor in the same environment."""
    batch = take(numbered_batch(8, 4), jnp.array([2, 0]))
    same = np.asarray(batch.carry)[None] == np.asarray(batch.actions) % 4
    follows = np.diff(np.asarray(batch.actions), axis=0) == 4
    return float((~same).sum() + (~follows).sum())


@functools.cache
def _under_way(memory):
    """A network and a state in the middle of episodes, where the stored carry matters."""
    algo = ma.rl.PPO(Ticker(), None, ma.rl.ActorCritic(memory, width=8), CONFIG)

    def begin(key):
        agent = algo.init(key).agent
        network = outspoken(algo.network(agent))
        rollout = init_rollout(network, algo.env, None, 4, key)
        return network, _rollout.collect(network, algo.env, None, rollout, key, 18)[0]

    network, rollout = eqx.filter_jit(begin)(jax.random.key(BEGIN))
    times = np.asarray(rollout.observation)[:, 0]
    assert not rollout.start[LANES].any(), "an episode begins with the rollout: the probe is blind"
    assert (times[:2] != times[LANES]).all(), "all lanes are alike: the probe is blind"
    return network, rollout


def replay_error(memory="gru") -> float:
    """Largest change of a log probability between acting and replaying, resets included."""
    network, rollout = _under_way(memory)

    def replay(rollout, key):
        _, record, _ = _ppo.collect(network, Ticker(), None, rollout, key, 16)
        batch = _learn.make_batch(record, CONFIG)
        batch = _learn.take_environments(batch, jnp.array(LANES))
        _, policy, _ = network(batch.carry, batch.observations, batch.start)
        error = jnp.max(jnp.abs(policy.log_prob(batch.actions) - batch.log_probs))
        return error, jnp.sum(record.start[1:]), jnp.std(batch.log_probs)

    error, inside, spread = jax.jit(replay)(rollout, jax.random.key(1))
    assert inside > 4, "no episode begins inside the rollout: the probe is blind"
    assert spread > 0.01, "the policy does not depend on its input: the probe is blind"
    return float(error)


def alignment_error() -> float:
    """Largest error of an advantage against a loop over episodes that knows every value.

    `Ticker` shows the time t, and the counting network's value of it is t + 1, that of the final
    observation included: so every advantage can be computed from observations alone.
    """
    env = Ticker()
    network = counting_network(env)

    def act(key):
        rollout = init_rollout(network, env, None, 4, key)
        _, record, _ = _ppo.collect(network, env, None, rollout, key, 16)
        return record, _learn.make_batch(record, CONFIG)

    record, batch = jax.jit(act)(jax.random.key(0))
    for flag in (record.terminated, record.truncated):
        assert flag[:-1].any(), "an ending is missing inside the rollout: the probe is blind"
    times = np.asarray(record.observations)[..., 0]
    wanted = _advantages_by_hand(
        times, np.asarray(record.terminated), np.asarray(record.truncated), CONFIG
    )
    return float(np.abs(np.asarray(batch.advantages) - wanted).max())


def _advantages_by_hand(times, terminated, truncated, config) -> np.ndarray:
    steps, num_envs = terminated.shape
    wanted = np.zeros((steps, num_envs))
    for e in range(num_envs):
        following = 0.0
        for t in reversed(range(steps)):
            # After the step at time t the observation shows t + 1, and its value is t + 2.
            after = 0.0 if terminated[t, e] else times[t, e] + 2
            error = (times[t, e] + 1) + config.discount * after - (times[t, e] + 1)
            ends = terminated[t, e] or truncated[t, e]
            trace = 0.0 if ends else config.discount * config.gae_decay * following
            following = wanted[t, e] = error + trace
    return wanted
