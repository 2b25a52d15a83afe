# SPDX-License-Identifier: Apache-2.0
"""`recon doctor`: what this machine has and, when the main job cannot run here, what to do about it."""

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from . import __version__
from .blender import Probe, executables_on_path, find_blender, probe_executable, probe_named, probe_wheel
from .errors import ReconError
from .resources import resource_dir
from .system_libraries import missing_libraries, packages_of

State = Literal["ok", "missing", "low", "optional", "info"]
DISTRIBUTION = "recon3d"
GIB = 2**30
# The demo needs about this much; below it, work fails half-way with an unclear message.
MIN_MEMORY_BYTES = 2 * GIB
MIN_DISK_BYTES = 1 * GIB


@dataclass(frozen=True)
class Check:
    """One line of the report; `advice` says what to do, `required` whether the main job needs it."""

    section: str
    name: str
    state: State
    value: str
    advice: str = ""
    required: bool = False

    @property
    def problem(self) -> bool:
        """Whether the main job cannot run because of this."""
        return self.required and self.state in ("missing", "low")


def examine() -> list[Check]:
    """Look at everything; takes a few seconds, most of them for starting Blender."""
    sections = (_software, _device, _blender, _libraries, _resources)
    return [check for section in sections for check in section()]


def succeeded(checks: Iterable[Check]) -> bool:
    """Whether the main job (render, train, reconstruct) can run here."""
    return not any(check.problem for check in checks)


def as_json(checks: list[Check]) -> str:
    """Return the report as JSON text: {"ok", "problems": [...], "checks": [...]}."""
    problems = [f"{check.name}: {check.value}. {check.advice}".strip() for check in checks if check.problem]
    report = {"ok": not problems, "problems": problems, "checks": [asdict(check) for check in checks]}
    return json.dumps(report, indent=1)


def as_text(checks: list[Check], paint: Callable[[str, State], str] = lambda text, state: text) -> str:
    """Return the report as aligned lines; `paint` colours a mark for the terminal."""
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    section = ""
    for check in checks:
        if check.section != section:
            section = check.section
            lines += ["", section]
        mark = {"optional": "-", "info": ""}.get(check.state, check.state)
        lines.append(f"  {paint(f'{mark:<7}', check.state)}  {check.name:<{width}}  {check.value}".rstrip())
    return "\n".join(lines + ["", *_verdict(checks)]).lstrip("\n")


def _verdict(checks: list[Check]) -> list[str]:
    problems = [check for check in checks if check.problem]
    if not problems:
        return ["Everything that rendering, training and reconstructing need is here."]
    lines = ["The main job cannot run here yet:"]
    return lines + [f"  - {check.name}: {check.advice or check.value}" for check in problems]


def _software() -> list[Check]:
    python_ok = sys.version_info >= (3, 11)
    return [
        Check("Software", "recon", "ok", __version__),
        Check(
            "Software",
            "Python",
            "ok" if python_ok else "missing",
            f"{platform.python_version()} ({platform.system()} {platform.machine()}, {sys.executable})",
            "" if python_ok else "Install Python 3.11 or newer.",
            required=True,
        ),
        *_packages(),
    ]


