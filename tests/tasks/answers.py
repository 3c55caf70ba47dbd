"""The right answers of every task from its inputs alone, in plain Python: `{step: answer}`."""

import itertools

import numpy as np

from memoalg import tasks


def recalled(task, xs):
    """The symbols in the order in which they were shown, one for each step with the flag."""
    shown = [int(np.argmax(x)) for x in xs if x[: task.symbols].any()]
    asked = [step for step, x in enumerate(xs) if x[task.symbols] == 1]
    assert len(asked) == len(shown) == task.items
    return dict(zip(asked, shown, strict=True))


def associated(task, xs):
    """A dictionary that is written pair by pair, then asked."""
    written, answers, waiting = {}, {}, None
    for step, x in enumerate(xs):
        key = [k for k in range(task.keys) if x[k] == 1]
        value = [v for v in range(task.values) if x[task.keys + v] == 1]
        if x[-1] == 1:
            answers[step] = written[key[0]]
            assert value == []
        elif task.together:
            assert key[0] not in written
            written[key[0]] = value[0]
        elif waiting is None:
            assert value == []
            waiting = key[0]
        else:
            assert key == []
            assert waiting not in written
            written[waiting], waiting = value[0], None
    assert len(written) == task.pairs
    return answers


def counted(modulus, xs):
    """The number of ones so far at every step."""
    ones, answers = 0, {}
    for step, x in enumerate(xs):
        ones += int(x[1])
        assert x[0] + x[1] == 1
        answers[step] = ones % modulus
    return answers


def added(task, xs):
    """The marked numbers' sum where the third channel is 1: one mark in each half."""
    half = task.items // 2
    marks = xs[:, 1]
    assert marks[:half].sum() == marks[half : task.items].sum() == 1
    assert sorted(set(marks.tolist())) == [0, 1]
    return {int(np.argmax(xs[:, 2])): sum(x[0] for x in xs if x[1] == 1)}


def matched(task, xs):
    """Whether the symbols of the two flagged steps are the same."""
    sample = next(x for x in xs if x[task.symbols] == 1)
    last = next(step for step, x in enumerate(xs) if x[task.symbols + 1] == 1)
    same = sample[: task.symbols].argmax() == xs[last][: task.symbols].argmax()
    between = xs[1:last, : task.symbols].sum(axis=1)
    assert (between == (1 if task.distractors else 0)).all()
    return {last: int(same)}


RULES = {
    tasks.Copy: recalled,
    tasks.SelectiveCopy: recalled,
    tasks.AssociativeRecall: associated,
    tasks.Parity: lambda task, xs: counted(2, xs),
    tasks.ModularCounting: lambda task, xs: counted(task.modulus, xs),
    tasks.Adding: added,
    tasks.DelayedMatch: matched,
}


def answers(task, xs, start):
    """Step by step; of a packed task episode by episode."""
    if not isinstance(task, tasks.Packed):
        return RULES[type(task)](task, xs)
    begins = [*np.flatnonzero(start), len(xs)]
    assert begins == list(range(0, task.length + 1, task.task.length))
    found = {}
    for first, end in itertools.pairwise(begins):
        inner = answers(task.task, xs[first:end], None)
        found.update({first + step: answer for step, answer in inner.items()})
    return found
