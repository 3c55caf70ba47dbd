"""Elementwise linear recurrences, as in their papers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import memoalg as ma

from .case import Case, replaced


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    """The approximation by tanh, which is what `jax.nn.gelu` gives by default."""
    return x / 2 * (1 + jnp.tanh((2 / jnp.pi) ** 0.5 * (x + 0.044715 * x**3)))


def relu(x):
    return jnp.where(x > 0, x, 0)


def linear(p, x):
    return p.weight @ x + p.bias


def complex_of(pair):
    return pair[0] + 1j * pair[1]


def conjugated(name):
    """A fault: a pair of real and imaginary parts with the imaginary one turned round."""

    def wrong(layer):
        pair = getattr(layer, name)
        signs = jnp.array([1.0, -1.0]).reshape(2, *[1] * (pair.ndim - 1))
        return replaced(layer, **{name: pair * signs})

    return wrong


def zeroed(name):
    return lambda layer: replaced(layer, **{name: jnp.zeros_like(getattr(layer, name))})


def turned_back(name):
    """A fault: angles the other way round."""
    return lambda layer: replaced(layer, **{name: -getattr(layer, name)})


def swapped(name, path=None, parts=2):
    """A fault: the first two of the equal parts of a fused linear map in each other's place."""

    def wrong(layer):
        module = getattr(layer, name)
        inner = module if path is None else getattr(module, path)

        def swap(leaf):
            first, second, *rest = jnp.split(leaf, parts)
            return jnp.concatenate([second, first, *rest])

        moved = replaced(inner, weight=swap(inner.weight), bias=swap(inner.bias))
        return replaced(
            layer, **{name: moved if path is None else replaced(module, **{path: moved})}
        )

    return wrong


def lru_step(p, h, x):
    """h = λ h + γ B x; y = Re(C h) + D x; λ = exp(-exp(ν) + i exp(θ))."""
    lam = jnp.exp(-jnp.exp(p.nu_log) + 1j * jnp.exp(p.theta_log))
    h = lam * h + jnp.exp(p.gamma_log) * (complex_of(p.B) @ x)
    return h, (complex_of(p.C) @ h).real + p.D @ x


def s5_step(p, h, x):
    """h = Λ̄ h + B̄ x with Λ̄ = exp(ΛΔ), B̄ = Λ⁻¹(Λ̄ - 1)B; y = C h + (its conjugate) + D x."""
    rate, step = -jnp.exp(p.rate_log) + 1j * p.frequency, jnp.exp(p.step_log)
    discrete = jnp.exp(rate * step)
    h = discrete * h + ((discrete - 1) / rate)[:, None] * complex_of(p.B) @ x
    y = complex_of(p.C) @ h
    return h, (y + jnp.conj(y)).real + p.D @ x


def s4d_step(p, h, x):
    """h[d, n] = Ā h + B̄ x[d], B = 1; y[d] = 2 Re Σ_n C h + D x; then gelu, (W y + b) σ(V y + c)."""
    rate, step = -jnp.exp(p.rate_log) + 1j * p.frequency, jnp.exp(p.step_log)[:, None]
    discrete = jnp.exp(rate * step)
    h = discrete * h + (discrete - 1) / rate * x[:, None]
    y = gelu(2 * jnp.sum(complex_of(p.C) * h, 1).real + p.D * x)
    value, gate = jnp.split(linear(p.output.linear, y), 2)
    return h, value * sigmoid(gate)


def rtu_parts(p, x):
    r, angle = jnp.exp(-jnp.exp(p.nu_log)), jnp.exp(p.theta_log)
    gamma = jnp.sqrt(1 - r**2)
    return r * jnp.cos(angle), r * jnp.sin(angle), gamma * (p.W[0] @ x), gamma * (p.W[1] @ x)


def rtu_step(activation):
    """h1 = g h1 - f h2 + γ W1 x; h2 = g h2 + f h1 + γ W2 x; y = a([h1, h2])."""

    def step(p, h, x):
        g, f, u1, u2 = rtu_parts(p, x)
        h = (g * h[0] - f * h[1] + u1, g * h[1] + f * h[0] + u2)
        return h, activation(jnp.concatenate(h))

    return step


def nonlinear_rtu_step(activation):
    """The same with the activation inside, and nothing outside."""

    def step(p, h, x):
        g, f, u1, u2 = rtu_parts(p, x)
        h = (activation(g * h[0] - f * h[1] + u1), activation(g * h[1] + f * h[0] + u2))
        return h, jnp.concatenate(h)

    return step


def linear_rnn_step(p, h, x):
    """h = A h + B x; y = C h + D x."""
    h = p.A @ h + p.B @ x
    return h, p.C @ h + p.D @ x


