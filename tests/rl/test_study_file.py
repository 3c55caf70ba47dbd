"""Studies from TOML."""

from pathlib import Path

import pytest

from memoalg.rl import PPOConfig
from memoalg.rl._experiment import ALGORITHMS
from memoalg.rl._study import Study, StudyError
from memoalg.rl._study_file import read_study
from memoalg.rl._study_run import check_study

HEAD = 'environments = ["popgym/RepeatFirstEasy"]\nmemories = ["lru"]\n'


def write(folder, text):
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_study_with_everything(tmp_path):
    study = read_study(
        write(
            tmp_path,
            """
            environments = ["popgym/RepeatFirstEasy", "popgym/RepeatPreviousEasy"]
            memories = ["lru", "gru"]
            algorithms = ["pqn", "ppo"]
            steps = 1_000
            seeds = 2
            evaluate_every = 500
            [ppo]
            discount = 1
            value_clip = 0.5
            [sweep.ppo]
            learning_rate = [1e-3, 3e-4]
            epochs = [1, 2]
            """,
        )
    )
    ppo = {"discount": 1, "value_clip": 0.5}
    assert study == Study(
        environments=("popgym/RepeatFirstEasy", "popgym/RepeatPreviousEasy"),
        memories=("lru", "gru"),
        configs=(
            ALGORITHMS["pqn"].config_kind(),
            PPOConfig(**ppo, learning_rate=1e-3, epochs=1),
            PPOConfig(**ppo, learning_rate=1e-3, epochs=2),
            PPOConfig(**ppo, learning_rate=3e-4, epochs=1),
            PPOConfig(**ppo, learning_rate=3e-4, epochs=2),
        ),
        steps=1000,
        seeds=2,
        evaluate_every=500,
    )
    assert len(study.cells()) == 2 * 2 * 5


def test_what_is_left_out_has_its_default(tmp_path):
    study = read_study(write(tmp_path, HEAD))
    assert study == Study(environments=("popgym/RepeatFirstEasy",), memories=("lru",))
    assert study.configs == (PPOConfig(),)


WRONG = {
    "no toml": ("memories = [", "at end of document"),
    "unknown": (HEAD + "sedes = 3", "unknown 'sedes'; did you mean seeds?"),
    "unknown table": (HEAD + "[pqo]", "unknown 'pqo'; did you mean pp?q?"),
    "nothing": ("", r'has no environments; write environments = \["..."\]'),
    "empty": (HEAD.replace('"lru"', ""), "memories must be a list with entries"),
    "no list": (HEAD.replace('["lru"]', '"lru"'), "memories must be .*got 'lru'"),
    "twice": (HEAD.replace('"lru"', '"lru", "lru"'), "memories name 'lru' twice"),
    "type": (HEAD + 'steps = "many"', "steps must be int, got 'many'"),
    "bool": (HEAD + "seeds = true", "seeds must be int, got True"),
    "zero": (HEAD + "seeds = 0", "seeds must be an int of at least 1, got 0"),
    "algorithm": (HEAD + 'algorithms = ["sac"]', "unknown algorithm 'sac'; there are ppo"),
    "algorithms": (HEAD + 'algorithms = "ppo"', r'write algorithms = \["ppo"\]'),
    "field": (HEAD + "[ppo]\nclp = 1", "ppo has no 'clp'; did you mean clip?"),
    "field type": (HEAD + '[ppo]\nclip = "a"', r"\[ppo\]: clip must be float, got 'a'"),
    "range": (HEAD + "[ppo]\ndiscount = 2.0", r"discount must lie in \[0, 1\]"),
    "unused": (HEAD + "[pqn]\ndiscount = 0.9", r"\[pqn\] is not used; add 'pqn' to algorithms"),
    "unused sweep": (HEAD + "[sweep.pqn]\ndiscount = [0.9]", r"\[sweep.pqn\] is not used"),
    "sweep of what": (HEAD + "[sweep]\ndiscount = [0.9]", r"unknown \[sweep.discount\]"),
    "sweep": (HEAD + "[sweep.ppo]\ndiscount = 0.9", r"write discount = \[0.9\]"),
    "swept twice": (HEAD + "[sweep.ppo]\ndiscount = [0.9, 0.9]", "configs name .* twice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_says_where_and_what_to_write(case, tmp_path, without_hook):
    text, message = WRONG[case]
    path = write(tmp_path, text)
    with pytest.raises(StudyError, match=message) as caught:
        read_study(path)
    assert str(path) in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no study file"):
        read_study(tmp_path / "study.toml")


def test_the_example_can_be_run():
    study = read_study(Path(__file__).parents[2] / "examples" / "study.toml")
    assert len(check_study(study)) >= 4
