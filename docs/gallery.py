"""Writes `gallery.md`: every monoid with its element, identity, traits, hazard and the models that use it.

    python -m docs.gallery > docs/gallery.md

The text comes from the docstrings and the facts from the monoids themselves; a test compares the
page with what this program prints.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import memoalg as ma
from memoalg._tree import leaf_text, map_with_path
from memoalg.algebra._describe import Node, tree_of
from memoalg.scans._explain import TRAITS

# title -> (what to look up the docstring of, an instance, models that use it)
SECTIONS: dict[str, dict[str, tuple[Any, ma.AbstractMonoid, str]]] = {
    "Sums, extremes and counts": {
        "Add": (ma.Add, ma.Add(2), "running sums; fast weights without a decay"),
        "Multiply": (ma.Multiply, ma.Multiply(2), "discounts; parity by signs"),
        "Max": (ma.Max, ma.Max(2), "max-pooling over time"),
        "Min": (ma.Min, ma.Min(2), "min-pooling over time"),
        "LogSumExp": (ma.LogSumExp, ma.LogSumExp(2), "soft pooling; normalisers of attention"),
        "ArgMax": (ma.ArgMax, ma.ArgMax(2), "the best so far, and when it was"),
        "Any": (ma.Any, ma.Any(2), "has it happened yet?"),
        "All": (ma.All, ma.All(2), "has it always held?"),
        "Count": (ma.Count, ma.Count(2), "clocks; counters of events"),
        "Moments": (ma.Moments, ma.Moments(2), "normalisers of observations and rewards"),
    },
    "Holding inputs": {
        "First": (ma.First, ma.First(2), "RepeatFirst: remember the first cue"),
        "Last": (ma.Last, ma.Last(2), "flip-flops; last valid observation"),
        "Recent": (ma.Recent, ma.Recent(2, 3), "frame stacks; convolutions over time"),
        "Unit": (ma.Unit, ma.Unit(), "the memory that remembers nothing"),
    },
    "Linear recurrences": {
        "Affine": (
            ma.Affine,
            ma.Affine(2),
            "LRU, S5, minGRU, minLSTM, HGRN, QRNN, SRU; returns, GAE",
        ),
        "LogAffine": (ma.LogAffine, ma.LogAffine(2), "minGRU and minLSTM in log space"),
        "MatMul": (ma.MatMul, ma.MatMul(2), "products of transitions; state tracking"),
        "MatrixAffine": (
            ma.MatrixAffine,
            ma.MatrixAffine(2),
            "dense linear recurrences; Newton (DEER)",
        ),
        "Max-plus affine": (
            ma.SemidirectProduct,
            ma.SemidirectProduct(ma.Add(2), ma.Max(2), ma.shift),
            "decayed maxima",
        ),
        "ClippedAffine": (
            ma.ClippedAffine,
            ma.ClippedAffine(2),
            "IndRNN: relu inside, and parallel",
        ),
        "Kalman": (ma.Kalman, ma.Kalman(2), "Kalman filters; Gaussian beliefs"),
    },
    "Memories of keys and values": {
        "GatedOuter": (
            ma.GatedOuter,
            ma.GatedOuter(2, 3),
            "linear attention, RetNet, GLA, Mamba-2",
        ),
        "DeltaRule": (ma.DeltaRule, ma.DeltaRule(2, 3), "DeltaNet, Gated DeltaNet, TTT-linear"),
        "GeneralisedDelta": (ma.GeneralisedDelta, ma.GeneralisedDelta(2, 3), "RWKV-7"),
        "StabilisedOuter": (ma.StabilisedOuter, ma.StabilisedOuter(2, 3), "mLSTM (xLSTM)"),
    },
    "Groups, automata and paths": {
        "Permutation": (ma.Permutation, ma.Permutation(5), "automata; exact group tracking"),
        "Rotation": (ma.Rotation, ma.Rotation(3), "RotRNN; phases and poses"),
        "Sphere": (ma.Sphere, ma.Sphere(), "a point moved about on a sphere"),
        "Markov": (ma.Markov, ma.Markov(2), "soft automata"),
        "HiddenMarkov": (ma.HiddenMarkov, ma.HiddenMarkov(2), "beliefs over hidden states"),
        "MaxPlus": (ma.MaxPlus, ma.MaxPlus(2), "Viterbi; longest paths"),
        "LogMatMul": (ma.LogMatMul, ma.LogMatMul(2), "hidden Markov models; CRFs"),
    },
    "Combinators": {
        "Resettable": (ma.Resettable, ma.Resettable(ma.Affine(2)), "every memory, across episodes"),
        "DirectProduct": (ma.DirectProduct, ma.Add(2) * ma.Max(2), "several memories at once"),
        "SemidirectProduct": (
            ma.SemidirectProduct,
            ma.SemidirectProduct(ma.Multiply(2), ma.Add((2, 3)) * ma.Add(2)),
            "gated linear attention with its normaliser: one decay, two sums",
        ),
        "Map": (
            ma.Map,
            ma.Map(ma.Add(2), ma.Isomorphism(jax.numpy.exp, jax.numpy.log)),
            "other coordinates",
        ),
        "Dual": (ma.Dual, ma.Dual(ma.MatMul(2)), "columns instead of rows; reversed scans"),
        "Power": (ma.Power, ma.Power(ma.GatedOuter(2, 2), 2), "heads"),
        "WithIdentity": (ma.WithIdentity, ma.WithIdentity(ma.Max(2)), "skipping padding"),
        "Window": (ma.Window, ma.Window(ma.Affine(2), 3), "sliding windows; n-step returns"),
        "Tangent": (ma.Tangent, ma.Tangent(ma.Affine(2)), "real-time recurrent learning"),
        "Regular": (ma.Regular, ma.Regular(ma.Affine(2)), "prefix products as states"),
    },
}


def page() -> str:
    """The whole page."""
    lines = [
        "# Gallery of monoids",
        "",
        "Every monoid and combinator, with sizes of two or three: what an element is, what is",
        "carried, what is neutral, which [traits](api/algebra.md#traits-and-text) hold, and who uses",
        "it. All of it is checked by the law kit. The page is printed by `python -m docs.gallery`.",
        "",
    ]
    for title, entries in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name, (documented, monoid, models) in entries.items():
            lines += [f"### {name}", "", *_entry(documented, monoid, models), ""]
    return "\n".join(lines)


def _entry(documented: Any, monoid: ma.AbstractMonoid, models: str) -> Iterator[str]:
    text = inspect.getdoc(documented) or ""
    yield f"{_first_paragraph(text)} → [`{documented.__name__}`][memoalg.{documented.__name__}]"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| instance | `{_written(tree_of(monoid))}` |"
    yield f"| combine | {_formula(text) or 'see above'} |"
    yield f"| element | {_leaves(monoid.element)} |"
    yield f"| state | {_leaves(jax.eval_shape(monoid.initial_state))} |"
    yield f"| identity | {_values(monoid.identity())} |"
    yield f"| traits | {_traits(monoid)} |"
    yield f"| used by | {models} |"
    hazard = re.search(r"Hazard: (.*?)(?:\n\n|\Z)", text, re.DOTALL)
    if hazard:
        yield f"| hazard | {_one_line(hazard.group(1))} |"


def _written(node: Node) -> str:
    """As one would write it: operands first, then the other settings."""
    name, settings = node.label[:-1].split("(", 1)
    parts = [_written(operand) for operand in node.operands]
    return f"{name}({', '.join(parts + ([settings] if settings else []))})"


def _formula(text: str) -> str:
    """The first displayed formula of a docstring, or the first one in a line."""
    displayed = re.search(r"\$\$(.*?)\$\$", text, re.DOTALL)
    inline = re.search(r"\$([^$]*\\bullet[^$]*)\$", text)
    found = (
        displayed if displayed and (not inline or displayed.start() < inline.start()) else inline
    )
    return f"${_one_line(found.group(1)).rstrip('.,')}$" if found else ""


def _first_paragraph(text: str) -> str:
    return _one_line(text.split("\n\n")[0])


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip()).replace("|", r"\|")


def _leaves(tree: Any) -> str:
    leaves = jax.tree.leaves(map_with_path(lambda path, leaf: f"`{path}` {leaf_text(leaf)}", tree))
    return ", ".join(leaves).replace("`itself` ", "") or "nothing"


def _values(tree: Any) -> str:
    texts = [
        np.array2string(np.asarray(leaf), separator=", ", formatter={"float_kind": _number})
        for leaf in jax.tree.leaves(tree)
    ]
    return ", ".join(f"`{_one_line(text)}`" for text in texts) or "nothing"


def _number(value: float) -> str:
    return f"{value:g}"


def _traits(monoid: ma.AbstractMonoid) -> str:
    named = {trait.__name__: trait(monoid) for trait in TRAITS}  # pyright: ignore
    words = [
        name.split("_", 1)[1] for name, value in named.items() if name.startswith("is_") and value
    ]
    words += ["has a zero"] if named["has_zero"] else []
    group = named["tracks"].name.lower()
    return ", ".join([*words, f"tracks {group}" + (" groups" if group != "nothing" else "")])


if __name__ == "__main__":
    print(page(), end="")