def hgrn_step(p, h, x):
    """h = λ e^{iθ} h + (1 - λ) c; λ = γ + (1 - γ) σ(μ); y = W (LN([Re h, Im h]) silu(gate)) + b."""
    mu, real, imaginary = jnp.split(linear(p.inputs, x), 3)
    gamma = sigmoid(p.bound)
    lam = gamma + (1 - gamma) * sigmoid(mu)
    h = lam * jnp.exp(1j * p.theta) * h + (1 - lam) * (silu(real) + 1j * silu(imaginary))
    both = jnp.concatenate([h.real, h.imag])
    normal = (both - both.mean()) / jnp.sqrt(both.var() + 1e-5) * p.norm.scale + p.norm.shift
    return h, linear(p.output, normal * silu(linear(p.gate, x)))


def rg_lru_step(p, h, x):
    """h = a h + sqrt(1 - a²) (i u); a = exp(-8 softplus(Λ) r); gates block-diagonal, head by head."""
    u = x if p.inputs is None else linear(p.inputs, x)
    part, r, i = p.gates.shape[2], [], []
    for head in range(p.gates.shape[0]):
        rows = p.gates[head] @ u[head * part : (head + 1) * part] + p.gate_bias[head]
        r.append(sigmoid(rows[:part]))
        i.append(sigmoid(rows[part:]))
    a = jnp.exp(-8 * jnp.log(1 + jnp.exp(p.decay_parameter)) * jnp.concatenate(r))
    h = a * h + jnp.sqrt(1 - a**2) * (jnp.concatenate(i) * u)
    return h, h if p.output is None else linear(p.output, h)


def s6_step(p, h, x):
    """h[d, n] = exp(Δ[d] A[d, n]) h[d, n] + Δ[d] B[n] u[d]; y = W_o (Σ_n C[n] h[d, n] + D u) + b_o."""
    n = p.A_log.shape[1]
    u = x if p.inputs is None else linear(p.inputs, x)
    low, b, c = jnp.split(p.select @ u, [p.select.shape[0] - 2 * n, p.select.shape[0] - n])
    step = jnp.log(1 + jnp.exp(p.step_up @ low + p.step_bias))
    h = jnp.exp(step[:, None] * -jnp.exp(p.A_log)) * h + jnp.outer(step * u, b)
    y = h @ c + p.D * u
    return h, y if p.output is None else linear(p.output, y)


def ffm_step(p, state, x):
    """The paper's clock beside S: γ to the power of the age, the oldest input's, times each input.

    S_n = Σ_j exp((n - j)(-|α| + iω)) x̃_j, with every input of the episode and its time kept.
    """
    (times, values), now = state
    value, gate = jnp.split(linear(p.inputs, x), 2)
    values = jnp.roll(values, 1, 0).at[0].set(value * sigmoid(gate))
    times = jnp.roll(times, 1).at[0].set(now)
    ages = jnp.where(times >= 0, now - times, 0)
    rate = -jnp.abs(p.alpha)[:, None] + 1j * p.omega[None, :]
    powers = jnp.exp(rate * ages[:, None, None])
    s = jnp.sum(jnp.where((times >= 0)[:, None, None], powers * values[:, :, None], 0), 0)
    z = linear(p.mix, jnp.concatenate([s.real.ravel(), s.imag.ravel()]))
    normal = (z - z.mean()) / jnp.sqrt(z.var() + 1e-5)
    gate, through = jnp.split(linear(p.gates, x), 2)
    y = normal * sigmoid(gate) + through * (1 - sigmoid(gate))
    return ((times, values), now + 1), y


def ffm_start(p):
    return (-jnp.ones(12, int), jnp.zeros((12, p.alpha.shape[0]))), jnp.zeros((), int)


def _transposed(layer):
    return replaced(layer, A=layer.A.T)


def encodes(change):
    """A fault: the generator changed, by `change(layer, generator)`."""

    def wrong(layer):
        return ma.nn.Memoroid(layer.monoid, _Encoding(layer, change), _Readout(layer))

    return wrong


class _Encoding(eqx.Module):
    layer: Any
    change: Any = eqx.field(static=True)

    def __call__(self, x):
        return self.change(self.layer, self.layer.encode(x))


class _Readout(eqx.Module):
    layer: Any

    def __call__(self, read, x):
        return self.layer.readout(read, x)


def _split_by_halves(layer):
    """Gates of the wrong halves: the entrance gate takes the recurrence gate's place."""
    part = layer.gates.shape[2]
    swap = lambda leaf: jnp.concatenate([leaf[:, part:], leaf[:, :part]], axis=1)
    return replaced(layer, gates=swap(layer.gates), gate_bias=swap(layer.gate_bias))


