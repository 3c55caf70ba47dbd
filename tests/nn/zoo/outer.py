"""Sums of outer products, as in their papers."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

import memoalg as ma
from memoalg.nn.models._fast_weights import FastWeights
from memoalg.nn.models._gla import GLA
from memoalg.nn.models._hgrn2 import HGRN2
from memoalg.nn.models._mamba2 import Mamba2
from memoalg.nn.models._mlstm import MLSTM
from memoalg.nn.models._retnet import RetNet
from memoalg.nn.models._rwkv6 import RWKV6

from .case import Case, replaced

H, DK, DV = 2, 4, 5  # heads, and the numbers of a key and a value in each


def _empty():
    return jnp.zeros((H, DK, DV))


def _heads(x):
    return x.reshape(H, -1)


def _outer(k, v):
    return jnp.einsum("hk,hv->hkv", k, v)


def _asked(s, q):
    return jnp.einsum("hkv,hk->hv", s, q)


def _normal(x):
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def _elu1(x):
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.minimum(x, 0)))


def _silu(x):
    return x / (1 + jnp.exp(-x))


def _sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


# ---- the papers ------------------------------------------------------------------------------------


def linear_attention_step(p, state, x):
    """S += φ(k) vᵀ; z += φ(k); y = W_o (Sᵀ φ(q)) / (z · φ(q)) + b_o."""
    s, z = state
    q = _heads(_elu1(p.queries.weight @ x + p.queries.bias))
    pair = p.keys_values.weight @ x + p.keys_values.bias
    k, v = _heads(_elu1(pair[: H * DK])), _heads(pair[H * DK :])
    s, z = s + _outer(k, v), z + k
    y = _asked(s, q) / jnp.einsum("hk,hk->h", z, q)[:, None]
    return (s, z), p.output.weight @ y.ravel() + p.output.bias


def fast_weights_step(features):
    def step(p, s, x):
        """S += φ(k) vᵀ; y = W_o Sᵀ φ(q); φ sums to one."""
        q = jnp.stack([features(part) for part in _heads(p.queries.weight @ x)])
        pair = p.keys_values.weight @ x
        k = jnp.stack([features(part) for part in _heads(pair[: H * DK])])
        k, q = (f / (f.sum(-1, keepdims=True) + 1e-5) for f in (k, q))
        s = s + _outer(k, _heads(pair[H * DK :]))
        return s, p.output.weight @ _asked(s, q).ravel()

    return step


def _dpfp(nu):
    def features(x):
        r = jnp.maximum(jnp.concatenate([x, -x]), 0)
        n = len(r)
        return jnp.stack([r[i] * r[(i + j) % n] for j in range(1, nu + 1) for i in range(n)])

    return features


def retnet_step(p, state, x):
    """S = γ S + R k vᵀ / √d; y = W_o (swish(W_g x) ⊙ GN(Sᵀ R q)); γ = 1 - 2^(-5-h)."""
    p, (n, s) = p.layers[1], state
    n = n + 1
    angle = n * 10_000.0 ** (-2 * jnp.arange(DK // 2) / DK)

    def turned(rows):
        z = (rows[:, ::2] + 1j * rows[:, 1::2]) * jnp.exp(1j * angle)
        return jnp.stack([z.real, z.imag], -1).reshape(rows.shape)

    pair = p.keys_values.weight @ x
    q, k = turned(_heads(p.queries.weight @ x)), turned(_heads(pair[: H * DK])) / DK**0.5
    gamma = 1 - 2.0 ** (-5 - jnp.arange(H))
    s = gamma[:, None, None] * s + _outer(k, _heads(pair[H * DK :]))
    gate = _silu(p.gate.weight @ x)
    return (n, s), p.output.weight @ (gate * _normal(_asked(s, q)).ravel())


def gla_step(p, s, x):
    """S = diag(α) S + k vᵀ; α = σ(W₂ W₁ x + b)^(1/τ); y = W_o (swish(W_r x + b_r) ⊙ LN(Sᵀ q))."""
    pair = p.keys_values.weight @ x
    low = p.decay_down.weight @ x
    alpha = _sigmoid(p.decay_up.weight @ low + p.decay_up.bias) ** (1 / 16)
    s = _heads(alpha)[:, :, None] * s + _outer(_heads(pair[: H * DK]), _heads(pair[H * DK :]))
    read = _normal(_asked(s, _heads(p.queries.weight @ x))).ravel()
    return s, p.output.weight @ (_silu(p.gate.weight @ x + p.gate.bias) * read)


def mamba2_step(p, state, x):
    """S = exp(-Δ exp(A_log)) S + B (Δ u)ᵀ; y = W_o RMSNorm((Sᵀ C + D u) ⊙ silu(z)), after a convolution."""
    (rows, conv, _), direct = p.layers[0].layers[0].layers, p.layers[0].layers[1]
    p, (past, s), n, k = p.layers[1], state, DK, 3
    now = rows.function.weight @ x
    window = jnp.concatenate([past, now[None]])
    mixed = _silu(sum(conv.weight[j] * window[j] for j in range(k)) + conv.bias)
    u, b, c = _heads(mixed[: H * DV]), mixed[H * DV : H * DV + n], mixed[H * DV + n :]
    z, step = jnp.split(direct.function.weight @ x, [H * DV])
    step = jnp.log1p(jnp.exp(step + p.step_bias))
    decay = jnp.exp(-step * jnp.exp(p.A_log))
    s = jnp.stack([decay[h] * s[h] + jnp.outer(b, step[h] * u[h]) for h in range(H)])
    y = jnp.stack([s[h].T @ c + p.D[h] * u[h] for h in range(H)]).ravel() * _silu(z)
    y = p.norm.scale * y / jnp.sqrt((y**2).mean() + 1e-6)
    return (window[1:], s), p.output.weight @ y


def hgrn2_step(p, s, x):
    """S = diag(f) S + (1 - f) iᵀ; y = W_y LN(Sᵀ o) + b_y; f = γ + (1 - γ) σ(W_f x + b_f)."""
    pair = p.inputs.weight @ x + p.inputs.bias
    gamma = _sigmoid(p.bound)
    f = gamma + (1 - gamma) * _sigmoid(pair[: H * DK])
    o = _sigmoid(p.queries.weight @ x + p.queries.bias)
    s = _heads(f)[:, :, None] * s + _outer(_heads(1 - f), _heads(_silu(pair[H * DK :])))
    y = _normal(_asked(s, _heads(o)).ravel()) * p.norm.scale + p.norm.shift
    return s, p.output.weight @ y + p.output.bias


def mlstm_step(p, state, x):
    """C = f C + i k vᵀ; n = f n + i k; h = Cᵀ q / max(|n · q|, 1), without any stabilisation."""
    up, fork, p = p.layers
    conv, (past, s, n) = fork.layers[0].layers[1], state
    u, z = jnp.split(up.function.weight @ x, 2)
    window = jnp.concatenate([past, u[None]])
    c = _silu(sum(conv.weight[j] * window[j] for j in range(3)) + conv.bias)
    q = jnp.stack([p.queries[h] @ _heads(c)[h] for h in range(H)])
    k = jnp.stack([p.keys[h] @ _heads(c)[h] for h in range(H)]) / DK**0.5
    v = jnp.stack([p.values[h] @ _heads(u)[h] for h in range(H)])
    forget, write = jnp.split(p.gates.weight @ u + p.gates.bias, 2)
    f, i = _sigmoid(forget), jnp.exp(write)
    s = f[:, None, None] * s + i[:, None, None] * _outer(k, v)
    n = f[:, None] * n + i[:, None] * k
    h = _asked(s, q) / jnp.maximum(jnp.abs((n * q).sum(-1)), 1)[:, None]
    y = (_normal(h).ravel() * p.scale + p.skip * c) * _silu(z)
    return (window[1:], s, n), p.output.weight @ y


def rwkv6_step(p, state, x):
    """y from S + diag(u) k vᵀ, and only then S = diag(w) S + k vᵀ."""
    mix, p, (before, s) = p.layers[1].function, p.layers[3], state
    low = jnp.tanh(mix.mix_down @ (x + (before - x) * mix.mu)).reshape(5, -1)
    shifted = [
        x + (before - x) * (mix.mixes[i] + mix.mix_up[i] @ low[i]) for i in range(5)
    ]  # fmt: skip
    r, k, v, g = (m.weight @ shifted[i] for m, i in zip(mix.maps, (0, 1, 2, 4), strict=True))
    d = mix.decay + mix.decay_up @ jnp.tanh(mix.decay_down.weight @ shifted[3])
    w, r, k, v = (_heads(one) for one in (jnp.exp(-jnp.exp(d)), r, k, v))
    y = _normal(_asked(s + p.bonus[:, :, None] * _outer(k, v), r)).ravel() * p.scale + p.shift
    s = w[:, :, None] * s + _outer(k, v)
    return (x, s), p.output.weight @ (y * _silu(g))


# ---- faults ----------------------------------------------------------------------------------------


class _LastKey(ma.AbstractMonoid):
    """What public code has: the normaliser is the last key."""

    inner: ma.nn.NormalisedOuterSum

    def identity(self):
        return self.inner.identity()

    def combine(self, left, right):
        return left[0] + right[0], right[1]

    def expand(self, generator):
        return self.inner.expand(generator)

    def read(self, state, query):
        return self.inner.read(state, query)


def _remade(layer, monoid=None, encode=None, query=None):
    """A memoroid, or the last one of a series, with another part."""
    core: Any = layer.layers[-1] if isinstance(layer, ma.nn.Serial) else layer
    wrong = ma.nn.Memoroid(
        core.monoid if monoid is None else monoid,
        core.encode if encode is None else (lambda x: encode(core, x)),
        core.readout,
        query=core.query if query is None else (lambda x: query(core, x)),
    )
    return wrong if core is layer else replaced(layer, layers=(*layer.layers[:-1], wrong))


def _core(layer, **fields):
    return replaced(layer, layers=(*layer.layers[:-1], replaced(layer.layers[-1], **fields)))


def _last_key(layer):
    return _remade(layer, ma.Power(_LastKey(layer.monoid.monoid), H))


def _exchanged(layer):
    """Queries for keys and keys for queries."""
    core: Any = layer.layers[-1] if isinstance(layer, ma.nn.Serial) else layer
    pair, size = core.keys_values, H * DK
    moved = (
        replaced(core.queries, weight=pair.weight[:size]),
        replaced(pair, weight=pair.weight.at[:size].set(core.queries.weight)),
    )
    fields = dict(zip(("queries", "keys_values"), moved, strict=True))
    return replaced(layer, **fields) if core is layer else _core(layer, **fields)


def _other_head(layer):
    """The keys of one head, the values of another."""
    pair = layer.keys_values
    rolled = jnp.roll(pair.weight[: H * DK], DK, axis=0)
    return replaced(layer, keys_values=replaced(pair, weight=pair.weight.at[: H * DK].set(rolled)))


def _negated(linear, rows=slice(None)):
    bias = linear.bias.at[rows].multiply(-1)
    return replaced(linear, weight=linear.weight.at[rows].multiply(-1), bias=bias)


def _not_normalised(layer):
    def encode(core, x):
        k, v, a = core.encode(x)
        return k * 3, v, a

    return _remade(layer, encode=encode)


def _decays_at_once(layer):
    """The decay on the wrong side: what enters decays too."""

    def encode(core, x):
        k, v, a = core.encode(x)
        decay = a.value[:, None] if isinstance(a, ma.Fixed) else a
        return (k * decay if decay.ndim == 2 else k * decay[:, None]), v, a

    return _remade(layer, encode=encode)


def _query_not_turned(layer):
    return _remade(layer, query=lambda core, x: core.query((jnp.zeros_like(x[0]), x[1])))


def _not_scaled_by_the_step(layer):
    def encode(core, x):
        k, _, a = core.encode(x)
        return k, x[0][: H * DV].reshape(H, DV), a

    return _remade(layer, encode=encode)


def _not_scaled_by_the_gate(layer):
    def encode(core, x):
        k, v, a = core.encode(x)
        return jnp.ones_like(k), v, a

    return _remade(layer, encode=encode)


def _exponential_forget(layer):
    def encode(core, x):
        k, v, _, write = core.encode(x)
        return k, v, jnp.split(core.gates(x[1][: H * DV]), 2)[0], write

    return _remade(layer, encode=encode)


def _mirrored(layer, where):
    """The convolution in the wrong order of time."""
    return eqx.tree_at(lambda l: where(l).weight, layer, where(layer).weight[::-1])


def _read_after_the_step(layer):
    first, second, _, core = layer.layers
    both = ma.nn.Pointwise(lambda mixed: (mixed[1], mixed))
    return replaced(layer, layers=(first, second, both, core))


def _shifted_the_other_way(layer):
    return eqx.tree_at(
        lambda l: l.layers[1].function.mixes, layer, 1 - layer.layers[1].function.mixes
    )


def _conv_of_mamba2(layer):
    return layer.layers[0].layers[0].layers[1]


def _conv_of_mlstm(layer):
    return layer.layers[1].layers[0].layers[1]


# ---- the cases -------------------------------------------------------------------------------------

CASES: dict[str, Case] = {
    "linear_attention": Case(
        lambda key: ma.nn.LinearAttention(3, 2, H * DK, value_size=H * DV, heads=H, key=key),
        lambda p: (_empty(), jnp.zeros((H, DK))),
        linear_attention_step,
        {
            "normaliser of the last key": _last_key,
            "queries and keys exchanged": _exchanged,
            "keys of another head": _other_head,
        },
    ),
    "fast_weights": Case(
        lambda key: FastWeights(3, 2, H * DK, H * DV, heads=H, key=key),
        lambda p: jnp.zeros((H, 2 * DK, DV)),
        fast_weights_step(_dpfp(1)),
        {"keys not normalised": _not_normalised, "queries and keys exchanged": _exchanged},
    ),
    "fast_weights-nu": Case(
        lambda key: FastWeights(3, 2, H * DK, H * DV, heads=H, nu=2, key=key),
        lambda p: jnp.zeros((H, 4 * DK, DV)),
        fast_weights_step(_dpfp(2)),
    ),
    "fast_weights-elu": Case(
        lambda key: FastWeights(3, 2, H * DK, H * DV, heads=H, nu=None, key=key),
        lambda p: _empty(),
        fast_weights_step(_elu1),
        {"keys of another head": _other_head},
    ),
    "retnet": Case(
        lambda key: RetNet(3, 2, H * DK, H * DV, heads=H, key=key),
        lambda p: (jnp.zeros(()), _empty()),
        retnet_step,
        {
            "queries not turned": _query_not_turned,
            "decay on the wrong side": _decays_at_once,
            "queries and keys exchanged": _exchanged,
        },
    ),
    "gla": Case(
        lambda key: GLA(3, 2, H * DK, H * DV, heads=H, rank=7, key=key),
        lambda p: _empty(),
        gla_step,
        {
            "no root of the decay": lambda layer: replaced(layer, temperature=1.0),
            "complement of the decay": lambda layer: replaced(
                layer, decay_up=_negated(layer.decay_up)
            ),
            "queries and keys exchanged": _exchanged,
        },
    ),
    "mamba2": Case(
        lambda key: Mamba2(3, 2, DK, channels=H * DV, heads=H, k=3, key=key),
        lambda p: (jnp.zeros((2, H * DV + 2 * DK)), _empty()),
        mamba2_step,
        {
            "input not scaled by the step": _not_scaled_by_the_step,
            "no skip": lambda layer: _core(layer, D=jnp.zeros(H)),
            "convolution mirrored": lambda layer: _mirrored(layer, _conv_of_mamba2),
        },
    ),
    "hgrn2": Case(
        lambda key: HGRN2(3, 2, H * DK, H * DV, heads=H, lower_bound=0.6, key=key),
        lambda p: _empty(),
        hgrn2_step,
        {
            "input not scaled by the gate": _not_scaled_by_the_gate,
            "complement of the gate": lambda layer: replaced(
                layer, inputs=_negated(layer.inputs, slice(0, H * DK))
            ),
            "no lower bound": lambda layer: replaced(layer, bound=jnp.full(H * DK, -30.0)),
        },
    ),
    "mlstm": Case(
        lambda key: MLSTM(3, 2, H * DK, H * DV, heads=H, k=3, key=key),
        lambda p: (jnp.zeros((2, H * DV)), _empty(), jnp.zeros((H, DK))),
        mlstm_step,
        {
            "forget gate not below one": _exponential_forget,
            "keys not scaled": lambda layer: _core(layer, keys=layer.layers[-1].keys * DK**0.5),
            "convolution mirrored": lambda layer: _mirrored(layer, _conv_of_mlstm),
        },
    ),
    "rwkv6": Case(
        lambda key: RWKV6(3, 2, H * DK, H * DV, heads=H, rank=7, key=key),
        lambda p: (jnp.zeros(3), _empty()),
        rwkv6_step,
        {
            "read after the step": _read_after_the_step,
            "no bonus": lambda layer: _core(layer, bonus=jnp.zeros((H, DK))),
            "shifted the other way": _shifted_the_other_way,
        },
    ),
}
