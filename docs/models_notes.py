"""What the pages of the models say that no program can: advice, by hand."""

HEAD = """# How to choose a memory

Every model here is a layer, and all but the recurrent cells and the controls are a monoid with an encoder in
front of it and a readout behind it, which runs as a parallel scan. All run step by step too, keep episodes
apart, and are called the same way:

```python
import jax
import memoalg as ma

sizes = dict(in_size=8, out_size=4, key=jax.random.key(0))
model = ma.nn.make("min_gru", width=64, depth=2, **sizes)  # by name
equal = ma.nn.make("gla", parameters=50_000, **sizes)  # as large as another
hybrid = ma.nn.make(["rg_lru", "rg_lru", "attention"], depth=3, **sizes)
layer = ma.nn.LRU(8, 4, state_size=32, key=jax.random.key(0))  # the bare layer
```

`python examples/train_model.py --model min_gru --task copy` trains any of them on any task of
[`memoalg.tasks`](../api/tasks.md).

## In short

| you want | take | because |
|---|---|---|
| a baseline for reinforcement learning | `gru`, and `mlp` as the control | everybody has them; `mlp` says what memory is worth at all |
| to know how far back one must look | `oracle_window`, `frame_stack` | a window of the right length is a yardstick for a task with a fixed delay |
| long sequences, quickly | `min_gru`, `rg_lru`, `lru`, `s5` | the state is a vector, a step costs as much as a dense map, the scan is parallel |
| to choose *what* to keep | `s6`, `rg_lru`, `min_gru`, `gla`, `mamba2` | decays depend on the input: what is unimportant is passed over |
| to look things up by a key | `deltanet`, `gated_deltanet`, `linear_attention` | the state is a matrix from keys to values; the delta rule overwrites what is stored under a key |
| exact recall of the last k steps | `attention`, `frame_stack` | nothing is compressed, and nothing older is kept |
| to follow an automaton or a group | `automaton`, `rotation_rnn`, `delta_product`, a cell | diagonal recurrences follow no group that does not commute (column "tracks") |
| a belief over hidden states | `hmm`, `kalman` | exact Bayes updates, if the world is such |
| the largest, or latest, of something | `decayed_max`, `log_sum_exp` | a maximum does not fade by averaging |
| exact online gradients | `rtu` | its sensitivities cost as much as its parameters |

**Precision.** Decays and states of long memories are kept in float32 where a model is in bfloat16: 0.9999 is 1 in
bfloat16.

**Where a NaN comes in.** No model lets a NaN or an infinity pass a start, neither in values nor in gradients of
later inputs. Within its own episode it stays, as it must.

**Tracks** says which finite groups *one* layer follows exactly, for ever, with its own encoder: nothing, only
commutative ones (parity), solvable ones, or any. Two layers may follow more. A recurrent cell may follow any, but
must learn to.

**Depth** is the number of dependent steps in a row when as much as possible runs in parallel: the
logarithm of the length for a memoroid, the length for a recurrent cell (`method=ma.Newton()` runs cells in parallel
too, in a few rounds where they are tame).

**To learn anything at all** every model overfits eight packed sequences of [`Copy`][memoalg.tasks.Copy] (score
0.99 or more) within a minute of one core: `python -m benchmarks.overfit`.

## Costs

Of one published block of width 128, over 1024 steps, counted in the traced program of one sequence
([`ma.nn.cost`][memoalg.nn.cost]; `memoalg models` prints the table for other sizes). "numbers" are learned
ones, "state" is in bytes; the last two columns are of the whole sequence.
How the models run beside memax's is on the [performance page](../performance.md).
"""

FAMILIES: dict[str, str] = {
    "elementwise": """The state is a vector (or a few numbers for each channel), and its entries do not meet inside the scan:
$h_t = a_t \\odot h_{t-1} + b_t$. The cheapest memories, and on most tasks of reinforcement learning the first to try.
They differ in whether the decay depends on the input (`min_gru`, `min_lstm`, `rg_lru`, `hgrn`, `qrnn`, `sru`, `s6`) or not
(`lru`, `s5`, `s4d`, `rtu`, `ffm`), in whether it is complex (and oscillates), and in what stands where the sum stands: a
maximum (`decayed_max`), a soft maximum (`log_sum_exp`), or a clipped sum (`ind_rnn`).""",
    "outer": """The state is a matrix to which products of keys and values are added, and a query reads a
mixture of values. They hold more than vectors of the same width, and run as products of matrices in chunks
([`Chunked`][memoalg.Chunked]); no stack of matrix states is ever built. They differ in how the matrix decays: not at all, at a fixed rate, at
one rate a head that depends on the input, at one rate a key.""",
    "delta": """Fast weights that are *corrected* instead of added to: what is stored under a key is replaced. With keys
of norm 1 a step multiplies by a projection (or, with strengths up to 2, a reflection), and products of these follow
groups that no diagonal recurrence can. The blocks of all but `rwkv7` are the memory alone: put a channel mixer after it
(`ma.nn.PreNorm(width, ma.nn.FeedForward(…))`), as the papers' language models do. Chunks of them are solved as triangular systems ([`Chunked`][memoalg.Chunked]).""",
    "groups": """Here the product itself is the memory: the state is moved about by elements of a group, or of a
monoid close to one. These models show what an algebra can follow for ever and exactly; few tasks of reinforcement
learning need it.""",
    "windows": """The last k inputs, as they are. Nothing is compressed, and what is older is gone. Their states need no
scan: [`Gather`][memoalg.Gather] reads them where they lie.""",
    "filters": """The state is a belief: what a probabilistic model of the world, whose parameters are learned, says about its
hidden state. The update is Bayes' rule and has no parameters of its own. Where the world is such, no memory of the
same size can know more.""",
    "cells": """Recurrent networks whose next state is a nonlinear function of the last: no monoid of a fixed size, hence
a loop, or [`Newton`][memoalg.Newton]'s method over all steps at once.""",
    "controls": """What to compare with: no memory at all, and a window of exactly the right length.""",
}

