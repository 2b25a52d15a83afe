# SPDX-License-Identifier: Apache-2.0
"""Datasets rendered once per session by Blender in a process of its own, and shared by the tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "render_scripts" / "render_views.py"
MAIN_OPTIONS = ["--views", "4", "--samples", "16", "--seed", "3"]
SMALL_OPTIONS = ["--views", "2", "--size", "48", "--samples", "2"]


class Run(NamedTuple):
    """Outcome of one command: exit status, events of --json-progress, plain output, errors."""

    status: int
    events: list[dict[str, Any]]
    output: str
    errors: str

    def of(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.events if entry["event"] == event]


def render(*arguments: object, program: list[str] | None = None, as_json: bool = True) -> Run:
    """Run render_views, by default under the bpy module of this Python."""
    command = [*(program or [sys.executable, str(SCRIPT)]), *map(str, arguments)]
    command += ["--json-progress"] if as_json else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    lines = done.stdout.splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")] if as_json else []
    return Run(done.returncode, events, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def need_bpy() -> None:
    """Skip without the bpy module; its import is left to the child processes."""
    import importlib.util

    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy module is not installed")


@pytest.fixture(scope="session")
def blender_command() -> list[str]:
    """Command line of the Blender on PATH, ready for arguments of render_views."""
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("no blender on PATH")
    flags = ["--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1"]
    return [blender, *flags, "--python", str(SCRIPT), "--"]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three procedural chairs."""
    folder = tmp_path_factory.mktemp("shapes")
    script = ROOT / "render_scripts" / "make_shapes.py"
    command = [sys.executable, str(script), "--category", "chair", "--count", "3", "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def dataset(need_bpy: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chairs, all passes, at 128 px."""
    folder = tmp_path_factory.mktemp("dataset") / "chairs"
    run = render(shapes, "--output", folder, *MAIN_OPTIONS)
    assert run.status == 0, run.errors
    return folder


@pytest.fixture(scope="session")
def odd_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd but usable sources in chair/, unusable ones in bad/."""
    from mesh_sources import write_bad, write_odd

    folder = tmp_path_factory.mktemp("sources")
    write_odd(folder / "chair")
    write_bad(folder / "bad")
    return folder


@pytest.fixture(scope="session")
def odd_run(need_bpy: None, odd_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """The odd and bad sources rendered small, with the same light and cameras for all."""
    folder = tmp_path_factory.mktemp("odd") / "dataset"
    options = [*SMALL_OPTIONS, "--cameras", "turntable", "--azimuth", "20", "120", "--light", "fixed"]
    return render(odd_sources, "--output", folder, *options), folder
