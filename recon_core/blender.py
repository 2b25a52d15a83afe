# SPDX-License-Identifier: Apache-2.0
"""Finding a Blender that can run a script: the bpy wheel of this Python, or an executable.

bpy is never imported in this process: every look is a short child process.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import MissingDependency
from .system_libraries import library_named_in

PROBE_TIMEOUT_SECONDS = 60.0
_MARK = "recon-probe"
_PROBE = f"import bpy, numpy; print({_MARK!r}, bpy.app.version_string.replace(' ', '_'), numpy.__version__)"
# No user start-up file, add-ons or scripts inside .blend files: the same result on every machine.
_BATCH_OPTIONS = ("--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1")


@dataclass(frozen=True)
class BlenderCommand:
    """A way to run a Python script inside Blender: kind, the program to start and Blender's version."""

    kind: Literal["wheel", "executable"]
    program: str
    version: str = ""

    def argv(self, script: str | Path, *arguments: str) -> list[str]:
        """Return the command line that runs `script` with `arguments`."""
        if self.kind == "wheel":
            return [self.program, str(script), *arguments]
        # --python-exit-code works only before --python; without it an uncaught error exits with status 0.
        return [self.program, *_BATCH_OPTIONS, "--python", str(script), "--", *arguments]

    def __str__(self) -> str:
        return f"Blender {self.version} ({'bpy wheel' if self.kind == 'wheel' else self.program})"


@dataclass(frozen=True)
class Probe:
    """What a look at one Blender found: where, its version, or why it cannot be used and how to mend that."""

    kind: Literal["wheel", "executable"]
    program: str
    version: str = ""
    numpy: str = ""
    error: str = ""

    @property
    def usable(self) -> bool:
        """Whether scripts can run in it."""
        return bool(self.version) and not self.error

    def command(self) -> BlenderCommand:
        """Return the launcher for this Blender."""
        return BlenderCommand(self.kind, self.program, self.version)


def probe_wheel(python: str = sys.executable, timeout_seconds: float = PROBE_TIMEOUT_SECONDS) -> Probe:
    """Look whether `python` can import bpy, in a child process."""
    if python == sys.executable and importlib.util.find_spec("bpy") is None:
        return Probe("wheel", python, error="not installed: pip install 'recon3d[blender]' (Python 3.11)")
    return _probe("wheel", python, [python, "-c", _PROBE], timeout_seconds)


def probe_executable(program: str, timeout_seconds: float = PROBE_TIMEOUT_SECONDS) -> Probe:
    """Look which version the Blender executable `program` is and whether its Python has numpy."""
    command = [program, *_BATCH_OPTIONS, "--python-expr", _PROBE]
    return _probe("executable", program, command, timeout_seconds)


def _probe(
    kind: Literal["wheel", "executable"], program: str, command: list[str], timeout_seconds: float
) -> Probe:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=timeout_seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return Probe(kind, program, error=f"gave no answer within {timeout_seconds:g} s")
    except OSError as error:
        return Probe(kind, program, error=f"cannot be started: {error.strerror or error}")
    output = done.stdout.decode(errors="replace")
    for line in output.splitlines():
        if line.startswith(_MARK + " ") and len(line.split()) == 3:
            _, version, numpy = line.split()
            return Probe(kind, program, version.replace("_", " "), numpy)
    return Probe(kind, program, error=_reason(done.stderr.decode(errors="replace"), output, done.returncode))


def _reason(stderr: str, stdout: str, status: int) -> str:
    """Turn what a failed probe printed into one line that says what to do."""
    text = f"{stdout}\n{stderr}"
    if "No module named 'numpy'" in text:
        return "its Python has no numpy: sudo apt-get install python3-numpy"
    package = library_named_in(text)
    errors = [line.strip() for line in text.splitlines() if "Error" in line]
    last = errors[-1] if errors else f"printed no version (exit status {status}); is this Blender?"
    return f"{last}: sudo apt-get install {package}" if package else last


def executables_on_path() -> list[str]:
    """Return every different `blender` on PATH, first come first."""
    found: dict[Path, str] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        program = shutil.which("blender", path=folder) if folder else None
        if program:
            found.setdefault(Path(program).resolve(), program)
    return list(found.values())


def find_blender(choice: str = "auto", timeout_seconds: float = PROBE_TIMEOUT_SECONDS) -> BlenderCommand:
    """Return the Blender to use: `auto`, `wheel`, or the path or name of an executable.

    `auto` takes $BLENDER when it is set (also "wheel"), else the bpy wheel, else `blender` on PATH. Raises
    MissingDependency when the one that was asked for, or every one, cannot run.
    """
    wanted = (os.environ.get("BLENDER") or "auto") if choice == "auto" else choice
    if wanted != "auto":
        probe = probe_named(wanted, timeout_seconds)
        if probe.usable:
            return probe.command()
        origin = "$BLENDER" if choice == "auto" else "--blender"
        raise MissingDependency(f"{origin} {wanted!r} cannot be used: {probe.error}.")
    return _first_usable(timeout_seconds)


def probe_named(wanted: str, timeout_seconds: float = PROBE_TIMEOUT_SECONDS) -> Probe:
    """Look at the Blender that a user named: `wheel`, or the path or name of an executable."""
    if wanted == "wheel":
        return probe_wheel(timeout_seconds=timeout_seconds)
    program = shutil.which(os.path.expanduser(wanted))
    if program is None:
        error = "no executable file of this name (give auto, wheel or a path)"
        return Probe("executable", wanted, error=error)
    return probe_executable(program, timeout_seconds)


def _first_usable(timeout_seconds: float) -> BlenderCommand:
    probe = probe_wheel(timeout_seconds=timeout_seconds)
    reasons = [f"bpy wheel: {probe.error}"]
    if probe.usable:
        return probe.command()
    for program in executables_on_path():
        probe = probe_executable(program, timeout_seconds)
        if probe.usable:
            return probe.command()
        reasons.append(f"{program}: {probe.error}")
    raise MissingDependency(
        f"No Blender was found ({'; '.join(reasons)}). Install the wheel (pip install 'recon3d[blender]', "
        "Python 3.11) or Blender 3.4 or newer, or point $BLENDER or --blender at an executable."
    )
