# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the section Data: objects to GLBs, to a training set, to a run, to a model. No bpy: runs on threads."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import background, data_look, data_render, data_state
from .jobs import Cancelled, Job, UserError
from .worker_client import Worker

RENDER, CHECK, TRAIN, EXPORT = "Render Training Set", "Check Training Set", "Train", "Export Model"
TITLES = (RENDER, CHECK, TRAIN, EXPORT)
SCRIPT = Path(__file__).with_name("export_glbs.py")
# The shipped recipe of each choice, and what is changed of it.
RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "FULL": ("splat_full", ()),
    "COLOR": (
        "splat_full",
        (
            "model.heads=[xyz, opacity, color]",
            (
                "terms=[{kind: splat_mask, weight: 1.0, loss: bce, sigma_px: [3.0, 0.7], density: 1.5, over: mask}, "
                "{kind: splat_color, weight: 5.0, views: 1}]"
            ),
        ),
    ),
    "SHAPE": ("splat", ()),
}
# How long a training may take to save when Blender ends.
_SAVE_S = 10.0
_MODEL_FORMAT = ".onnx"


@dataclass(frozen=True)
class Place:
    """Where everything of a training set is kept, the worker's command line, and the Blender that renders.

    `blender` is empty where this Blender has no program of its own (the bpy module), `command` where no worker is set:
    then a second Blender renders, and files are looked at, but nothing is trained.
    """

    folder: Path
    command: list[str]
    blender: str = ""

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def sheet(self) -> Path:
        return self.folder / "dataset.png"

    def make_folder(self) -> None:
        """The folder and those above it. Raises UserError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"The folder {self.folder} cannot be made: {error.strerror}.") from error

    @contextlib.contextmanager
    def worker(self, *read: Path) -> Iterator[Worker]:
        """A worker of its own, so that reconstructing goes on meanwhile; ended with the block. Raises UserError."""
        self.make_folder()
        environment = {"BLENDER": self.blender} if self.blender else {}
        worker = Worker(self.command, list(map(str, read)), (str(self.folder.resolve()),), environment)
        try:
            yield worker
        finally:
            worker.close()


@dataclass(frozen=True)
class RenderSettings:
    """How the training set is rendered; the names are those of the worker's message."""

    views: int
    size: int
    samples: int
    light: str
    front: str


@dataclass(frozen=True)
class TrainSettings:
    """What is trained: a shipped recipe with overrides, for so many steps, into `run`."""

    recipe: str
    overrides: tuple[str, ...]
    steps: int
    run: Path
    model: Path
    resume: bool = False


@dataclass(frozen=True)
class Trained:
    """A finished training; `model` is None when the run could not be exported, and `problem` says why."""

    run: Path
    model: Path | None
    problem: str = ""


def render_job(place: Place, request: Path, settings: RenderSettings, on_done: Any) -> Job:
    """Export, render and check what data_objects wrote to the folder `request`, which is removed.

    The worker renders with several Blenders at a time; where none is set, one after the other does.
    """

    def work(job: Job) -> data_state.SetReport:
        try:
            lost = export_glbs(place, request, job)
            _require_same_parts(place.dataset, request / "meshes")
            render = render_by_worker if place.command else render_alone
            return render(place, request / "meshes", settings, lost, job)
        finally:
            shutil.rmtree(request, ignore_errors=True)

    return Job(RENDER, work, on_done)


def render_by_worker(
    place: Place, meshes: Path, settings: RenderSettings, lost: dict[str, str], job: Job
) -> data_state.SetReport:
    """Several Blenders render, and all of the set is checked; `lost` are objects that did not get that far."""
    begin(job, "Starting the worker")
    message = {"type": "render", "meshes": str(meshes), "data": str(place.dataset), **vars(settings)}
    with place.worker(meshes.parent) as worker:
        rendered = run(worker, {**message, "processes": processes()}, job)
        begin(job, "Checking")
        return check(place, worker, job, with_lost(rendered, lost))


