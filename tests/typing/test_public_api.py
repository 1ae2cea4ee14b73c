"""The public API is typed for its users: both checkers read a program of theirs, strictly.

The program is checked in a folder of its own, without this project's configuration: what counts
is what `py.typed` promises to somebody who has the package installed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).with_name("public_api.py")
_PATIENCE = 240.0  # seconds: a bound, for a cold cache on a busy machine


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"],
        ["-m", "basedpyright", "--pythonpath", sys.executable],
    ],
    ids=["mypy", "basedpyright"],
)
def test_a_checker_accepts_a_users_program(command: list[str], tmp_path: Path) -> None:
    shutil.copy(_PROGRAM, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    done = subprocess.run(
        [sys.executable, *command, _PROGRAM.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
