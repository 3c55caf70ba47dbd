"""Counting kernels and bytes: the parser on texts, and on what the compiler writes where it is there."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import memoalg as ma
from memoalg.cli import _gpu_target
from memoalg.cli._gpu_counts import Counts, count, trace
from memoalg.cli._gpu_program import parse_program
from memoalg.cli._gpu_target import (
    NoCompilerError,
    how_to_install,
    installed_compiler,
    sharding_on,
)

needs_compiler = pytest.mark.skipif(
    installed_compiler() is None, reason=f"needs the compiler: {how_to_install()}"
)
# 1024 numbers of 4 bytes, one step of 16 of them, one row of 64.
WHOLE, STEP, ROW = 4096, 64, 256

# As jax 0.10.2 prints it: metadata, comments inside tuples, a backend_config with braces.
PRINTED = """
HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[16,64]{1,0})->f32[16,64]{1,0}}

FileNames
1 "f.py"

%fused_add (param_0: f32[16,64]) -> f32[16,64] {
  %param_0 = f32[16,64]{1,0} parameter(0), metadata={scheduling_name="param_0"}
  %constant_1_1 = f32[] constant(1)
  %add.3.1 = f32[16,64]{1,0} broadcast(%constant_1_1), dimensions={}, metadata={op_name="jit(f)/add"}
  ROOT %add.4.1 = f32[16,64]{1,0} add(%param_0, %add.3.1), metadata={op_name="jit(f)/add (x = 1)"}
}

ENTRY %main.1 (x.1: f32[16,64]) -> f32[16,64] {
  %x.1 = f32[16,64]{1,0} parameter(0), sharding={replicated}
  ROOT %loop_add_fusion = f32[16,64]{1,0} fusion(%x.1), kind=kLoop, calls=%fused_add, backend_config={"operation_queue_id":"0","reification_cost":[]}
}
"""  # noqa: E501

LOOP = """
%fused_slice (p: f32[16,64], i: s32[], h: f32[64]) -> f32[64] {
  %p = f32[16,64]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %z = s32[] constant(0)
  %s = f32[1,64]{1,0} dynamic-slice(%p, %i, %z), dynamic_slice_sizes={1,64}
  %b = f32[64]{0} bitcast(%s)
  %h = f32[64]{0} parameter(2)
  ROOT %a = f32[64]{0} add(%b, %h)
}

%fused_update (buffer: f32[16,64], h: f32[64], i: s32[]) -> f32[16,64] {
  %buffer = f32[16,64]{1,0} parameter(0)
  %h = f32[64]{0} parameter(1)
  %b = f32[1,64]{1,0} bitcast(%h)
  %i = s32[] parameter(2)
  %z = s32[] constant(0)
  ROOT %u = f32[16,64]{1,0} dynamic-update-slice(%buffer, %b, %i, %z)
}

%fused_next (i: s32[]) -> s32[] {
  %i = s32[] parameter(0)
  %one = s32[] constant(1)
  ROOT %n = s32[] add(%i, %one)
}

