"""Every task is its rule: answers recomputed from the inputs, losses by hand, chance by simulation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg import tasks
from memoalg.tasks._symbols import distinct
from tests.tasks.answers import RULES, answers

CASES = {
    **{name: tasks.make(name) for name in tasks.names()},
    "copy-delay": tasks.Copy(symbols=3, items=2, delay=4),
    "selective_copy-all": tasks.SelectiveCopy(symbols=2, items=3, context=3),
    "associative_recall-together": tasks.AssociativeRecall(
        keys=5, values=3, pairs=2, queries=3, together=True
    ),
    "associative_recall-all_keys": tasks.AssociativeRecall(keys=3, values=4, pairs=3, queries=1),
    "parity-one_step": tasks.Parity(length=1),
    "modular_counting-short": tasks.ModularCounting(modulus=3, length=4),
    "adding-two": tasks.Adding(items=2),
    "adding-odd": tasks.Adding(items=5),
    "delayed_match-distractors": tasks.DelayedMatch(symbols=3, delay=2, distractors=True),
    "delayed_match-at_once": tasks.DelayedMatch(symbols=2, delay=0),
    "packed": tasks.Packed(tasks.Copy(symbols=3, items=2), episodes=3),
    "packed-numbers": tasks.Packed(tasks.Adding(items=3), episodes=2),
    "packed-packed": tasks.Packed(tasks.Packed(tasks.Parity(length=3), episodes=2), episodes=2),
}
SYMBOLS = [name for name in CASES if "adding" not in name and "numbers" not in name]
EXAMPLES = 4000


@functools.cache
def batch(name):
    """Examples of a case, with numpy arrays."""
    keys = jax.random.split(jax.random.key(0), EXAMPLES)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(CASES[name].sample))(keys))


def one(name, index):
    return jax.tree.map(lambda leaf: leaf[index], batch(name))


@functools.cache
def measured(name):
    """`(ys, example) -> (loss, score)`, compiled."""
    task = CASES[name]
    return jax.jit(lambda ys, example: (task.loss(ys, example), task.score(ys, example)))


def flat(task):
    """Nested packing is packing of all episodes."""
    inner = getattr(task, "task", None)
    if not isinstance(inner, tasks.Packed):
        return task
    return tasks.Packed(inner.task, inner.episodes * task.episodes)


def test_every_registered_task_has_a_rule():
    assert set(map(type, map(tasks.make, tasks.names()))) == set(RULES)


@pytest.mark.parametrize("name", CASES)
def test_the_targets_are_what_the_rule_says_of_the_inputs_alone(name):
    for index in range(40):
        example = one(name, index)
        right = answers(flat(CASES[name]), example.xs, example.start)
        assert sorted(right) == np.flatnonzero(example.mask).tolist()
        wanted = np.zeros(example.targets.shape, example.targets.dtype)
        for step, answer in right.items():
            wanted[step] = answer
        np.testing.assert_allclose(example.targets, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_an_example_has_the_sizes_and_dtypes_that_the_task_says(name):
    task, example = CASES[name], one(name, 0)
    assert example.xs.shape == (task.length, task.in_size)
    assert example.mask.shape == (task.length,)
    assert (example.xs.dtype, example.mask.dtype) == (jnp.float32, bool)
    if name in SYMBOLS:
        assert (example.targets.shape, example.targets.dtype) == ((task.length,), jnp.int32)
        assert 0 <= batch(name).targets.min() <= batch(name).targets.max() < task.out_size
    else:
        assert example.targets.shape == (task.length, task.out_size)


@pytest.mark.parametrize("name", SYMBOLS)
def test_chance_is_what_the_best_memoryless_guess_scores(name):
    """For each input that occurs, the answer that is the most frequent after it."""
    examples = batch(name)
    seen = examples.xs[examples.mask]
    _, kinds = np.unique(seen, axis=0, return_inverse=True)
    counts = np.zeros((kinds.max() + 1, CASES[name].out_size))
    np.add.at(counts, (kinds.ravel(), examples.targets[examples.mask]), 1)
    best = counts.max(axis=1).sum() / counts.sum()
    # The most frequent of what was drawn is a little more frequent than what is the likeliest.
    np.testing.assert_allclose(best, CASES[name].chance, atol=0.025)
    if "one_step" in name:
        assert best == CASES[name].chance == 1


@pytest.mark.parametrize("name", ["adding", "adding-two", "adding-odd", "packed-numbers"])
def test_chance_is_what_the_best_number_scores(name):
    task, examples = CASES[name], batch(name)
    guesses = jnp.linspace(0, 2, 81)

    def mean_score(guess):
        ys = jnp.full((task.length, 1), guess)
        return jnp.mean(jax.vmap(lambda example: task.score(ys, example))(examples))

    scores = jax.lax.map(mean_score, guesses)
    np.testing.assert_allclose(scores.max(), task.chance, atol=0.012)
    np.testing.assert_allclose(guesses[scores.argmax()], 1, atol=0.1)


@pytest.mark.parametrize("name", CASES)
def test_right_answers_score_one_and_each_wrong_one_costs_its_share(name):
    task, example = CASES[name], one(name, 1)
    right = said(task, answers(flat(task), example.xs, example.start))
    assert measured(name)(right, example)[1] == pytest.approx(1, abs=1e-6)
    first = int(np.flatnonzero(example.mask)[0])
    wrong = right.copy()
    wrong[first] = -right[first] if name in SYMBOLS else 10
    share = 1 / int(example.mask.sum())
    assert measured(name)(wrong, example)[1] == pytest.approx(1 - share, abs=1e-6)


def said(task, right):
    """Outputs that say these answers, and nonsense at other steps."""
    ys = np.full((task.length, task.out_size), 7.0, np.float32)
    for step, answer in right.items():
        ys[step] = answer if isinstance(answer, np.floating) else np.eye(task.out_size)[answer]
    return ys


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_the_mean_over_the_asked_steps(name):
    task, example = CASES[name], one(name, 2)
    ys = np.random.default_rng(0).normal(size=(task.length, task.out_size))
    steps = np.flatnonzero(example.mask)
    if name in SYMBOLS:
        normal = np.exp(ys) / np.exp(ys).sum(axis=1, keepdims=True)
        wanted = np.mean([-np.log(normal[step, example.targets[step]]) for step in steps])
    else:
        wanted = np.mean([(ys[step, 0] - example.targets[step, 0]) ** 2 for step in steps])
    loss, _ = measured(name)(ys.astype(np.float32), example)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["copy-delay", "adding-two"])
def test_what_is_said_unasked_touches_neither_loss_nor_gradient(name, bad):
    task, example = CASES[name], one(name, 0)
    clean = jnp.asarray(np.random.default_rng(0).normal(size=(task.length, task.out_size)))
    clean = clean.astype(jnp.float32)
    spoilt = jnp.where(example.mask[:, None], clean, bad)
    loss = jax.value_and_grad(lambda ys: task.loss(ys, example))
    (value, gradient), (wanted, _) = loss(spoilt), loss(clean)
    assert value == wanted
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[~example.mask], 0)
    assert (gradient[example.mask] != 0).any()
    assert task.score(spoilt, example) == task.score(clean, example)


def test_a_half_precision_answer_has_its_loss_in_single_precision():
    task, example = CASES["copy"], one("copy", 0)
    ys = jnp.ones((task.length, task.out_size), jnp.bfloat16)
    loss = task.loss(ys, example)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, np.log(8), rtol=1e-6)


def test_distinct_numbers_come_in_every_choice_and_order_equally_often():
    keys = jax.random.split(jax.random.key(0), 6000)
    pairs = np.asarray(jax.vmap(lambda key: distinct(key, 2, 3))(keys))
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(counts) == 6
    # 1000 each with a standard deviation of 29.
    assert np.abs(counts - 1000).max() < 120


def test_symbols_of_a_selective_copy_stand_everywhere_equally_often():
    task = CASES["selective_copy"]
    filled = batch("selective_copy").xs[:, : task.context].sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(filled, task.items / task.context, atol=0.035)


def test_each_half_of_the_numbers_is_marked_uniformly():
    marks = batch("adding-odd").xs[:, :, 1].mean(axis=0)
    np.testing.assert_allclose(marks, [1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.035)


def test_packed_episodes_differ():
    xs = batch("packed").xs.reshape(EXAMPLES, 3, 4, 4)
    same = (xs[:, 0] == xs[:, 1]).all(axis=(1, 2)).mean()
    # Two strings of two of three symbols are the same in one case of nine.
    np.testing.assert_allclose(same, 1 / 9, atol=0.02)


def test_a_task_is_a_static_argument():
    draw = jax.jit(lambda task, key: task.sample(key).xs, static_argnums=0)
    assert draw(tasks.Copy(items=2), jax.random.key(0)).shape == (4, 9)
    assert tasks.Copy(items=2) == tasks.Copy(items=2) != tasks.Copy(items=3)
    assert jax.tree.leaves(tasks.Packed(tasks.make("adding"), 2)) == []


def test_make_gives_the_defaults_and_names_the_nearest():
    assert tasks.make("copy") == tasks.Copy()
    with pytest.raises(ValueError, match="unknown task 'partiy'; nearest: parity"):
        tasks.make("partiy")


WRONG = {
    "copy-symbols": (lambda: tasks.Copy(symbols=1), "Copy: symbols must be at least 2, got 1"),
    "copy-items": (lambda: tasks.Copy(items=0), "Copy: items must be at least 1"),
    "copy-delay": (lambda: tasks.Copy(delay=-1), "Copy: delay must be at least 0"),
    "selective_copy": (
        lambda: tasks.SelectiveCopy(items=5, context=4),
        "context with items=5 must be at least 5, got 4",
    ),
    "recall-pairs": (
        lambda: tasks.AssociativeRecall(keys=3, pairs=4),
        "keys with pairs=4 must be at least 4, got 3",
    ),
    "recall-values": (lambda: tasks.AssociativeRecall(values=1), "values must be at least 2"),
    "parity": (lambda: tasks.Parity(length=0), "Parity: length must be at least 1"),
    "counting": (lambda: tasks.ModularCounting(modulus=1), "modulus must be at least 2"),
    "adding": (lambda: tasks.Adding(items=1), "Adding: items must be at least 2"),
    "match": (lambda: tasks.DelayedMatch(symbols=1), "DelayedMatch: symbols must be at least 2"),
    "packed": (lambda: tasks.Packed(tasks.Copy(), 0), "Packed: episodes must be at least 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_impossible_size_is_refused(case):
    build, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        build()


def test_another_type_is_refused(without_hook):
    with pytest.raises(TypeError, match=r"Copy: items must be an int of at least 1, got 2\.0"):
        tasks.Copy(items=2.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be an int of at least 1, got True"):
        tasks.Parity(length=True)
    with pytest.raises(TypeError, match="Packed takes a task, got str"):
        tasks.Packed("copy", 2)  # type: ignore[arg-type]
