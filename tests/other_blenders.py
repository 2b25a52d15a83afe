# SPDX-License-Identifier: Apache-2.0
"""Further versions of Blender to test in: Pythons that have another bpy wheel, named by RECON_TEST_BPY.

The variable holds paths of Pythons, separated as in PATH. Without it the tests that take them are skipped.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "RECON_TEST_BPY"
SKIPPED = f"{VARIABLE} names no Python with another bpy wheel"


def interpreters() -> list[Path]:
    """The Pythons that the variable names."""
    return [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]


def params() -> list:
    """Parameters of a fixture: a path for each Python, named after its environment; one that is skipped without any."""
    found = [pytest.param(path, id=path.absolute().parents[1].name) for path in interpreters()]
    return found or [pytest.param(None, id="other", marks=pytest.mark.skip(reason=SKIPPED))]


def required(path: Path) -> str:
    """The path as text; a wrong one fails the test, for somebody meant it."""
    if not path.is_file():
        pytest.fail(f"{VARIABLE}: {path} does not exist.")
    return str(path.absolute())  # not resolved: a venv's python is a link
