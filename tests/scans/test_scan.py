"""Prefixes, suffixes, folds; batches; planner and explanation; bad input."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.registry import METHODS, at_step, sample

AFFINE = ma.Affine(2)
ELEMENTS = sample(AFFINE, jax.random.key(3), 6)


def at(t):
    return jax.tree.map(lambda leaf: leaf[t], ELEMENTS)


def product(first, last):
    """x_first • … • x_last, one `combine` after the other."""
    total = at(first)
    for t in range(first + 1, last + 1):
        total = AFFINE.combine(total, at(t))
    return total


def assert_rows(stacked, rows):
    for got, *want in zip(
        jax.tree.leaves(stacked), *(jax.tree.leaves(row) for row in rows), strict=True
    ):
        np.testing.assert_allclose(got, np.stack(want), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_scans_and_folds_are_products_in_the_order_of_time(method):
    how = METHODS[method]
    assert_rows(ma.scan(AFFINE, ELEMENTS, method=how), [product(0, t) for t in range(6)])
    assert_rows(
        ma.scan(AFFINE, ELEMENTS, reverse=True, method=how), [product(t, 5) for t in range(6)]
    )
    assert_rows(
        ma.exclusive_scan(AFFINE, ELEMENTS, method=how),
        [AFFINE.identity(), *(product(0, t) for t in range(5))],
    )
    assert_rows(
        ma.exclusive_scan(AFFINE, ELEMENTS, reverse=True, method=how),
        [*(product(t, 5) for t in range(1, 6)), AFFINE.identity()],
    )
    folded = jax.tree.map(lambda leaf: leaf[None], ma.fold(AFFINE, ELEMENTS, method=how))
    assert_rows(folded, [product(0, 5)])


def test_a_reverse_scan_is_not_the_discounted_return():
    """The commonest mistake: suffix products keep the order of time, a return runs backwards."""
    rewards, decay = jnp.array([1.0, 2.0, 3.0]), jnp.full(3, 0.5)
    returns = jnp.array([1 + 0.5 * (2 + 0.5 * 3), 2 + 0.5 * 3, 3.0])
    m = ma.Affine()
    elements = (decay, rewards)
    by_trajectory = ma.trajectory(m, jnp.zeros(()), elements, None, reverse=True)[1]
    np.testing.assert_allclose(by_trajectory, returns)
    np.testing.assert_allclose(ma.scan(ma.Dual(m), elements, reverse=True)[1], returns)
    assert not np.allclose(ma.scan(m, elements, reverse=True)[1], returns)


class Lefts(ma.AbstractSemigroup[jax.Array]):
    """Keeps the earlier operand, divides by the later: any junk operand would show."""

    @property
    def element(self):
        return jax.ShapeDtypeStruct((), jnp.dtype("float32"))

    def combine(self, left, right):
        return left + 0 / right


@pytest.mark.parametrize("method", METHODS)
def test_a_semigroup_scans_without_an_identity(method):
    elements = jnp.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(ma.scan(Lefts(), elements, method=METHODS[method]), [3, 3, 3])
    np.testing.assert_array_equal(ma.fold(Lefts(), elements, method=METHODS[method]), 3)
    gradient = jax.grad(lambda x: ma.scan(Lefts(), x, method=METHODS[method]).sum())(elements)
    np.testing.assert_array_equal(gradient, [3, 0, 0])
    with pytest.raises(TypeError, match="WithIdentity"):
        ma.fold(Lefts(), elements[:0], method=METHODS[method])
    with pytest.raises(TypeError, match=r"exclusive_scan needs an identity.*WithIdentity"):
        ma.exclusive_scan(Lefts(), elements, method=METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_sequence(method):
    empty = jax.tree.map(lambda leaf: leaf[:0], ELEMENTS)
    assert ma.scan(AFFINE, empty, method=METHODS[method])[1].shape == (0, 2)
    assert ma.exclusive_scan(AFFINE, empty, method=METHODS[method])[1].shape == (0, 2)
    np.testing.assert_array_equal(ma.fold(AFFINE, empty, method=METHODS[method])[0], [1, 1])


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_vmap_on_any_axis(method):
    """vmap over axis 0 and axis 1 equal a Python loop over the batch, gradients of shared parts too."""
    inputs = jax.random.normal(jax.random.key(0), (3, 6, 2))
    start = jnp.zeros((3, 6), bool).at[1, 2].set(True)

    def states(decay, inputs, start):
        steps = (ma.Fixed(decay), inputs)
        return ma.trajectory(AFFINE, jnp.zeros(2), steps, start, method=METHODS[method])[1]

    def loss(run, decay):
        return jnp.sum(jnp.sin(run(decay)))

    decay = jnp.array([0.9, -0.5])
    front = lambda d: jax.vmap(states, (None, 0, 0))(d, inputs, start)
    back = lambda d: jnp.swapaxes(
        jax.vmap(states, (None, 1, 1), 1)(d, jnp.swapaxes(inputs, 0, 1), start.T), 0, 1
    )
    one_by_one = lambda d: jnp.stack([states(d, inputs[i], start[i]) for i in range(3)])
    for run in (front, back):
        np.testing.assert_allclose(run(decay), one_by_one(decay), rtol=1e-6)
        got, want = (jax.grad(functools.partial(loss, r))(decay) for r in (run, one_by_one))
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_two_calls_with_the_carry_are_one():
    steps = (jnp.full((6, 2), 0.5), jnp.arange(12.0).reshape(6, 2))
    start = jnp.array([False, False, True, False, False, False])
    whole = ma.trajectory(AFFINE, jnp.ones(2), steps, start)
    head, tail = at_step((steps, start), slice(4)), at_step((steps, start), slice(4, 6))
    carry, first = ma.trajectory(AFFINE, jnp.ones(2), *head)
    last, second = ma.trajectory(AFFINE, carry, *tail)
    np.testing.assert_array_equal(whole[0], last)
    np.testing.assert_array_equal(whole[1], jnp.concatenate([first, second]))


def test_a_start_at_the_first_step_takes_the_initial_state_and_later_ones_never_the_carry():
    add, start = ma.Add(), jnp.array([True, False, True])
    for method in METHODS.values():
        _, states = ma.trajectory(
            add, jnp.float32(100), jnp.ones(3), start, initial_state=jnp.float32(10), method=method
        )
        np.testing.assert_array_equal(states, [11, 12, 11])
        _, states = ma.trajectory(
            add, jnp.float32(100), jnp.ones(3), start, reverse=True, method=method
        )
        np.testing.assert_array_equal(states, [2, 1, 101])


def test_auto_traces_one_program_for_all_platforms(monkeypatch):
    """The choice is made when lowering: the jaxpr asks for the platform, the CPU program has a loop."""
    run = lambda x: ma.scan(ma.Add(), x, method=ma.Auto())
    x = jnp.ones(100)
    assert "platform_index" not in str(jax.make_jaxpr(run)(x))  # nothing to choose without a GPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run = lambda x: ma.scan(ma.Add(), x, method=ma.Auto())
    assert "platform_index" in str(jax.make_jaxpr(run)(x))
    text = jax.jit(run).lower(x).compile().as_text() or ""
    assert "while" in text
    assert "conditional" not in text


@pytest.mark.parametrize(
    ("platform", "length", "method"),
    [("cpu", 8192, "Sequential"), ("cuda", 8192, "Kernel"), ("tpu", 8192, "Associative")],
)
def test_the_plan_and_its_reason(platform, length, method):
    chosen = ma.plan(AFFINE, length=length, platform=platform)
    assert type(chosen.method).__name__ == method
    assert len(chosen.reason) > 20


def test_explain_says_what_was_understood(capsys):
    explanation = ma.explain(ma.Resettable(ma.Affine(2)) * ma.Max(3), length=256)
    printed = capsys.readouterr().out
    assert printed.strip() == str(explanation)
    for words in (
        "DirectProduct()\n  Resettable()\n    SemidirectProduct(action=MultiplyAction)",
        "[0][0][1]: float32[2]",
        "[0][1]: bool[]",
        "state (20 bytes)",
        "simplifies by fold_reset to\n  DirectProduct()\n    SemidirectProduct(action=StrictAction",
        "is_commutative: False",
        "tracks: abelian",
        "cuda, 256 steps: Associative(): ",
    ):
        assert words in printed


STEPS = jnp.ones((4, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: run(start=jnp.zeros(4)), TypeError, r"must be bool.*write start\.astype\(bool\)"),
        (lambda: run(start=[True] * 4), TypeError, "got list"),
        (
            lambda: run(start=jnp.zeros(3, bool)),
            ValueError,
            "start has 3 steps but the sequence has 4",
        ),
        (lambda: run(start=jnp.zeros((4, 2), bool)), ValueError, r"one axis.*jax\.vmap"),
        (
            lambda: run(state=jnp.zeros(3)),
            ValueError,
            r"state must be .*float32\[2\], got float32\[3\]",
        ),
        (lambda: run(initial_state=jnp.zeros((2,), bool)), ValueError, "initial_state must be"),
        (lambda: run(jnp.ones((4, 3, 2))), ValueError, r"keep the state's type.*jax\.vmap"),
        (
            lambda: run((STEPS, STEPS[:2])),
            ValueError,
            r"time axes differ: {'\[0\]': 4, '\[1\]': 2}",
        ),
        (lambda: run(jnp.float32(1)), ValueError, r"no time axis.*ma\.Fixed"),
        (lambda: run(ma.Fixed(STEPS)), ValueError, "every part is Fixed"),
        (lambda: run(method=ma.Sequential), TypeError, "add parentheses"),
        (lambda: run(method="assoc"), TypeError, r"such as ma\.Sequential\(\)"),
        (lambda: run(queries=jnp.ones(3)), ValueError, "queries must have 4 steps"),
        (lambda: ma.scan(ma.Add(3), STEPS), ValueError, r"leaf itself: expected float32\[3\]"),
        (lambda: ma.scan(ma.Add, STEPS), TypeError, "expected a monoid"),
        (lambda: ma.explain(STEPS), TypeError, r"give layer\.monoid"),  # pyright: ignore
        (lambda: ma.Sequential(unroll=0), ValueError, "positive int"),
    ],
)
def test_bad_input_says_what_to_write(call, error, message, without_hook):
    with pytest.raises(error, match=message):
        call()


def run(
    steps: Any = STEPS,
    *,
    state: Any = None,
    start: Any = None,
    initial_state: Any = None,
    queries: Any = None,
    method: Any = ma.Sequential(),
) -> Any:
    state = jnp.zeros(2) if state is None else state
    return ma.trajectory(
        ma.Add(2), state, steps, start, initial_state=initial_state, queries=queries, method=method
    )
