"""Training and evaluation on tasks: what they compute, and that models learn."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from benchmarks.overfit import GOAL, SECONDS, overfit
from memoalg import tasks
from memoalg.tasks import FitConfig

KEY = jax.random.key(0)
TASK = tasks.Packed(tasks.Copy(symbols=2, items=1), episodes=3)
SHORT = FitConfig(steps=25, batch=4, chunk=10)


def small_model(key=KEY):
    return ma.nn.make("elman", in_size=3, out_size=2, width=8, key=key)


def leaves(model):
    return jax.tree.leaves(eqx.filter(model, eqx.is_array))


class Says(eqx.Module):
    """A constant answer, learned."""

    logits: jax.Array

    def __call__(self, x):
        return self.logits + 0 * x[:2]


def constant(*logits):
    return ma.nn.Pointwise(Says(jnp.array(logits)), 3, 2)


def test_training_lowers_the_loss_and_is_repeated_bit_for_bit():
    config = FitConfig(steps=60, batch=4, chunk=10)
    first, again = (tasks.fit(small_model(), TASK, KEY, config) for _ in range(2))
    assert first.losses.shape == first.scores.shape == (60,)
    assert first.losses[-5:].mean() < 0.5 * first.losses[0]
    np.testing.assert_array_equal(first.losses, again.losses)
    for one, other in zip(leaves(first.model), leaves(again.model), strict=True):
        np.testing.assert_array_equal(one, other)
    other = tasks.fit(small_model(), TASK, jax.random.key(1), config)
    assert (other.losses != first.losses).any()


def test_the_model_that_is_given_stays_as_it_is():
    model = small_model()
    before = [np.array(leaf) for leaf in leaves(model)]
    fitted = tasks.fit(model, TASK, KEY, SHORT)
    for one, other in zip(before, leaves(model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != two).any() for one, two in zip(before, leaves(fitted.model), strict=True))


def test_chunks_change_nothing_and_the_last_one_is_shorter():
    reports = []
    whole = tasks.fit(small_model(), TASK, KEY, FitConfig(steps=25, batch=4, chunk=25))
    parts = tasks.fit(small_model(), TASK, KEY, SHORT, lambda *report: reports.append(report))
    assert [update for update, _, _ in reports] == [10, 20, 25]
    np.testing.assert_allclose(whole.losses, parts.losses, rtol=1e-5)
    for one, two in zip(leaves(whole.model), leaves(parts.model), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    for (_, loss, score), span in zip(
        reports, [slice(10), slice(10, 20), slice(20, 25)], strict=True
    ):
        assert loss == pytest.approx(parts.losses[span].mean())
        assert score == pytest.approx(parts.scores[span].mean())


def test_everything_is_compiled_once():
    traced, seen = [], []

    def count(x):
        traced.append(None)
        return x

    model = ma.nn.Serial(ma.nn.Pointwise(count), small_model())
    tasks.fit(model, TASK, KEY, SHORT, lambda *_: seen.append(len(traced)))
    other = FitConfig(steps=10, batch=4, chunk=10, learning_rate=0.1, warm_up=0, goal=0.9)
    tasks.fit(model, TASK, KEY, other, lambda *_: seen.append(len(traced)))
    assert seen == [seen[0]] * 4


def test_the_first_update_is_adams_with_the_first_step_of_the_warm_up():
    """Adam's first change is the step size against the sign of the gradient; decay is added to it."""
    config = FitConfig(steps=1, batch=4, chunk=10, learning_rate=0.3, warm_up=2)
    # From logits that no example of this task can make zero gradients of.
    model = constant(2.0, -1.0)
    (moved,) = leaves(tasks.fit(model, TASK, KEY, config).model)
    np.testing.assert_allclose(moved, [2.0 - 0.1, -1.0 + 0.1], rtol=1e-4)
    config = FitConfig(steps=1, batch=4, chunk=10, learning_rate=0.3, warm_up=2, weight_decay=0.5)
    (moved,) = leaves(tasks.fit(model, TASK, KEY, config).model)
    np.testing.assert_allclose(moved, [1.9 - 0.1 * 0.5 * 2.0, -0.9 + 0.1 * 0.5], rtol=1e-4)
    config = FitConfig(steps=2, batch=4, chunk=10, max_grad_norm=0.0)
    (moved,) = leaves(tasks.fit(model, TASK, KEY, config).model)
    np.testing.assert_array_equal(moved, [2.0, -1.0])


def test_parameters_in_half_precision_stay_so():
    logits = jnp.zeros(2, jnp.bfloat16)
    model = ma.nn.Serial(ma.nn.Pointwise(half), ma.nn.Pointwise(Says(logits)))
    fitted = tasks.fit(model, TASK, KEY, FitConfig(steps=2, batch=2, chunk=2, weight_decay=0.1))
    (moved,) = leaves(fitted.model)
    assert moved.dtype == jnp.bfloat16
    assert (moved != 0).any()


def half(x):
    return x.astype(jnp.bfloat16)


def losses_of_a_frozen_model(examples, batch):
    config = FitConfig(steps=30, chunk=10, batch=batch, examples=examples, learning_rate=0.0)
    return tasks.fit(constant(1.0, 0.0), TASK, KEY, config).losses


def test_examples_are_new_in_each_update_or_come_from_a_fixed_number():
    # The loss of a constant answer says how many of the 3 episodes had the symbol 1.
    assert len(set(losses_of_a_frozen_model(0, 4))) > 4
    assert len(set(losses_of_a_frozen_model(4, 4))) == 1
    assert len(set(losses_of_a_frozen_model(4, 9))) == 1
    assert 1 < len(set(losses_of_a_frozen_model(2, 1))) <= 2


