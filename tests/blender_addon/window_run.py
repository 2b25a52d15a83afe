# SPDX-License-Identifier: Apache-2.0
"""Runs a tour (window_*.py) in a real Blender window on a virtual screen, and reads its report."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FLAGS = ("--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", "1400", "1000")


def run_tour(
    script: str, screen: str, out: Path, arguments: list[str | Path], timeout_s: float, **environment: str
) -> dict[str, Any]:
    """The report of a tour whose pictures go to `out`.

    Blender 3.4 dies now and then when an operator is called under temp_override while another Python thread works: it
    then reads the override's dictionary without Python's lock (seen with gdb). Tours cannot do without overrides, so a
    crash, and nothing else, is given a second run. Where Python was in each thread is in the message.
    """
    crashes = []
    for _ in range(2):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        done = _blender(script, screen, [out, *arguments], timeout_s, environment)
        if (out / "report.json").is_file():
            return json.loads((out / "report.json").read_text())
        told = done.stdout[-3000:] + done.stderr[-3000:] + (out / "fault.txt").read_text()
        if done.returncode >= 0 and "crash.txt" not in told:
            raise AssertionError(told)
        crashes.append(told)
    raise AssertionError("\n".join(crashes))


def _blender(
    script: str, screen: str, arguments: list[str | Path], timeout_s: float, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    packages = Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr, arg-type]
    command = ["blender", *FLAGS, "--python", str(HERE / script), "--", str(packages), *map(str, arguments)]
    surroundings = {"DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **surroundings},
        check=False,
    )
