"""memoalg's PPO and PQN beside a plain hand-written loop: speed, compilation, memory, in one run.

    python benchmarks/training.py [--loops ppo:gru pqn:gru] [--repeats 5] [--quick]

Same setting for all: 64 environments × 128 steps, width 128, 4 epochs of 4 minibatches, Adam, on
gymnax's CartPole (on memoalg's own PositionOnlyCartPole where gymnax is missing). Each candidate
lives in its own process with one XLA thread, pinned to one core; the processes take turns, one
measurement each per round, and the table shows medians of CPU-seconds. The baseline is
`baseline_ppo_gru.py`; memoalg additionally values the final observation of truncated episodes
and reports more metrics, which is part of its time. `ppo:lru` has the published block as its memory (with
its norm, gate and mixer: often as many products again), `ppo:lru/layer` the recurrence alone. PQN has
4 minibatches here, like the others, and not its default of 16.
"""

import argparse
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing

BASELINE = "baseline"


class Setting(NamedTuple):
    """Sizes of a run.

    Attributes:
        environments: environments side by side.
        steps: steps of a rollout.
        long_steps: steps of the longer rollout, whose memory is looked at and which is not run.
        width: units of every layer.
        updates: updates per measurement.
        repeats: measurements per candidate.
    """

    environments: int = 64
    steps: int = 128
    long_steps: int = 1024
    width: int = 128
    updates: int = 2
    repeats: int = 5


QUICK = Setting(environments=8, steps=16, long_steps=64, width=16, updates=1, repeats=2)


ELEMENTWISE = (
    "lru", "s5", "s4d", "rtu", "ffm", "min_gru", "min_lstm", "rg_lru", "hgrn", "qrnn", "sru", "s6",
    "decayed_max", "log_sum_exp", "ind_rnn",
)  # fmt: skip
OUTER = (
    "linear_attention", "fast_weights", "retnet", "gla", "mamba2", "hgrn2", "mlstm", "rwkv6",
)  # fmt: skip
LOOPS = (
    "ppo:gru",
    "pqn:gru",
    "pqn:lru",
    "ppo:mlp",
    *(f"ppo:{name}/layer" for name in ELEMENTWISE),
    *(f"ppo:{name}" for name in (*ELEMENTWISE, *OUTER)),
)


class Program(NamedTuple):
    """What a candidate runs: `init(key) -> state`, `update(state) -> (state, metrics)`."""

    init: Callable[[Any], Any]
    update: Callable[[Any], tuple[Any, Any]]


# ---- in the candidate's process --------------------------------------------------------------


def baseline_program(setting: Setting, steps: int) -> Program:
    import baseline_ppo_gru as baseline

    config = baseline.Config(setting.environments, steps, setting.width)
    return Program(*baseline.make_algorithm(baseline.make_task(), config))


def memoalg_program(loop: str, setting: Setting, steps: int) -> Program:
    import memoalg as ma

    env, params = ma.envs.make(environment_name())
    name, _, written = loop.partition(":")
    memory = bare_layer(written.removesuffix("/layer")) if "/" in written else written
    sizes = {"num_envs": setting.environments, "num_steps": steps}
    if name == "ppo":
        agent = ma.rl.ActorCritic(memory=memory, width=setting.width)
        algorithm = ma.rl.PPO(env, params, agent, ma.rl.PPOConfig(**sizes))
    else:
        agent = ma.rl.QAgent(memory=memory, width=setting.width)
        algorithm = ma.rl.PQN(env, params, agent, ma.rl.PQNConfig(**sizes, minibatches=4))

    def update(state):
        return algorithm.update(state)

    return Program(algorithm.init, update)


def bare_layer(name: str) -> Callable[[int, Any], Any]:
    """The layer of a model by itself, all its sizes the width: no norm, gate or mixer around it."""
    import memoalg as ma

    def build(width: int, key: Any) -> Any:
        kind = ma.nn.MODELS[name].layer
        sizes = [
            width
            for parameter in inspect.signature(kind).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            and parameter.default is parameter.empty
        ]
        return kind(*sizes, key=key)

    return build


def environment_name() -> str:
    try:
        import gymnax  # noqa: F401
    except ImportError:
        return "popgym/PositionOnlyCartPoleEasy"
    return "gymnax/CartPole-v1"


def make_program(name: str, setting: Setting, steps: int) -> Program:
    if name == BASELINE:
        return baseline_program(setting, steps)
    return memoalg_program(name, setting, steps)