%body (t: (s32[], f32[64], f32[16,64], /*index=3*/f32[16,64])) -> (s32[], f32[64], f32[16,64], /*index=3*/f32[16,64]) {
  %t = (s32[], f32[64]{0}, f32[16,64]{1,0}, /*index=3*/f32[16,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %h = f32[64]{0} get-tuple-element(%t), index=1
  %ys = f32[16,64]{1,0} get-tuple-element(%t), index=2
  %xs = f32[16,64]{1,0} get-tuple-element(%t), index=3
  %new = f32[64]{0} fusion(%xs, %i, %h), kind=kLoop, calls=%fused_slice
  %stored = f32[16,64]{1,0} fusion(%ys, %new, %i), kind=kLoop, calls=%fused_update
  %next = s32[] fusion(%i), kind=kLoop, calls=%fused_next, control-predecessors={%stored}
  ROOT %r = (s32[], f32[64]{0}, f32[16,64]{1,0}, /*index=3*/f32[16,64]{1,0}) tuple(%next, %new, %stored, /*index=3*/%xs)
}

%condition (t: (s32[], f32[64], f32[16,64], /*index=3*/f32[16,64])) -> pred[] {
  %t = (s32[], f32[64]{0}, f32[16,64]{1,0}, /*index=3*/f32[16,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %n = s32[] constant(16)
  ROOT %c = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (xs: f32[16,64], h: f32[64]) -> f32[16,64] {
  %xs = f32[16,64]{1,0} parameter(0)
  %h = f32[64]{0} parameter(1)
  %zero = s32[] constant(0)
  %ys = f32[16,64]{1,0} custom-call(), custom_call_target="AllocateBuffer"
  %t = (s32[], f32[64]{0}, f32[16,64]{1,0}, /*index=3*/f32[16,64]{1,0}) tuple(%zero, %h, %ys, /*index=3*/%xs)
  %w = (s32[], f32[64]{0}, f32[16,64]{1,0}, /*index=3*/f32[16,64]{1,0}) while(%t), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"16"},"known_init_step":{"init":"0"}}
  ROOT %out = f32[16,64]{1,0} get-tuple-element(%w), index=2
}
"""  # noqa: E501


def counted(text: str) -> Counts:
    return trace(parse_program(text))


def fused(body: str, operands: str, results: str, helpers: str = "") -> Counts:
    """Counts of one fusion: the lines of its computation, and types of operands and results."""
    kinds = operands.split("; ")
    entry = "\n".join(f"  %x{i} = {kind} parameter({i})" for i, kind in enumerate(kinds))
    names = ", ".join(f"%x{i}" for i in range(len(kinds)))
    return counted(
        f"{helpers}\n%inside (p: f32[]) -> f32[] {{\n{body}\n}}\n\nENTRY %main (p: f32[]) -> f32[] {{\n"
        f"{entry}\n  ROOT %f = {results} fusion({names}), kind=kLoop, calls=%inside\n}}\n"
    )


def moved(counts: Counts) -> tuple[int, int, int]:
    return counts.bytes_read, counts.bytes_read_high, counts.bytes_written


# Texts


def test_one_fusion_as_printed():
    assert counted(PRINTED) == Counts(
        launches=1, bytes_read=WHOLE, bytes_read_high=WHOLE, bytes_written=WHOLE
    )


def test_a_loop_runs_as_often_as_the_compiler_says():
    counts = counted(LOOP)
    # In a step: a slice and the state, read and written; the update; the counter, three times read.
    read = 2 * ROW + 4 + (ROW + 4) + 4
    assert counts.launches == 16 * 3
    assert moved(counts) == (16 * read, 16 * read, 16 * (ROW + ROW + 4))
    assert counts.unknown_loops == 0


def test_a_loop_of_unknown_length_is_counted_once_with_its_condition():
    counts = counted(LOOP.replace("known_trip_count", "something_else"))
    assert (counts.launches, counts.unknown_loops) == (4, 1)


def test_loops_in_loops():
    outer = """
%outer (t: f32[16,64]) -> f32[16,64] {
  %xs = f32[16,64]{1,0} parameter(0)
  %h = f32[64]{0} constant({...})
  %zero = s32[] constant(0)
  %t = (s32[], f32[64]{0}, f32[16,64]{1,0}, f32[16,64]{1,0}) tuple(%zero, %h, %xs, %xs)
  %w = (s32[], f32[64]{0}, f32[16,64]{1,0}, f32[16,64]{1,0}) while(%t), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"16"}}
  ROOT %out = f32[16,64]{1,0} get-tuple-element(%w), index=2
}

ENTRY %all (xs: f32[16,64]) -> f32[16,64] {
  %xs = f32[16,64]{1,0} parameter(0)
  ROOT %w = f32[16,64]{1,0} while(%xs), condition=%condition, body=%outer, backend_config={"known_trip_count":{"n":"5"}}
}
"""  # noqa: E501
    text = LOOP.replace("ENTRY ", "") + outer
    assert counted(text).launches == 5 * 16 * 3
    # One loop of unknown length inside, not five.
    assert counted(text.replace('"n":"16"', '"m":"16"')).unknown_loops == 1


ROOTS = {
    "update": ("  ROOT %u = f32[16,64]{1,0} dynamic-update-slice(%p, %b, %i, %i)", ""),
    "cast buffer": (
        "  %c = f32[16,64]{1,0} bitcast(%p)\n"
        "  ROOT %u = f32[16,64]{1,0} dynamic-update-slice(%c, %b, %i, %i)",
        "",
    ),
    "cast": (
        "  %u = f32[16,64]{1,0} dynamic-update-slice(%p, %b, %i, %i)\n"
        "  ROOT %r = f32[1024]{0} bitcast(%u)",
        "",
    ),
    "tuple": (
        "  %u = f32[16,64]{1,0} dynamic-update-slice(%p, %b, %i, %i)\n"
        "  ROOT %r = (f32[16,64]{1,0}, f32[64]{0}) tuple(%u, %h)",
        "tuple",
    ),
}


@pytest.mark.parametrize("root", ROOTS)
def test_an_update_in_place_moves_the_update_alone(root):
    lines, kind = ROOTS[root]
    body = f"""  %p = f32[16,64]{{1,0}} parameter(0)
  %h = f32[64]{{0}} parameter(1)
  %b = f32[1,64]{{1,0}} bitcast(%h)
  %i = s32[] parameter(2)
{lines}"""
    counts = fused(body, "f32[16,64]{1,0}; f32[64]{0}; s32[]", "f32[16,64]{1,0}")
    assert moved(counts) == (ROW + 4, ROW + 4, ROW + (ROW if kind else 0))


def test_an_update_of_something_computed_writes_it_all():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  %n = f32[16,64]{1,0} negate(%p)
  %h = f32[1,64]{1,0} parameter(1)
  %i = s32[] parameter(2)
  ROOT %u = f32[16,64]{1,0} dynamic-update-slice(%n, %h, %i, %i)"""
    counts = fused(body, "f32[16,64]{1,0}; f32[1,64]{1,0}; s32[]", "f32[16,64]{1,0}")
    assert moved(counts) == (WHOLE - ROW + ROW + 4, WHOLE + ROW + 4, WHOLE)


def test_a_scatter_reads_and_writes_its_updates():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  %i = s32[2,1]{1,0} parameter(1)
  %u = f32[2,64]{1,0} parameter(2)
  ROOT %s = f32[16,64]{1,0} scatter(%p, %i, %u), to_apply=%add"""
    counts = fused(body, "f32[16,64]{1,0}; s32[2,1]{1,0}; f32[2,64]{1,0}", "f32[16,64]{1,0}")
    assert moved(counts) == (4 * ROW + 8, 4 * ROW + 8, 2 * ROW)


def test_slices_are_read_once_each_and_operands_once_at_most():
    def half(name, operand, low, high):
        return f"  %{name} = f32[8,64]{{1,0}} slice(%{operand}), slice={{[{low}:{high}], [0:64]}}\n"

    def both(operand):
        halves = half("a", operand, 0, 8) + half("b", operand, 8, 16)
        return f"{halves}  ROOT %r = f32[8,64]{{1,0}} add(%a, %b)"

    start = "  %p = f32[16,64]{1,0} parameter(0)\n"
    kinds = "f32[16,64]{1,0}", "f32[8,64]{1,0}"
    assert moved(fused(start + both("p"), *kinds)) == (WHOLE, WHOLE, WHOLE // 2)
    one = start + half("a", "p", 0, 8) + "  ROOT %r = f32[8,64]{1,0} negate(%a)"
    assert moved(fused(one, *kinds)) == (WHOLE // 2, WHOLE // 2, WHOLE // 2)
    twice = start + half("a", "p", 0, 8) + "  ROOT %r = f32[8,64]{1,0} multiply(%a, %a)"
    assert moved(fused(twice, *kinds)) == (WHOLE // 2, WHOLE // 2, WHOLE // 2)
    # What is computed before it is sliced: half is needed, but all may be read.
    computed = start + "  %n = f32[16,64]{1,0} negate(%p)\n" + half("a", "n", 0, 8)
    computed += "  ROOT %r = f32[8,64]{1,0} negate(%a)"
    assert moved(fused(computed, *kinds)) == (WHOLE // 2, WHOLE, WHOLE // 2)
    # Used twice as a whole: once.
    twice = start + "  ROOT %r = f32[16,64]{1,0} multiply(%p, %p)"
    assert moved(fused(twice, kinds[0], kinds[0])) == (WHOLE, WHOLE, WHOLE)


def test_a_broadcast_reads_its_operand_once():
    body = """  %p = f32[64]{0} parameter(0)
  ROOT %b = f32[16,64]{1,0} broadcast(%p), dimensions={1}"""
    assert moved(fused(body, "f32[64]{0}", "f32[16,64]{1,0}")) == (ROW, ROW, WHOLE)


def test_a_reduction_reads_what_it_adds_up():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  %z = f32[] constant(0)
  %r = f32[16]{0} reduce(%p, %z), dimensions={1}, to_apply=%add
  ROOT %s = f32[4]{0} slice(%r), slice={[0:4]}"""
    assert moved(fused(body, "f32[16,64]{1,0}", "f32[4]{0}")) == (WHOLE // 4, WHOLE, 16)


def test_the_root_need_not_be_the_last():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  ROOT %r = f32[16,64]{1,0} negate(%p)
  %c = f32[] constant(1)"""
    assert moved(fused(body, "f32[16,64]{1,0}", "f32[16,64]{1,0}")) == (WHOLE, WHOLE, WHOLE)


def test_what_is_not_needed_is_not_read():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  %q = f32[64]{0} parameter(1)
  ROOT %r = f32[64]{0} negate(%q)"""
    assert moved(fused(body, "f32[16,64]{1,0}; f32[64]{0}", "f32[64]{0}")) == (ROW, ROW, ROW)


def test_a_fusion_in_a_fusion():
    inner = """%inner (p: f32[16,64]) -> f32[1,64] {
  %q = f32[16,64]{1,0} parameter(0)
  ROOT %s = f32[1,64]{1,0} slice(%q), slice={[0:1], [0:64]}
}
"""
    body = """  %p = f32[16,64]{1,0} parameter(0)
  %f = f32[1,64]{1,0} fusion(%p), kind=kLoop, calls=%inner
  ROOT %r = f32[1,64]{1,0} negate(%f)"""
    counts = fused(body, "f32[16,64]{1,0}", "f32[1,64]{1,0}", inner)
    assert (counts.launches, counts.bytes_read, counts.bytes_written) == (1, ROW, ROW)


def test_a_fusion_that_is_begun_and_ended_is_one():
    # As jax 0.12 prints it.
    begun = """  %stored-start = ((f32[16,64]{1,0}, f32[64]{0}, s32[]), f32[16,64]{1,0}, u32[]) fusion-start(%ys, %new, %i), kind=kLoop, calls=%fused_update
  %stored = f32[16,64]{1,0} fusion-done(%stored-start)
"""  # noqa: E501
    lines = LOOP.splitlines(keepends=True)
    lines = [begun if line.startswith("  %stored = ") else line for line in lines]
    assert counted("".join(lines)) == counted(LOOP)


def program(lines: str) -> Counts:
    return counted(f"ENTRY %main (x: f32[16,64]) -> f32[] {{\n{lines}\n}}\n")


X = "  %x = f32[16,64]{1,0} parameter(0)\n"


@pytest.mark.parametrize(
    ("line", "copies", "transposes"),
    [
        ("ROOT %y = f32[16,64]{1,0} copy(%x)", 1, 0),
        ("ROOT %y = f32[16,64]{0,1} copy(%x)", 1, 1),
        ("ROOT %y = f32[64,16]{1,0} transpose(%x), dimensions={1,0}", 1, 1),
        ("ROOT %y = f32[16,64]{1,0} negate(%x)", 0, 0),
        (
            "%s = (f32[16,64]{1,0}, f32[16,64]{1,0}, u32[]) copy-start(%x)\n"
            "  ROOT %y = f32[16,64]{1,0} copy-done(%s)",
            *(1, 0),
        ),
    ],
    ids=["copy", "layout", "transpose", "negate", "begun"],
)
def test_copies_and_transposes(line, copies, transposes):
    counts = program(f"{X}  {line}")
    assert (counts.copies, counts.transposes) == (copies, transposes)
    assert (counts.launches, *moved(counts)) == (1, WHOLE, WHOLE, WHOLE)


def test_a_fused_transpose_is_one():
    body = """  %p = f32[16,64]{1,0} parameter(0)
  ROOT %t = f32[64,16]{1,0} transpose(%p), dimensions={1,0}"""
    counts = fused(body, "f32[16,64]{1,0}", "f32[64,16]{1,0}")
    assert (counts.copies, counts.transposes) == (1, 1)
    computed = body.replace("ROOT %t", "%t") + "\n  ROOT %n = f32[64,16]{1,0} negate(%t)"
    assert fused(computed, "f32[16,64]{1,0}", "f32[64,16]{1,0}").transposes == 0


def test_a_custom_call_reads_operands_and_writes_results_but_no_scratch():
    call = "custom-call(%x, %x), custom_call_target="
    kernel = program(f'{X}  ROOT %y = (f32[16,64]{{1,0}}, s8[99]{{0}}) {call}"triton"')
    assert moved(kernel) == (WHOLE, WHOLE, WHOLE + 99)
    library = program(f'{X}  ROOT %y = (f32[16,64]{{1,0}}, s8[99]{{0}}) {call}"__cublas$gemm"')
    assert moved(library) == (WHOLE, WHOLE, WHOLE)


def test_calls_are_followed_and_the_larger_branch_is_counted():
    helpers = """%one (p: f32[16,64]) -> f32[16,64] {
  %p = f32[16,64]{1,0} parameter(0)
  ROOT %n = f32[16,64]{1,0} negate(%p)
}

%two (p: f32[16,64]) -> f32[16,64] {
  %p = f32[16,64]{1,0} parameter(0)
  %n = f32[16,64]{1,0} negate(%p)
  ROOT %m = f32[16,64]{1,0} negate(%n)
}

"""

    def launches(line):
        start = f"ENTRY %main (x: f32[16,64]) -> f32[] {{\n{X}  %i = s32[] parameter(1)\n"
        return counted(f"{helpers}{start}  ROOT %y = f32[16,64]{{1,0}} {line}\n}}\n").launches

    assert launches("call(%x), to_apply=%two") == 2
    assert launches("conditional(%i, %x, %x), branch_computations={%one, %two}") == 2
    assert launches("conditional(%i, %x, %x), true_computation=%two, false_computation=%one") == 2
    assert launches("async-start(%x), calls=%two") == 2
    assert launches("call-start(%x), to_apply=%two") == 2


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("pred[3]", 3),
        ("bf16[3]", 6),
        ("c64[3]", 24),
        ("s4[3]", 2),
        ("f8e4m3fn[3]", 3),
        ("u32[]", 4),
    ],
    ids=str,
)
def test_sizes_of_types(kind, size):
    counts = program(f"  %x = {kind} parameter(0)\n  ROOT %y = {kind} negate(%x)")
    assert moved(counts) == (size, size, size)


