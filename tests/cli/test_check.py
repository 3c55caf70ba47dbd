"""`memoalg check`: what it prints, and with which status it ends."""

import pytest

from memoalg.cli import main

OWN = """
import jax.numpy as jnp
import memoalg as ma


class Mine(ma.AbstractMonoid):
    size: int

    def identity(self):
        return jnp.zeros(self.size)

    def combine(self, left, right):
        return left {operator} right


instance = Mine(2)
"""


@pytest.fixture
def own(tmp_path):
    def write(operator):
        path = tmp_path / "own_monoid.py"
        path.write_text(OWN.replace("{operator}", operator))
        return path

    return write


def test_a_lawful_monoid(own, capsys):
    assert main(["check", f"{own('+')}:Mine", "--args", "2"]) == 0
    assert "✓ associativity" in capsys.readouterr().out
    assert main(["check", f"{own('+')}:instance"]) == 0


def test_an_unlawful_one(own, capsys):
    assert main(["check", f"{own('-')}:instance"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("associativity fails for\n  Mine(size=2)\nx = ")
    assert "breaks a law" in err


def test_a_layer_of_a_module(capsys):
    assert main(["check", "memoalg.nn:GRU", "--args", "2", "3"]) == 0
    assert "✓ layer_steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("memoalg", "module:Name"),
        ("memoalg:NoSuch", "has no 'NoSuch'"),
        ("no_such_module:Thing", "there is no module"),
        ("no_such_file.py:Thing", "there is no file"),
        ("memoalg.nn:GRU", "give its arguments after --args"),
        ("memoalg:multiply", "neither a monoid nor a layer"),
    ],
)
def test_what_cannot_be_checked(target, message, capsys):
    assert main(["check", target]) == 2
    assert message in capsys.readouterr().err