def test_training_ends_early_at_the_goal():
    config = FitConfig(steps=1000, batch=4, chunk=10, goal=0.9, learning_rate=0.02)
    fitted = tasks.fit(small_model(), TASK, KEY, config)
    means = fitted.scores.reshape(-1, 10).mean(axis=1)
    assert 1 < len(means) < 100
    assert means[-1] >= 0.9
    assert (means[:-1] < 0.9).all()


def test_a_learned_initial_state_trains_without_a_start():
    initial = jnp.zeros(2)
    model = ma.nn.Memoroid(
        ma.Add(2), Says(jnp.zeros(2)), Readout(), initial_state=initial, in_size=3
    )
    fitted = tasks.fit(model, TASK.task, KEY, FitConfig(steps=3, batch=1, chunk=3))
    changed = [leaf for leaf in leaves(fitted.model) if leaf.shape == (2,)]
    assert len(changed) == 2
    assert all((leaf != 0).any() for leaf in changed)


class Readout(eqx.Module):
    """The sum itself."""

    def __call__(self, read, x):
        return read


class Ones(eqx.Module):
    """The bit of a counting task."""

    def __call__(self, x):
        return x[1]


class Remainder(eqx.Module):
    """The count modulo a number, one-hot."""

    modulus: int = eqx.field(static=True)

    def __call__(self, read, x):
        return jax.nn.one_hot(read.astype(jnp.int32) % self.modulus, self.modulus)


class Forgetful(ma.nn.AbstractLayer):
    """A layer whose resets are lost."""

    layer: ma.nn.AbstractLayer

    def __init__(self, layer):
        self.layer = layer

    @property
    def in_size(self):
        return self.layer.in_size

    @property
    def out_size(self):
        return self.layer.out_size

    def init_carry(self):
        return self.layer.init_carry()

    def __call__(self, carry, xs, start, *, method=ma.Auto()):
        return self.layer(carry, xs, None, method=method)

    def step(self, carry, x, start):
        return self.layer.step(carry, x, None)


@pytest.mark.parametrize("name", ["modular_counting", "copy"])
def test_a_model_that_knows_the_rule_scores_one_and_without_resets_it_does_not(name):
    if name == "copy":
        task = tasks.Packed(tasks.Copy(symbols=3, items=2, delay=1), episodes=2)
        model = ma.nn.Serial(ma.nn.Delay(4, 3), ma.nn.Pointwise(lambda x: x[:3]))
    else:
        task = tasks.Packed(tasks.ModularCounting(modulus=3, length=7), episodes=3)
        model = ma.nn.Memoroid(ma.Add(()), Ones(), Remainder(3))
    result = tasks.evaluate(model, task, KEY, 256)
    assert float(result.score) == 1
    if name == "modular_counting":
        lost = tasks.evaluate(Forgetful(model), task, KEY, 256)
        # The first episode is right, the others by luck alone.
        np.testing.assert_allclose(lost.score, 1 / 3 + 2 / 3 / 3, atol=0.05)
        assert lost.loss > result.loss + 0.1


def test_evaluation_is_the_mean_over_its_examples():
    model, keys = small_model(), jax.random.split(KEY, 5)
    result = tasks.evaluate(model, TASK, KEY, 5)

    @eqx.filter_jit
    def one(key):
        example = TASK.sample(key)
        _, ys = model(model.init_carry(), example.xs, example.start)
        return TASK.loss(ys, example), TASK.score(ys, example)

    losses, scores = zip(*map(one, keys), strict=True)
    np.testing.assert_allclose(result.loss, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(result.score, np.mean(scores), rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_training():
    model = ma.nn.Serial(ma.nn.Pointwise(lambda x: x[:2] * jnp.nan), constant_of_two())
    with pytest.raises(ArithmeticError, match="the loss of update 1 is nan: try a smaller"):
        tasks.fit(model, TASK, KEY, SHORT)


def constant_of_two():
    return ma.nn.Pointwise(Says(jnp.zeros(2)))


def test_a_model_of_other_sizes_is_refused(without_hook):
    model = ma.nn.make("mlp", in_size=4, out_size=2, width=4, key=KEY)
    for run in (tasks.fit, tasks.evaluate):
        with pytest.raises(ValueError, match="has in_size=3, but the model has in_size=4: write"):
            run(model, TASK, KEY)
        with pytest.raises(TypeError, match=r"takes a layer of ma\.nn as model, got function"):
            run(lambda x: x, TASK, KEY)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"takes a task, .* got str; by name: ma.tasks.make"):
            run(model, "copy", KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "value", "error", "message"),
    [
        ("steps", 0, ValueError, "FitConfig: steps must be at least 1, got 0"),
        ("batch", 2.0, TypeError, "batch must be an int of at least 1, got 2.0"),
        ("warm_up", -1, ValueError, "warm_up must be at least 0"),
        ("learning_rate", -1e-3, ValueError, r"learning_rate must be a number in \[0, inf\]"),
        ("learning_rate", float("nan"), ValueError, "learning_rate must be a number"),
        ("goal", 1.5, ValueError, r"goal must be a number in \[0, 1\], got 1.5"),
        ("max_grad_norm", "1", TypeError, "max_grad_norm must be a number"),
    ],
)
def test_an_impossible_setting_is_refused(without_hook, setting, value, error, message):
    with pytest.raises(error, match=message):
        FitConfig(**{setting: value})


@pytest.mark.parametrize("name", ["lru", "mlp"])
def test_a_model_learns_a_small_task_by_heart(name):
    assert overfit(name, depth=1).score >= GOAL


@pytest.mark.slow
@pytest.mark.parametrize("name", ma.nn.names())
def test_every_model_learns_a_small_task_by_heart_within_a_minute(name):
    outcome = overfit(name)
    assert outcome.score >= GOAL
    assert outcome.seconds <= SECONDS