def test_what_is_no_program():
    with pytest.raises(ValueError, match="no compiled program: it has no ENTRY"):
        parse_program("hello")
    with pytest.raises(ValueError, match="unknown type 'mystery'"):
        program("  %x = mystery[3] parameter(0)\n  ROOT %y = mystery[3] negate(%x)")


def test_ratios():
    counts = Counts(bytes_read=6, bytes_read_high=10, bytes_written=2, argument_bytes=3)
    assert (counts.ratio(4), counts.ratio_high(4)) == (2.0, 3.0)
    assert counts.ratio() == 8 / 3


# Targets


def test_an_unknown_target():
    with pytest.raises(ValueError, match="unknown target 'b9'; there are a100, h100"):
        sharding_on("b9")


def test_without_the_compiler(monkeypatch):
    monkeypatch.setattr(_gpu_target, "installed_compiler", lambda: None)
    _gpu_target._device.cache_clear()
    with pytest.raises(
        NoCompilerError, match="compiling for a GPU needs its compiler: pip install"
    ):
        count(jnp.sin, jax.ShapeDtypeStruct((3,), jnp.float32))


@pytest.mark.parametrize(("version", "cuda"), [((0, 10, 2), 12), ((0, 11, 0), 13), ((0, 12), 13)])
def test_the_plugin_is_that_of_the_installed_jax(version, cuda, monkeypatch):
    monkeypatch.setattr(jax, "__version__", "1.2.3")
    monkeypatch.setattr(jax, "__version_info__", version)
    expected = f"pip install absl-py jax-cuda{cuda}-plugin==1.2.3 jax-cuda{cuda}-pjrt==1.2.3"
    assert how_to_install() == expected


