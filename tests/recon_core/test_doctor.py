# SPDX-License-Identifier: Apache-2.0
"""`recon doctor` and the search for a Blender, on this machine and on ones that lack things."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recon_core import blender, doctor, system_libraries
from recon_core.cli import app
from recon_core.errors import MissingDependency
from recon_core.system_libraries import LIBRARIES, SystemLibrary, library_named_in, missing_libraries

GOOD = "echo noise; echo recon-probe 9.9.1_LTS 1.26.4"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A PATH with nothing but a fake `blender` that runs the given shell line; no $BLENDER and no bpy."""
    monkeypatch.delenv("BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(blender.importlib.util, "find_spec", lambda name: None)

    def write(line: str, name: str = "blender") -> Path:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        return program

    return write


def test_looking_at_a_machine_loads_no_blender() -> None:
    program = "import sys; from recon_core import doctor; doctor.examine(); sys.exit('bpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_this_machine_as_text_and_json() -> None:
    checks = doctor.examine()
    report = json.loads(doctor.as_json(checks))
    names = {check["name"] for check in report["checks"]}
    assert {"recon", "Python", "torch", "numpy", "CPU cores", "chosen", "memory"} <= names
    assert report["ok"] == doctor.succeeded(checks)
    assert len(report["problems"]) == sum(check.problem for check in checks)
    lines = doctor.as_text(checks).splitlines()
    rows = [line for line in lines if line.startswith("  ")][: len(checks)]
    starts = {len(row) - len(check.value) for row, check in zip(rows, checks, strict=True)}
    assert len(starts) == 1, "the values are aligned"


def test_command_line_fails_with_advice_when_nothing_can_render(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = doctor.Check("Blender", "chosen", "missing", "none can run", "Install one.", required=True)
    monkeypatch.setattr(doctor, "examine", lambda: [problem, doctor.Check("Device", "CPU cores", "ok", "2")])
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "  - chosen: Install one." in result.output
    as_json = CliRunner().invoke(app, ["doctor", "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["problems"] == ["chosen: none can run. Install one."]


def test_optional_things_do_not_fail() -> None:
    checks = [doctor.Check("Software", "open3d", "optional", "not installed")]
    checks.append(doctor.Check("System libraries", "libXi.so.6", "missing", "Debian package libxi6"))
    assert doctor.succeeded(checks)
    assert "Everything" in doctor.as_text(checks)


def test_low_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_MEMORY_BYTES", 2**60)
    problems = [check for check in doctor._resources() if check.problem]
    assert [check.name for check in problems] == ["memory"]
    assert "Free memory" in problems[0].advice


def test_project_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "recon3d-that-nobody-installed")
    (check,) = doctor._packages()
    assert check.problem
    assert "make venv" in check.advice


def test_finds_the_executable_on_path(fake) -> None:
    program = fake(GOOD)
    command = blender.find_blender()
    assert command == blender.BlenderCommand("executable", str(program), "9.9.1 LTS")
    assert command.argv("s.py", "--views", "2") == [
        str(program), "--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1",
        "--python", "s.py", "--", "--views", "2",
    ]  # fmt: skip
    assert blender.BlenderCommand("wheel", "python").argv("s.py", "-x") == ["python", "s.py", "-x"]


def test_named_blenders_win(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake("exit 1")
    other = fake(GOOD, "blender-9")
    assert blender.find_blender(str(other)).program == str(other)
    monkeypatch.setenv("BLENDER", "blender-9")
    assert blender.find_blender().program == str(other)
    monkeypatch.setenv("BLENDER", "/nowhere/blender")
    with pytest.raises(MissingDependency, match=r"\$BLENDER '/nowhere/blender' cannot be used: no executable"):
        blender.find_blender()
    with pytest.raises(MissingDependency, match="--blender 'wheel' cannot be used: not installed"):
        blender.find_blender("wheel")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo \"ModuleNotFoundError: No module named 'numpy'\" >&2; exit 1", "apt-get install python3-numpy"),
        ("echo 'ImportError: libXi.so.6: cannot open shared object file' >&2; exit 1", "apt-get install libxi6"),
        ("echo hello", "printed no version"),
        ("printf '\\377\\376'; kill -9 $$", "printed no version"),
    ],
)
def test_broken_blenders_are_explained(fake, line: str, reason: str) -> None:
    program = fake(line)
    assert reason in blender.probe_executable(str(program)).error
    with pytest.raises(MissingDependency, match=r"No Blender was found.*bpy wheel: not installed"):
        blender.find_blender()


def test_a_silent_blender_is_not_waited_for(fake) -> None:
    program = fake("exec /bin/sleep 60")
    assert "no answer within 0.3 s" in blender.probe_executable(str(program), 0.3).error


def test_missing_libraries_name_their_packages(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_libraries(lambda soname: True) == []
    missing = missing_libraries(lambda soname: "libXi" not in soname)
    assert missing == ([SystemLibrary("libXi.so.6", "libxi6")] if sys.platform == "linux" else [])
    assert library_named_in("ImportError: libSM.so.6: cannot open shared object file") == "libsm6"
    assert library_named_in("ImportError: no such thing") is None
    monkeypatch.setattr(system_libraries, "missing_libraries", lambda: [LIBRARIES[0]])
    assert system_libraries.main([]) == 1
    assert "apt-get install --no-install-recommends libx11-6" in capsys.readouterr().out
    monkeypatch.setattr(system_libraries, "missing_libraries", list)
    assert system_libraries.main([]) == 0