def render_alone(
    place: Place, meshes: Path, settings: RenderSettings, lost: dict[str, str], job: Job
) -> data_state.SetReport:
    """One Blender in the background renders, and the files are looked at."""
    begin(job, "Starting Blender")
    place.make_folder()
    rendered = data_render.render(place.blender, meshes, place.dataset, vars(settings), job)
    begin(job, "Checking")
    return look(place, job, with_lost(rendered, lost))


def with_lost(rendered: dict[str, Any], lost: dict[str, str]) -> dict[str, Any]:
    """A result of rendering, with the objects among the failed ones that could not be exported."""
    failed = {**lost, **(rendered.get("failed") or {})}
    return {**rendered, "failed": failed, "failed_count": rendered.get("failed_count", 0) + len(lost)}


def check_job(place: Place, on_done: Any) -> Job:
    """Check the training set that is there; without a worker its files only."""

    def work(job: Job) -> data_state.SetReport:
        if not place.dataset.is_dir():
            raise UserError("There is no training set in this folder yet. Render one first.")
        if not place.command:
            return look(place, job, {})
        begin(job, "Starting the worker")
        with place.worker() as worker:
            return check(place, worker, job, {})

    return Job(CHECK, work, on_done)


def check(place: Place, worker: Worker, job: Job, rendered: dict[str, Any]) -> data_state.SetReport:
    """Have the set checked; the report is kept for the panel."""
    message = {"type": "check", "data": str(place.dataset), "sheet": str(place.sheet)}
    return report_of(place, rendered, run(worker, message, job))


def look(place: Place, job: Job, rendered: dict[str, Any]) -> data_state.SetReport:
    """What can be known without the worker; says that it is not all."""
    found = report_of(place, rendered, data_look.look(place.dataset, place.sheet, job))
    found.lines.append(data_look.NOTE)
    return found


def report_of(place: Place, rendered: dict[str, Any], answer: dict[str, Any]) -> data_state.SetReport:
    """What rendering and checking found, for the panel."""
    ok = bool((answer.get("report") or {}).get("ok")) and not rendered.get("failed_count")
    lines = data_state.report_lines(rendered, answer)
    sheet = place.sheet if answer.get("sheet") else None
    return data_state.SetReport(place.folder, ok, lines, str(answer.get("text", "")), sheet)


def train_job(place: Place, settings: TrainSettings, on_done: Any) -> Job:
    """Train, then export; a cancel keeps the run with a checkpoint to go on from."""
    if not (place.dataset / "dataset.json").is_file():
        raise UserError("There is no training set in this folder yet. Render one first.")

    def work(job: Job) -> Trained:
        begin(job, "Starting the worker")
        with place.worker() as worker:
            worker.close_s = _SAVE_S
            train(place, worker, settings, job)
            begin(job, "Exporting the model")
            return exported(worker, settings.run, settings.model, job)

    job = Job(TRAIN, work, on_done)
    data_state.training = data_state.Training(place.folder, settings.run, job.info)
    return job


def train(place: Place, worker: Worker, settings: TrainSettings, job: Job) -> None:
    """Train to the end; raises Cancelled once a checkpoint is saved, UserError when it fails."""
    shown = data_state.training
    message: dict[str, Any] = {"type": "train", "data": str(place.dataset), "threads": threads()}
    if settings.resume:
        message["resume"] = str(settings.run)
    else:
        overrides = [*settings.overrides, *schedule(settings.steps)]
        message |= {"recipe": settings.recipe, "out": str(settings.run), "set": overrides}
    ended = "Stopped"
    try:
        answer = worker.run(message, job)
        if answer.get("interrupted"):
            ended = f"Stopped at step {answer.get('step'):,}; it can be continued"
            raise Cancelled
        ended = f"Finished {answer.get('step'):,} steps"
    except UserError:
        ended = "Failed"
        raise
    finally:
        data_state.look_again()
        if shown is not None:
            shown.ended, shown.finished = ended, ended.startswith("Finished")


