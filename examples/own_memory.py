"""Train an agent whose memory is a monoid of one's own: `python examples/own_memory.py [STEPS]`.

The memory is a decayed maximum beside a decayed sum; both decay by their own learned rates. PPO
trains it on popgym/RepeatFirstEasy, where the first card must be named at every step: the optimum
is a return of 1, and it gets there within a minute.
"""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

import memoalg as ma


class Encode(eqx.Module):
    """From an input to an element of the product: ((shift, value), (decay, value))."""

    linear: eqx.nn.Linear
    log_rates: Float[Array, "2 size"]

    def __init__(self, in_size: int, size: int, *, key: PRNGKeyArray):
        self.linear = eqx.nn.Linear(in_size, 2 * size, key=key)
        # Rates from 1/2 to 1/1000 per step: memories of two to a thousand steps.
        self.log_rates = jnp.log(jnp.stack([jnp.geomspace(0.5, 0.001, size)] * 2))

    def __call__(self, x: Float[Array, " in"]):
        largest, total = jnp.split(self.linear(x), 2)
        rates = jnp.exp(self.log_rates)
        # Rates do not depend on the input: `Fixed` parts have no time axis.
        return (ma.Fixed(-rates[0]), largest), (ma.Fixed(jnp.exp(-rates[1])), rates[1] * total)


class Readout(eqx.Module):
    """From the two states and the input to the output."""

    linear: eqx.nn.Linear

    def __call__(self, read: tuple[Array, Array], x: Float[Array, " in"]) -> Float[Array, " out"]:
        return x + self.linear(jnp.concatenate(read))


def own_memory(in_size: int, key: PRNGKeyArray) -> ma.nn.AbstractLayer:
    """What `ActorCritic` asks for: a layer, from its input size and a key."""
    size = 32
    encode_key, readout_key = jax.random.split(key)
    largest = ma.SemidirectProduct(ma.Add(size), ma.Max(size), action=ma.shift)
    return ma.nn.Memoroid(
        largest * ma.Affine(size),
        Encode(in_size, size, key=encode_key),
        Readout(eqx.nn.Linear(2 * size, in_size, key=readout_key)),
        in_size=in_size,
    )


def main(steps: int) -> None:
    env, params = ma.envs.make("popgym/RepeatFirstEasy")
    # Only the first card matters: show the agent which one it is.
    env = ma.envs.EpisodeStart(env)
    agent = ma.rl.ActorCritic(memory=own_memory, width=64)
    algo = ma.rl.PPO(env, params, agent, ma.rl.PPOConfig(learning_rate=1e-3))
    print(ma.rl.fit(algo, jax.random.key(0), steps))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