RELATED: dict[str, tuple[str, ...]] = {
    "linear_attention": ("NormalisedOuterSum",),
    "qrnn": ("GatedPooling",),
    "attention": ("SoftmaxWindow",),
}
"""Classes that a model's section describes besides its own."""

NOTES: dict[str, tuple[str, str]] = {
    "lru": (
        "A first choice for long sequences: cheap, stable, and its decays cover a ring from short to very long memory.",
        "Every input is remembered at the same rates: it cannot decide what to keep, and needs the mixing around it for that.",
    ),
    "s5": (
        "As `lru`, where a principled start matters: HiPPO eigenvalues see far at once, and a step width for each state is learned.",
        "The transition does not depend on the input. The eigenvalues' real parts are kept negative, the paper's own code does not do so.",
    ),
    "s4d": (
        "Many channels, each with its own small bank of oscillators; the simplest model of the S4 family.",
        "Channels meet only after the memory; N states for each channel make the state large.",
    ),
    "rtu": (
        "Where gradients are to be exact online: its sensitivities cost as much as its parameters; and where a pair of real numbers is wanted instead of a complex one.",
        "Its output is twice as wide as its number of units, and it has no input that passes by the memory.",
    ),
    "rtu_nonlinear": (
        "As `rtu`, with the activation inside the recurrence, which lets it forget by saturating.",
        "No monoid of a fixed size: it runs as a loop, or by Newton's method.",
    ),
    "ffm": (
        "Reinforcement learning with few samples: its decays and periods span the episode from the first update on.",
        "All traces share a few periods; the state (m times c complex numbers) is read by one large map.",
    ),
    "min_gru": (
        "The first thing to try after `gru`: the same gate, without the dependence on the state, and parallel over time.",
        "Gates see the input alone, so one layer cannot react to what it remembers; decays in (0, 1) follow no group.",
    ),
    "min_lstm": (
        "As `min_gru`, with separate gates for keeping and for writing, normalised against each other.",
        "A third more parameters than `min_gru`; its gates, too, see the input alone.",
    ),
    "rg_lru": (
        "Language-like data and long memories: a decay that depends on the input, and an input scaled so that the state keeps its size.",
        "Gates are block-diagonal, by heads; the published block carries a convolution and a gated mixer.",
    ),
    "hgrn": (
        "Stacks of several layers: the lower bound of the forget gate lets upper layers keep long memories and lower ones short.",
        "In a single layer the bound is a fixed compromise.",
    ),
    "qrnn": (
        "Short local patterns and a gated memory in one: a convolution of the inputs decides the gates.",
        "Gates see k inputs only; the pooling itself has no parameters.",
    ),
    "sru": (
        "Small, with a highway past the memory instead of a norm.",
        "The recurrence is that of the first version of the paper, without the state inside the gates: with it there is no monoid.",
    ),
    "s6": (
        "Selecting from long, noisy sequences: step widths, input and output maps depend on the input, N states for each channel.",
        "The state is N times as wide as the channels, and its gradient moves all of them.",
    ),
    "decayed_max": (
        "Peaks and events: the largest of something, slowly forgotten. A maximum is not diluted by what comes after.",
        "Only the step that holds the maximum gets a gradient; signs and counts are lost.",
    ),
    "log_sum_exp": (
        "A soft version of `decayed_max`, with gradients for all inputs; a temperature between maximum and sum.",
        "Numbers live in log space: a difference of large numbers is lost as in any log-sum-exp.",
    ),
    "linear_rnn": (
        "The reference for what a dense linear recurrence can do; small states.",
        "A parallel scan multiplies whole matrices: where the matrix can be diagonalised, take `lru`.",
    ),
    "ind_rnn": (
        "A relu inside the recurrence and still a parallel scan: maps that clip an affine function are closed under composition.",
        "Neurons do not see each other, and gains above 1 overflow in long products.",
    ),
    "linear_attention": (
        "Association by keys with the simplest matrix memory; weights of all values sum to one.",
        "It never forgets within an episode, and cannot tell when something was stored: give it positions, as the block does.",
    ),
    "fast_weights": (
        "The plainest matrix memory: a sum of outer products, read by a query. The base line for the others.",
        "Keys that are not orthogonal disturb each other, and nothing is ever removed.",
    ),
    "retnet": (
        "Matrix memories whose age is known: a fixed decay for each head, and rotations that encode distance.",
        "The decay does not depend on the input: what is unimportant fades as slowly as what is.",
    ),
    "gla": (
        "A matrix memory that forgets selectively, one rate for each key.",
        "Its chunks take more work than those with one decay a head.",
    ),
    "mamba2": (
        "A selective memory whose chunks are plain products of matrices: one decay for each head, keys shared by all heads.",
        "One decay a head is coarser than `s6` or `gla`.",
    ),
    "hgrn2": (
        "As `gla` with fewer parameters: what is forgotten under a key is what makes room for the new.",
        "Keys are tied to decays: a memory that keeps everything writes nothing.",
    ),
    "mlstm": (
        "Exponential gates: a later input may overrule all earlier ones, which a sigmoid cannot.",
        "The exponent has to be carried and subtracted; the read is bounded below by one, so that small memories read small.",
    ),
    "rwkv6": (
        "A matrix memory with token shift and a bonus for the present token, as in Finch.",
        "Many small maps: the largest block of its family, and the slowest to build. It cannot overwrite a key.",
    ),
    "deltanet": (
        "Lookup tables: what is stored under a key is replaced, and orthogonal keys are left alone.",
        "Without `reflect=True` its eigenvalues lie in [0, 1], and it follows no group; with it, parity. It cannot clear everything at once.",
    ),
    "gated_deltanet": (
        "As `deltanet`, with a decay for each head that clears the memory when it should.",
        "With one decay a head it forgets all keys alike.",
    ),
    "delta_product": (
        "State tracking: several reflections a step make rotations and permutations of what is stored.",
        "Costs n steps of the delta rule for each step of the sequence; exact tracking needs saturated strengths and no decay (`gated=False`).",
    ),
    "rwkv7": (
        "The most general of these: a decay for each key, and a direction that is read and rewritten.",
        "There is no chunked form yet: the gradient stores states, or computes them again. With its gates in (0, 1) one layer follows no group.",
    ),
    "ttt_linear": (
        "Learning at test time in its plainest form: the state is a linear model, a step is a step of gradient descent.",
        "The paper's inner norm and its mini-batches are left out: with the norm an update is no monoid.",
    ),
    "rotation_rnn": (
        "Poses, phases and groups: the state turns, and its length never changes.",
        "It forgets nothing by itself, and a wrong turn stays: errors accumulate until the episode ends.",
    ),
    "spherical": (
        "As `rotation_rnn` with four numbers a head and no matrices: a point on the sphere, moved by pairs of quaternions. It has no paper of its own.",
        'Four dimensions a head, and a state of constant length: there is no "how sure".',
    ),
    "automaton": (
        "Hidden modes, counters, grammars: exact where the letters become certain.",
        "Mixtures mix: while the letters are unsure, the distribution blurs, and gradients through many steps are small.",
    ),
    "frame_stack": (
        "The base line of old: the last few observations, side by side.",
        "Nothing older than the stack, and as many inputs as frames.",
    ),
    "attention": (
        "Exact recall within a window: what matters is looked up by content.",
        "The state holds all keys and values of the window; nothing older is seen.",
    ),
    "convolution": (
        "Short patterns; the usual companion in front of a memory with a decay.",
        "A fixed window, and the same weights for all inputs.",
    ),
    "hmm": (
        "Few discrete hidden states with noisy observations: the belief is what there is to know.",
        "The transitions do not depend on the input; evidence that all states forbid leaves a belief of zeros until the next start.",
    ),
    "kalman": (
        "Continuous hidden states that move linearly under Gaussian noise: position from noisy measurements.",
        "Its gain does not depend on what is observed, so between starts the mean is linear in it; dense solves make it slow beyond a few dimensions.",
    ),
    "gru": (
        "The usual base line of recurrent reinforcement learning; its gates see the state.",
        "A loop over time (`ma.Newton()` where a parallel machine is idle).",
    ),
    "lstm": (
        "As `gru`, with a cell that is not squashed at each step: longer memories.",
        "A third more parameters and state than `gru`.",
    ),
    "slstm": (
        "Exponential gates in a true recurrence: it may revise what it decided to store.",
        "A loop; four recurrent products a step, block-diagonal by heads.",
    ),
    "mgu": (
        "A `gru` with one gate: two thirds of the parameters.",
        "Two products in a row each step.",
    ),
    "elman": (
        "The simplest recurrent network, for comparison.",
        "Gradients fade or explode after a few dozen steps.",
    ),
    "mlp": (
        "The control: what can be had without any memory.",
        "No memory.",
    ),
    "oracle_window": (
        "A yardstick for a task whose delay is known: a network over exactly the frames that matter.",
        "It must be told how far to look, and is no upper bound where more than the window matters.",
    ),
}
"""name -> (when to use it, its honest limits)."""