# The compiler


def shapes(*sizes: tuple[int, ...]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes]


@needs_compiler
@pytest.mark.parametrize("target", ["a100", "h100"])
def test_adding_one_is_one_launch(target):
    counts = count(lambda x: x + 1, *shapes((64, 32)), target=target)
    assert (counts.launches, counts.ratio(), counts.ratio_high()) == (1, 1.0, 1.0)
    assert (counts.argument_bytes, counts.result_bytes) == (8192, 8192)
    assert (counts.temp_bytes, counts.copies) == (0, 0)
    assert counts.compile_seconds > 0


@needs_compiler
def test_a_matrix_product_and_a_transpose():
    product = count(jnp.matmul, *shapes((64, 64), (64, 64)))
    assert 1 <= product.launches <= 2
    assert product.ratio() == pytest.approx(1, rel=0.5)
    assert count(jnp.transpose, *shapes((64, 32))).transposes == 1


@needs_compiler
def test_a_scan_launches_by_the_step():
    def run(xs):
        def step(state, x):
            state = 0.5 * state + x
            return state, state

        return jax.lax.scan(step, jnp.zeros(xs.shape[1:]), xs)[1]

    short, long = (count(run, *shapes((length, 256))) for length in (8, 24))
    each, rest = divmod(long.launches - short.launches, 16)
    assert rest == 0
    assert 1 <= each <= 5
    assert 1 < long.ratio() < 4
    assert long.unknown_loops == 0


