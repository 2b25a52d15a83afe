# SPDX-License-Identifier: Apache-2.0
"""Runs the tests in inside/ in the bpy wheel, in the Blender on PATH and in those of RECON_TEST_BPY.

Each file runs in a process of its own.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import other_blenders
import pytest

HERE = Path(__file__).resolve().parent
SLOW = ("check_large.py", "check_data.py", "check_data_worker.py")
CHECKS = [
    pytest.param(path.name, marks=pytest.mark.slow if path.name in SLOW else ())
    for path in sorted((HERE / "inside").glob("check_*.py"))
]
pytestmark = pytest.mark.blender


def pytest_arguments(check: str, base: Path) -> list[str]:
    return [
        str(HERE / "inside" / check),
        *("--rootdir", str(HERE / "inside"), "-c", os.devnull, "-q", "-x", "-p", "no:cacheprovider"),
        *("-p", "no:dash", "-p", "no:anyio", "-p", "no:hypothesispytest", "-o", "python_files=check_*.py"),
        *("--basetemp", str(base)),
    ]


def site_packages() -> Path:
    return Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr]


@pytest.fixture(params=["wheel", "executable", *other_blenders.params()])
def inside(request, tmp_path: Path):
    """A command that runs one file of inside/ in a Blender."""

    def command(check: str) -> list[str]:
        arguments = pytest_arguments(check, tmp_path / "base")
        if request.param == "wheel":
            return [sys.executable, "-m", "pytest", *arguments]
        script = [str(HERE / "inside_blender.py"), "--", str(site_packages()), *arguments]
        if isinstance(request.param, Path):
            return [other_blenders.required(request.param), *script]
        blender = shutil.which("blender")
        assert blender
        flags = ["--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1"]
        return [blender, *flags, "--python", *script]

    if request.param == "wheel" and importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy wheel is not installed")
    if request.param == "executable" and shutil.which("blender") is None:
        pytest.skip("no blender on PATH")
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return command


def expected_crop_mean() -> float:
    """The mean level of the test picture's crop, by the code that models are trained with."""
    import tiny_model

    from recon_core.data.crop import crop_square, fit_box

    rgba = tiny_model.photo()
    return float(crop_square(rgba, fit_box(rgba[..., 3], 1.15), tiny_model.SIZE).astype(np.float64).mean())


@pytest.mark.parametrize("check", CHECKS)
def test_inside(inside, check):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RECON_TEST_CROP_MEAN": repr(expected_crop_mean())}
    environment["RECON_TEST_PYTHON"] = sys.executable  # has recon, for the worker
    done = subprocess.run(
        inside(check), capture_output=True, text=True, timeout=580, env=environment, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert " passed" in done.stdout
