# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a training set without the worker: render_scripts in a second Blender. No bpy: runs on a thread.

Some tens of objects to a process, one process after the other. An object on which Blender dies twice is given up.
"""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import background, data_index
from .jobs import Job, UserError

# Blender's memory grows with every object.
CHUNK = 40
ATTEMPTS = 2
# A cancel lets Blender finish its view and tidy up.
GRACE_S = 2.0
# No view takes that long, unless Blender hangs.
SILENCE_S = 1800.0
_KEPT_WARNINGS = 50


@dataclass
class Tally:
    """What has become of the objects; `left` are those that nothing is known of, in the order of rendering."""

    left: list[str]
    views: int
    total: int = 0
    rendered: int = 0
    complete_before: int = 0
    views_made: int = 0  # by this run, whole objects or not
    under_way: int = 0  # views of the object at work
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.total = len(self.left)

    def take(self, event: dict[str, Any]) -> None:
        """Book what a process said of an object; what is not understood is let pass."""
        kind, name = event.get("event"), event.get("object")
        if kind == "warning" and len(self.warnings) < _KEPT_WARNINGS:
            self.warnings.append(f"{name}: {event.get('warning')}")
        if name not in self.left:
            return
        if kind == "view":
            self.under_way, self.views_made = self.under_way + 1, self.views_made + 1
        elif kind == "object":
            self.rendered += 1
        elif kind == "skipped":
            self.complete_before += 1
        elif kind == "failed":
            self.failed[name] = " ".join(str(event.get("error")).split())[:300]
        if kind in ("object", "skipped", "failed"):
            self.left.remove(name)
            self.under_way = 0

    def give_up(self, name: str, reason: str) -> None:
        """An object that takes Blender down."""
        self.take({"event": "failed", "object": name, "error": reason})

    def tell(self, job: Job) -> None:
        """Progress and time left, by the views; raises Cancelled."""
        ended = (self.total - len(self.left)) * self.views + self.under_way
        missing = max(self.total * self.views - ended, 0)
        done = self.rendered + self.complete_before
        job.info |= {"objects": self.total, "objects_done": done, "objects_failed": len(self.failed)}
        if self.views_made > 2:
            job.info["seconds_left"] = (time.monotonic() - self.began) / self.views_made * missing
        job.report(ended / max(ended + missing, 1), "Rendering")

    def outcome(self) -> dict[str, Any]:
        """The same as the worker answers. Raises UserError when not one object could be rendered."""
        if self.failed and not self.rendered + self.complete_before:
            name, reason = next(iter(self.failed.items()))
            raise UserError(f"None of {len(self.failed)} objects could be rendered. {name}: {reason}")
        names = ("rendered", "complete_before", "failed", "warnings")
        return {name: getattr(self, name) for name in names} | {"failed_count": len(self.failed)}


@dataclass(frozen=True)
class Ended:
    """How a process ended: whether it got as far as rendering, and its last words when it died."""

    has_begun: bool
    reason: str = ""


def render(blender: str, meshes: Path, dataset: Path, settings: dict[str, Any], job: Job) -> dict[str, Any]:
    """Render what is not there yet; `settings` are options of render_views. Raises UserError and Cancelled.

    Whatever ends it, the set's files name the objects that are whole, and the next call goes on from them.
    """
    dataset.mkdir(parents=True, exist_ok=True)
    sources = {
        "/".join(path.parts[-3:-1]): "/".join(path.parts[-3:]) for path in meshes.glob("*/*/model.glb")
    }
    tally, crashes = Tally(sorted(sources), int(settings["views"])), Counter()
    scratch = Path(tempfile.mkdtemp(prefix="recon_render_"))
    try:
        while tally.left:
            line = command(blender, meshes, dataset, settings, scratch, tally.left[:CHUNK])
            chunk = set(tally.left[:CHUNK])
            ended = _run(line, scratch / f"log{sum(crashes.values())}.txt", tally, job)
            stuck = [name for name in tally.left if name in chunk]
            if not stuck:
                continue
            crashes[stuck[0] if ended.has_begun else ""] += 1
            _remove_leftovers(dataset, stuck)
            if crashes[""] >= ATTEMPTS:
                raise UserError(f"Blender in the background does not get as far as rendering: {ended.reason}")
            if crashes[stuck[0]] >= ATTEMPTS:
                reason = f"{ended.reason} ({ATTEMPTS} attempts)"
                data_index.record_failure(dataset, stuck[0], sources[stuck[0]], reason)
                tally.give_up(stuck[0], reason)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _remove_leftovers(dataset, tally.left)
        data_index.write(dataset)
    return tally.outcome()


def command(
    blender: str, meshes: Path, dataset: Path, settings: dict[str, Any], scratch: Path, keys: list[str]
) -> list[str]:
    """The command line for some objects, whose names are written to a file."""
    only = scratch / "only.txt"
    only.write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    options = [f"--{name}={value}" for name, value in settings.items()]
    words = [str(meshes), "--output", str(dataset), *options, "--only", str(only), "--json-progress"]
    return background.command(blender, script(), *words)


def script() -> Path:
    """render_views.py: in the zip within the add-on, in a checkout beside it. Raises UserError."""
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent):
        path = folder / "render_scripts" / "render_views.py"
        if path.is_file():
            return path
    raise UserError("This build of the add-on brings no render_scripts. Install it anew, or set the worker.")


def _run(line: list[str], log: Path, tally: Tally, job: Job) -> Ended:
    """One process, to its end. Raises UserError for options or files that it cannot use, and Cancelled."""
    has_begun = False
    with background.running(line, log, job, GRACE_S) as process:
        try:
            for event in background.events(process, job, SILENCE_S):
                kind = event.get("event")
                if kind == "error":
                    raise UserError(_in_the_panels_words(str(event.get("error"))))
                if kind == "plan":
                    has_begun, tally.views = True, _count(event.get("views"), tally.views)
                tally.take(event)
                tally.tell(job)
                if kind == "done":
                    return Ended(True, "it was not rendered")
            is_silent = not _has_ended(process)
        finally:
            background.end(process, GRACE_S)
            _remove_scratch(process.pid)
    return Ended(
        has_begun, f"no view within {SILENCE_S:.0f} s" if is_silent else _death(process.returncode, log)
    )


def _has_ended(process: subprocess.Popen) -> bool:
    """Whether a process whose output has ended is about to end itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)
    return process.poll() is not None


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise


def _death(status: int | None, log: Path) -> str:
    """How a process ended, in one line."""
    words = background.last_words(log).removeprefix("render_views: ")
    if status is not None and status < 0:
        return f"Blender was killed by signal {-status}" + (f" ({words})" if words else "")
    return words or f"Blender ended with exit status {status}"


def _in_the_panels_words(error: str) -> str:
    """An error of render_views, with what to do in the panel instead of on the command line."""
    start, colon, _ = " ".join(error.split()).partition(": give the same")
    return f"{start}. Use the same ones, or choose another folder." if colon else start[:400]


def _remove_scratch(pid: int) -> None:
    """Remove what a process that was killed left in memory."""
    for parent in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
        for stale in parent.glob(f"render_views-{pid}-*"):
            shutil.rmtree(stale, ignore_errors=True)


def _remove_leftovers(dataset: Path, keys: list[str]) -> None:
    """Remove the half objects that a process that was killed left, and their category's folder when it is empty."""
    for key in keys:
        folder = dataset / key
        for stale in folder.parent.glob(f".{folder.name}.tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
    for category in {(dataset / key).parent for key in keys}:
        with contextlib.suppress(OSError):
            category.rmdir()