@needs_compiler
def test_a_loop_until_something_happens_is_unknown():
    def run(x):
        return jax.lax.while_loop(lambda x: jnp.sum(x) < 9, lambda x: 2 * x, x)

    assert count(run, *shapes((64,))).unknown_loops == 1


@needs_compiler
def test_modules_methods_and_constants():
    layer = ma.nn.LRU(3, 2, 4, key=jax.random.key(0))
    carry = layer.init_carry()
    start = jax.ShapeDtypeStruct((8,), jnp.bool_)

    def run(layer, carry, xs, start, factor):
        return factor * layer(carry, xs, start, method=ma.Sequential())[1]

    counts = count(run, layer, carry, *shapes((8, 3)), start, 2)
    assert counts.launches >= 8
    assert counts.result_bytes == 64


LATE = """
import json, jax, jax.numpy as jnp
print(jnp.ones(3).sum())
before = jax.config.jax_platforms
from memoalg.cli._gpu_counts import count
launches = count(lambda x: x + 1, jax.ShapeDtypeStruct((8,), jnp.float32)).launches
print(json.dumps([launches, before == jax.config.jax_platforms, float(jnp.ones(3).sum())]))
"""


@needs_compiler
def test_jax_was_in_use_before_and_was_told_of_no_platform():
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", LATE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [1, True, 3.0]