def _packages() -> list[Check]:
    """One line per distribution that the project names, required ones first."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            Check(
                "Software",
                DISTRIBUTION,
                "missing",
                "not installed in this Python",
                "Run `make venv`, or pip install -e . in the checkout.",
                required=True,
            )
        ]
    seen: dict[str, Check] = {}
    for requirement in sorted(requirements, key=lambda text: "extra" in text):
        check = _package(requirement)
        seen.setdefault(check.name, check)
    return list(seen.values())


def _package(requirement: str) -> Check:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
    try:
        return Check("Software", name, "ok", metadata.version(name), required=extra is None)
    except metadata.PackageNotFoundError:
        pass
    if extra:
        value = f"not installed (optional: pip install '{DISTRIBUTION}[{extra[1]}]')"
        return Check("Software", name, "optional", value)
    return Check("Software", name, "missing", "not installed", f"pip install '{name}'", required=True)


def _device() -> list[Check]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    checks = [Check("Device", "CPU cores", "ok", f"{usable} usable of {os.cpu_count()}{_cpu_name()}")]
    if importlib.util.find_spec("torch") is None:
        return checks
    try:
        import torch
    except (ImportError, OSError) as error:
        advice = "Reinstall torch for this machine (pip install --force-reinstall torch)."
        return checks + [Check("Device", "torch import", "missing", str(error)[:200], advice, required=True)]
    checks.append(Check("Device", "torch threads", "ok", str(torch.get_num_threads())))
    return checks + _cuda(torch)


def _cuda(torch) -> list[Check]:
    if not torch.cuda.is_available():
        why = "this torch is built without it" if torch.version.cuda is None else "no usable GPU or driver"
        return [Check("Device", "CUDA", "optional", f"none ({why}); everything runs on the CPU")]
    checks = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        memory = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
        checks.append(
            Check("Device", f"CUDA {index}", "ok", f"{torch.cuda.get_device_name(index)}, {memory}")
        )
    return checks


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f", {found[1].strip()}" if found else ""


def _blender() -> list[Check]:
    checks = [_probe_check("bpy wheel", probe_wheel())]
    variable = os.environ.get("BLENDER", "")
    programs = executables_on_path()
    if variable and variable != "wheel":
        named = probe_named(variable)
        checks.append(_probe_check("$BLENDER", named))
        programs = [path for path in programs if path != named.program]
    checks += [_probe_check("executable", probe_executable(program)) for program in programs]
    if not programs and not variable:
        checks.append(Check("Blender", "executable", "optional", "none on PATH, and $BLENDER is not set"))
    return checks + [_chosen_blender(), _scripts()]


def _probe_check(name: str, probe: Probe) -> Check:
    where = "" if probe.kind == "wheel" else f"{probe.program}: "
    if probe.usable:
        return Check("Blender", name, "ok", f"{where}{probe.version}, numpy {probe.numpy}")
    return Check("Blender", name, "optional", f"{where}{probe.error}")


def _chosen_blender() -> Check:
    try:
        return Check("Blender", "chosen", "ok", str(find_blender()), required=True)
    except ReconError as error:
        return Check("Blender", "chosen", "missing", "none can run", str(error), required=True)


def _scripts() -> Check:
    try:
        return Check("Blender", "render scripts", "ok", str(resource_dir("render_scripts")), required=True)
    except ReconError as error:
        return Check("Blender", "render scripts", "missing", "not found", str(error), required=True)


def _libraries() -> list[Check]:
    missing = missing_libraries()
    if not missing:
        return [Check("System libraries", "for bpy and open3d", "ok", "all there")]
    install = f"sudo apt-get install --no-install-recommends {packages_of(missing)}"
    # Not required by themselves: whether Blender runs without them is what the probes above have shown.
    return [
        Check(
            "System libraries",
            library.soname,
            "missing",
            f"Debian package {library.package}, for {library.needed_by}",
            install,
        )
        for library in missing
    ] + [Check("System libraries", "to install", "info", install)]


def _resources() -> list[Check]:
    memory = psutil.virtual_memory()
    low = memory.available < MIN_MEMORY_BYTES
    text = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    advice = f"Free memory: at least {MIN_MEMORY_BYTES / GIB:g} GiB are needed." if low else ""
    checks = [Check("Resources", "memory", "low" if low else "ok", text, advice, required=True)]
    folders = {"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    return checks + [_disk(f"disk, {name}", folder) for name, folder in folders.items()]


def _disk(name: str, folder: Path) -> Check:
    usage = shutil.disk_usage(folder)
    low = usage.free < MIN_DISK_BYTES
    text = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free in {folder}"
    advice = f"Free at least {MIN_DISK_BYTES / GIB:g} GiB in {folder}." if low else ""
    return Check("Resources", name, "low" if low else "ok", text, advice, required=True)