def export_job(place: Place, run_folder: Path, model: Path, on_done: Any) -> Job:
    """Export the newest checkpoint of a run."""

    def work(job: Job) -> Trained:
        begin(job, "Starting the worker")
        with place.worker() as worker:
            return exported(worker, run_folder, model, job)

    return Job(EXPORT, work, on_done)


def exported(worker: Worker, run_folder: Path, model: Path, job: Job) -> Trained:
    """The run as a model file; where that is not possible the run itself can be used, by the worker."""
    try:
        run(worker, {"type": "export", "run": str(run_folder), "out": str(model)}, job)
    except UserError as error:
        return Trained(run_folder, None, str(error))
    return Trained(run_folder, model)


def run(worker: Worker, message: dict[str, Any], job: Job) -> dict[str, Any]:
    """A job of the worker whose result a cancel makes useless."""
    answer = worker.run(message, job)
    job.check()
    return answer


def begin(job: Job, stage: str) -> None:
    """A new stage, whose progress and time left count anew."""
    job.started = time.perf_counter()
    job.info.pop("seconds_left", None)
    job.report(0.0, stage)


def schedule(steps: int) -> list[str]:
    """Overrides of a recipe: its length, and pictures and figures often enough to watch."""
    often = max(1, min(500, steps // 10))
    names = ("samples", "validation", "checkpoint")
    return [
        f"optim.steps={steps}",
        f"log.metrics={max(1, min(20, steps // 100))}",
        *(f"log.{name}={often}" for name in names),
    ]


def threads() -> int:
    """All cores but one, which Blender keeps."""
    return max(1, (os.cpu_count() or 1) - 1)


def processes() -> int:
    """Blenders that render side by side; each uses several cores by itself."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


# --- objects to GLBs, in a Blender of its own ------------------------------------------------------------


def export_glbs(place: Place, request: Path, job: Job) -> dict[str, str]:
    """Run export_glbs.py; returns why, by object, some were not exported. Raises UserError when none was."""
    begin(job, "Exporting the objects")
    line = background.command(place.blender, SCRIPT, str(request / "manifest.json"))
    failed: dict[str, str] = {}
    done: dict[str, Any] = {}
    with background.running(line, request / "export.txt", job) as process:
        for said in background.events(process, job):
            event = said.get("recon")
            if not isinstance(event, dict):
                continue
            kind = event.get("event")
            if kind == "begin":
                job.report(event.get("number", 0) / max(event.get("count", 1), 1), "Exporting the objects")
            elif kind == "failed":
                failed[str(event.get("object"))] = str(event.get("error"))
            elif kind == "error":
                raise UserError(str(event.get("error")))
            elif kind == "done":
                done = event
    job.check()
    if not done.get("objects"):
        raise UserError(_why(failed, request / "export.txt"))
    return failed


def _why(failed: dict[str, str], log: Path) -> str:
    if failed:
        name, reason = next(iter(failed.items()))
        return f"None of the objects could be exported. {name}: {reason}."
    words = background.last_words(log) or "the Blender in the background ended early."
    return f"The objects could not be exported: {words}"


def _require_same_parts(dataset: Path, meshes: Path) -> None:
    """What is added must have parts that the set has, as ids are positions in its list; raises UserError.

    The set's own list is written into the descriptions of the new objects.
    """
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        about = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
        known = {category: (about.get("parts") or {}).get(category, []) for category in about["categories"]}
    for path in meshes.glob("*/*/object.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        old = known.get(document["category"])
        if old is None or old == document["parts"]:
            continue
        if not old or not document["parts"]:
            has, have = ("no part labels", "have some") if not old else ("part labels", "have none")
            raise UserError(
                f"The training set in this folder has {has}, these objects {have}. Choose another folder."
            )
        new = [name for name in document["parts"] if name not in old]
        if new:
            raise UserError(
                f"The training set in this folder has the parts {', '.join(old)}; these objects add {', '.join(new)}. "
                "Name them alike, or choose another folder."
            )
        path.write_text(json.dumps({**document, "parts": old}), encoding="utf-8")
