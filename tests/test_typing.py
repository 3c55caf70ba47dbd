"""A type checker infers the types of composed monoids, and reports what does not fit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"


def test_pyright_reports_exactly_what_is_wrong():
    """Each line of `typing/wrong.py` that says so has its error, no other line has one.

    The inferred types stand in that file as `assert_type`, so a type that is no longer inferred is an
    error on a line that promises none.
    """
    pytest.importorskip("pyright", reason="pyright is in the extra `dev`")
    command = [sys.executable, "-m", "pyright", "-p", str(HERE / "pyrightconfig.json")]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable, "--outputjson"], capture_output=True, text=True
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = {
        (entry["range"]["start"]["line"] + 1, entry["rule"])
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    }
    promised = {
        (number, match.group(1))
        for number, line in enumerate((HERE / "wrong.py").read_text().splitlines(), 1)
        if (match := re.search(r"# error: (\w+)$", line))
    }
    assert len(promised) >= 15
    assert found == promised
