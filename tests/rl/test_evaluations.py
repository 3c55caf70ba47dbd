"""Rows of evaluations: of complete episodes, with the number of the others."""

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from memoalg.rl._evaluations import evaluation_rows, mean_score


def test_episodes_that_did_not_end_are_counted_and_not_averaged():
    lengths = jnp.full(3, 4)
    ends = jnp.array([True, False, True])
    some = ma.rl.Evaluation(jnp.array([1.0, 9.0, 2.0]), lengths, ends)
    none = ma.rl.Evaluation(jnp.array([5.0, 5.0, 5.0]), lengths, jnp.zeros(3, bool))
    both = jax.tree.map(lambda *x: np.stack(x), some, none)
    first, second = evaluation_rows(both, 7, 70, [{"seed": 0}, {"seed": 1}])
    assert first["mean"] == 1.5
    assert first["returns"] == [1.0, 2.0]
    assert [first["incomplete"], second["incomplete"]] == [1, 3]
    assert second["mean"] is None
    assert mean_score([first, second]) is None
