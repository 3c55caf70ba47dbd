"""Minibatches are whole environments, contiguous in time, each once per epoch."""

import jax
import jax.numpy as jnp
import numpy as np

from memoalg.rl._minibatch import Batch, environment_order, take_environments
from tests.rl.faults import contiguity_error, numbered_batch

ORDER = jax.jit(environment_order, static_argnums=(1, 2, 3))


def test_each_environment_once_per_epoch():
    order = ORDER(jax.random.key(0), 12, 5, 3)
    assert order.shape == (15, 4)
    for epoch in np.asarray(order).reshape(5, 12):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(12))


def test_epochs_and_keys_differ():
    first, second = (np.asarray(ORDER(jax.random.key(k), 12, 5, 3)) for k in (0, 1))
    epochs = {tuple(row) for row in first.reshape(5, 12)}
    assert len(epochs) == 5
    assert (first != second).any()


def test_every_place_is_equally_likely():
    order = jax.vmap(lambda k: ORDER(k, 4, 1, 1))(jax.random.split(jax.random.key(0), 4000))
    counts = np.stack([np.bincount(row, minlength=4) for row in np.asarray(order)[:, 0].T])
    np.testing.assert_allclose(counts / 4000, 0.25, atol=0.03)


def test_time_is_contiguous():
    assert contiguity_error(take_environments) == 0


def test_fields_and_carry_belong_to_the_same_environments():
    batch = take_environments(numbered_batch(6, 4), jnp.array([3, 1]))
    assert isinstance(batch, Batch)
    np.testing.assert_array_equal(batch.carry, [3, 1])
    np.testing.assert_array_equal(batch.values[0], [3, 1])
    np.testing.assert_array_equal(batch.observations[2, :, 0], [11, 9])