CASES: dict[str, Case] = {
    "lru": Case(
        lambda key: ma.nn.LRU(3, 2, 5, key=key),
        lambda p: jnp.zeros(5, complex),
        lru_step,
        {"no input scale": zeroed("gamma_log"), "readout of the conjugate": conjugated("C")},
    ),
    "s5": Case(
        lambda key: ma.nn.S5(3, 2, 5, step_range=(0.1, 0.5), key=key),
        lambda p: jnp.zeros(5, complex),
        s5_step,
        {
            "readout of the conjugate": conjugated("C"),
            "one of each pair": lambda p: replaced(p, C=p.C / 2),
            "no step width": zeroed("step_log"),
        },
    ),
    "s4d": Case(
        lambda key: ma.nn.S4D(3, 2, 4, step_range=(0.1, 0.5), key=key),
        lambda p: jnp.zeros((3, 4), complex),
        s4d_step,
        {
            "readout of the conjugate": conjugated("C"),
            "one of each pair": lambda p: replaced(p, C=p.C / 2),
            "value and gate swapped": swapped("output", "linear"),
            "no skip": zeroed("D"),
        },
    ),
    "s4d-inverse": Case(
        lambda key: ma.nn.S4D(3, 2, 4, inverse=True, step_range=(0.1, 0.5), key=key),
        lambda p: jnp.zeros((3, 4), complex),
        s4d_step,
    ),
    "rtu": Case(
        lambda key: ma.nn.RTU(3, 8, r_min=0.5, r_max=0.95, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros(4)),
        rtu_step(relu),
        {
            "second input negated": conjugated("W"),
            "angle is its logarithm": lambda p: replaced(p, theta_log=jnp.log(p.theta_log**2)),
        },
    ),
    "rtu-tanh": Case(
        lambda key: ma.nn.RTU(3, 8, activation=jnp.tanh, r_min=0.5, r_max=0.95, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros(4)),
        rtu_step(jnp.tanh),
        {
            "input not scaled": encodes(
                lambda p, g: (
                    g[0],
                    g[1] / jnp.sqrt(1 - jnp.abs(g[0].value) ** 2).astype(g[1].dtype),
                )
            ),
        },
    ),
    "rtu_nonlinear": Case(
        lambda key: ma.nn.NonlinearRTU(3, 8, r_min=0.5, r_max=0.95, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros(4)),
        nonlinear_rtu_step(relu),
        {
            "second input negated": conjugated("W"),
            "activation outside alone": lambda p: replaced(
                ma.nn.RTU(3, 8, key=jax.random.key(0)),
                nu_log=p.nu_log,
                theta_log=p.theta_log,
                W=p.W,
            ),
        },
    ),
    "rtu_nonlinear-tanh": Case(
        lambda key: ma.nn.NonlinearRTU(3, 8, activation=jnp.tanh, r_min=0.5, r_max=0.95, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros(4)),
        nonlinear_rtu_step(jnp.tanh),
    ),
    "linear_rnn": Case(
        lambda key: ma.nn.LinearRNN(3, 2, 5, key=key),
        lambda p: jnp.zeros(5),
        linear_rnn_step,
        {"state times the matrix": _transposed, "no memory": zeroed("A"), "no skip": zeroed("D")},
    ),
    "hgrn": Case(
        lambda key: ma.nn.HGRN(3, 2, 5, lower_bound=0.3, key=key),
        lambda p: jnp.zeros(5, complex),
        hgrn_step,
        {
            "turned the other way": turned_back("theta"),
            "upper bound": turned_back("bound"),
            "real and imaginary parts swapped": swapped("gate"),
            "input gate not tied": encodes(
                lambda p, g: (g[0], g[1] / (1 - jnp.abs(g[0])).astype(g[1].dtype))
            ),
        },
    ),
    "rg_lru": Case(
        lambda key: ma.nn.RGLRU(3, 2, 4, heads=2, decay_range=(0.3, 0.9), key=key),
        lambda p: jnp.zeros(4),
        rg_lru_step,
        {
            "gates swapped": _split_by_halves,
            "heads swapped": lambda p: replaced(p, gates=jnp.flip(p.gates, 0)),
            "input scaled by the complement of the decay": encodes(
                lambda p, g: (g[0], g[1] * jnp.sqrt((1 - g[0]) / (1 + g[0])))
            ),
        },
    ),
    "rg_lru-bare": Case(
        lambda key: ma.nn.RGLRU(3, 3, heads=3, decay_range=(0.3, 0.9), key=key),
        lambda p: jnp.zeros(3),
        rg_lru_step,
    ),
    "s6": Case(
        lambda key: ma.nn.S6(3, 2, 4, key=key),
        lambda p: jnp.zeros((3, 4)),
        s6_step,
        {
            "B and C swapped": lambda p: replaced(
                p, select=jnp.concatenate([p.select[:-8], p.select[-4:], p.select[-8:-4]])
            ),
            "no skip": zeroed("D"),
            "input not scaled by the step": encodes(
                lambda p, g: (g[0], g[1] / (jnp.log(g[0][:, :1]) / -jnp.exp(p.A_log[:, :1])))
            ),
        },
    ),
    "s6-channels": Case(
        lambda key: ma.nn.S6(3, 2, 2, channels=5, rank=2, key=key),
        lambda p: jnp.zeros((5, 2)),
        s6_step,
    ),
    "s6-bare": Case(lambda key: ma.nn.S6(3, 3, 4, key=key), lambda p: jnp.zeros((3, 4)), s6_step),
    "ffm": Case(
        lambda key: ma.nn.FFM(3, 2, 5, 4, key=key),
        ffm_start,
        ffm_step,
        {
            "turned the other way": turned_back("omega"),
            "value and gate swapped": swapped("inputs"),
            "gate and skip swapped": swapped("gates"),
        },
    ),
}