class Candidate:
    """One candidate in its own process: answers one word per line with one line of JSON."""

    def __init__(self, name: str, setting: Setting):
        self.name = name
        self.setting = setting
        self.call: Callable[[Any], tuple[Any, Any]] | None = None
        self.state: Any = None

    def answer(self, word: str) -> Any:
        actions = {"machine": _timing.machine, "build": self.build, "run": self.run}
        return {**actions, "long": self.long}[word]()

    def build(self) -> dict[str, float]:
        """Compile init and update, run each once."""
        import jax

        program = make_program(self.name, self.setting, self.setting.steps)
        jax.block_until_ready(jax.numpy.zeros(3) + 1)  # the backend's own start is not counted
        init = _timing.compiled(jax.jit(program.init), jax.random.key(0))
        state = init.call(jax.random.key(0))
        update = _timing.compiled(jax.jit(program.update, donate_argnums=0), state)
        self.call = update.call
        self.state, _ = jax.block_until_ready(self.call(state))
        return {
            "init": init.build_seconds,
            "trace": update.trace_seconds,
            "compile": update.compile_seconds,
            "temp": update.temp_bytes,
        }

    def long(self) -> int:
        """Temporary bytes of the update with a long rollout; it is compiled, not run."""
        import jax

        program = make_program(self.name, self.setting, self.setting.long_steps)
        state = jax.eval_shape(program.init, jax.random.key(0))
        return _timing.compiled(jax.jit(program.update, donate_argnums=0), state).temp_bytes

    def run(self) -> float:
        """CPU-seconds of a few updates."""
        return _timing.cpu_seconds(self.updates)

    def updates(self) -> Any:
        assert self.call is not None, "build comes before run"
        for _ in range(self.setting.updates):
            self.state, _ = self.call(self.state)
        return self.state


def serve(name: str, setting: Setting) -> None:
    _timing.pin_to_one_core()
    candidate = Candidate(name, setting)
    for line in sys.stdin:
        print(json.dumps(candidate.answer(line.strip())), flush=True)


# ---- in the parent ---------------------------------------------------------------------------


class Worker:
    """The parent's end of a candidate's process."""

    def __init__(self, name: str, setting: Setting):
        command = [sys.executable, __file__, "--worker", name, "--setting", json.dumps(setting)]
        self.name = name
        self.process = subprocess.Popen(
            command,
            env=_timing.single_thread_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"benchmarks/training.py: the process of {self.name!r} ended, see above"
            )
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def row(name: str, build: Any, long_temp: int, rate: float, base: float, spread: float):
    return [
        "plain GRU loop (baseline)" if name == BASELINE else name,
        f"{rate:,.0f}",
        f"{rate / base:.2f}",
        f"{100 * spread:.0f} %",
        f"{build['trace'] + build['compile']:.1f} ({build['trace']:.1f} + {build['compile']:.1f})",
        f"{build['init']:.1f}",
        _timing.megabytes(build["temp"]),
        _timing.megabytes(long_temp),
    ]


def table(workers: list[Worker], setting: Setting) -> str:
    builds = {worker.name: worker.ask("build") for worker in workers}
    long_temps = {worker.name: worker.ask("long") for worker in workers}
    seconds = _timing.interleaved(
        {worker.name: lambda worker=worker: worker.ask("run") for worker in workers},
        setting.repeats,
    )
    frames = setting.environments * setting.steps * setting.updates
    rates = {name: frames / value for name, value in _timing.medians(seconds).items()}
    header = [
        "loop", "frames per CPU-s", "ratio", "spread", "trace + compile CPU-s", "init CPU-s",
        f"temp MB, {setting.environments} × {setting.steps}",
        f"temp MB, {setting.environments} × {setting.long_steps}",
    ]  # fmt: skip
    rows = [
        row(name, builds[name], long_temps[name], rate, rates[BASELINE],
            _timing.spread(seconds[name]))
        for name, rate in rates.items()
    ]  # fmt: skip
    return _timing.markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="memoalg's loops beside a plain hand-written one.")
    parser.add_argument("--loops", nargs="*", default=LOOPS, help="algorithm:memory")
    parser.add_argument("--repeats", type=int, help="measurements per candidate")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(options.worker, Setting(*json.loads(options.setting)))
        return
    setting = QUICK if options.quick else Setting()
    if options.repeats:
        setting = setting._replace(repeats=options.repeats)
    workers = [Worker(name, setting) for name in (BASELINE, *options.loops)]
    try:
        print("Command: python", " ".join(sys.argv))
        print("Machine:", workers[0].ask("machine"))
        print(
            f"Setting: {environment_name()}, {setting.environments} environments × "
            f"{setting.steps} steps, width {setting.width}, 4 epochs × 4 minibatches; median of "
            f"{setting.repeats} × {setting.updates} updates\n"
        )
        print(table(workers, setting))
    finally:
        for worker in workers:
            worker.close()


if __name__ == "__main__":
    main()
