# SPDX-License-Identifier: Apache-2.0
"""What a job does, in the process that runs jobs: torch is loaded here, when the first one needs it."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError
from . import data_jobs, mesh_job, place_job, refine_job
from .data_jobs import Emit
from .mask_hints import hints_of
from .protocol import (
    CheckJob,
    DoctorJob,
    ExportJob,
    Folders,
    Job,
    MeshJob,
    PlaceJob,
    ReconstructJob,
    RefineJob,
    RenderJob,
    TrainJob,
)

if TYPE_CHECKING:
    from ..methods.recipe import Recipe
    from ..methods.run import LoadedRun

POLL_S = 0.5
# The end of metrics.jsonl that is read at each look; a line has a few hundred bytes.
_TAIL_BYTES = 1 << 16
# Losses in a message: enough for a curve as wide as a sidebar.
MAX_LOSSES = 200


class Jobs:
    """Runs one job after the other and keeps the last model loaded; `emit(stage, fraction, **fields)` tells of it."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._loaded: tuple[Any, LoadedRun] | None = None

    def run(self, job: Job, emit: Emit) -> dict[str, Any]:
        """The fields of the job's result; raises the ReconError family, or KeyboardInterrupt when it is cancelled."""
        if isinstance(job, ReconstructJob):
            return self._reconstruct(job, emit)
        if isinstance(job, TrainJob):
            return self._train(job, emit)
        if isinstance(job, RenderJob):
            return data_jobs.render(job, emit)
        if isinstance(job, CheckJob):
            return data_jobs.check(job, emit)
        if isinstance(job, ExportJob):
            return data_jobs.export(job, emit)
        if isinstance(job, MeshJob):
            return mesh_job.mesh(job, emit)
        if isinstance(job, PlaceJob):
            return place_job.place(job, emit)
        if isinstance(job, RefineJob):
            return refine_job.refine(job, emit)
        assert isinstance(job, DoctorJob)
        return _doctor(emit)

    def _reconstruct(self, job: ReconstructJob, emit: Emit) -> dict[str, Any]:
        emit("load", 0.0)
        from ..inference.reconstruct import reconstruct_image, write_reconstruction

        run = self._load(Path(job.run), job.device)
        emit("reconstruct", 0.4)
        image, out = Path(job.image), Path(job.out)
        hints = hints_of(job)
        result = reconstruct_image(image, run, job.mask, job.foreground, confidence="fast", hints=hints)
        if job.refine:
            from ..refining.of_reconstruction import refine_reconstruction

            emit("refine", 0.5)
            result = refine_reconstruction(
                result, image, progress=lambda share: emit("refine", round(0.5 + 0.3 * share, 3))
            )
        emit("write", 0.8)
        out.mkdir(parents=True, exist_ok=True)
        # A preview of the same name must not take the place of the image that it is of.
        stem = f"{image.stem}_cloud" if out == image.parent else image.stem
        written = write_reconstruction(result, image, run, out, stem)
        paths = {"cloud": written.ply, "preview": written.preview, "json": written.json}
        return {name: str(path) for name, path in paths.items()} | {"record": written.record}

    def _load(self, run: Path, device: str) -> "LoadedRun":
        """The model of a run folder; kept until another, or newer weights, are asked for."""
        from ..methods.run import load_run
        from ..training.checkpoints import latest_checkpoint

        checkpoint = run if (run / "weights.safetensors").is_file() else latest_checkpoint(run)
        weights = checkpoint / "weights.safetensors"
        try:
            key = (checkpoint, device, weights.stat().st_mtime_ns)
        except OSError as error:
            raise CheckpointError(f"{weights} cannot be read: {error.strerror}.") from None
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # two models at once may be too much
            self._loaded = key, load_run(checkpoint, device)
        return self._loaded[1]

    def _train(self, job: TrainJob, emit: Emit) -> dict[str, Any]:
        emit("prepare", 0.0)
        from ..training.checkpoints import list_checkpoints
        from ..training.start import TrainRequest, resolve, start_training

        request = TrainRequest(
            Path(job.data), job.recipe, None if job.out is None else Path(job.out), tuple(job.set),
            None if job.resume is None else Path(job.resume), job.device, job.threads,
        )  # fmt: skip
        recipe, folder, _ = resolve(request)
        self._require_weights_inside(recipe, job.id)
        with _same_threads(), watched(folder, recipe.optim.steps, emit):
            finished = start_training(request)
        if finished.interrupted and not list_checkpoints(finished.run):
            raise KeyboardInterrupt  # there is nothing to go on with
        return {"run": str(finished.run), "step": finished.step, "interrupted": finished.interrupted}

    def _require_weights_inside(self, recipe: "Recipe", job_id: str) -> None:
        """A recipe names at most the weights to start from; they are a file to read like any other."""
        for encoder in (recipe.model.encoder, recipe.model.pose_encoder):
            weights = getattr(encoder, "weights", None)
            if weights is None:
                continue
            if not Path(weights).is_absolute():
                raise ConfigError(f"encoder.weights {weights!r}: the worker needs an absolute path.")
            self._folders.to_read(weights, "encoder.weights", job_id)


@contextmanager
def _same_threads() -> Iterator[None]:
    """A training's number of threads is its own."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _doctor(emit: Emit) -> dict[str, Any]:
    emit("look", 0.0)
    from .. import doctor

    return {"report": json.loads(doctor.as_json(doctor.examine()))}


@contextmanager
def watched(run: Path, steps: int, emit: Emit) -> Iterator[None]:
    """Tell progress from what a training writes into its run folder, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(run, steps, emit, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(run: Path, steps: int, emit: Emit, stop: threading.Event) -> None:
    told: dict[str, Any] | None = None
    first: tuple[float, int] | None = None
    while not stop.wait(POLL_S):
        state = training_state(run)
        if state is None or state == told:
            continue
        first = first or (time.monotonic(), state["step"])
        done, elapsed = state["step"] - first[1], time.monotonic() - first[0]
        left = round(elapsed / done * (steps - state["step"]), 1) if done > 0 else None
        emit("train", min(state["step"] / steps, 1.0), **state, steps=steps, seconds_left=left)
        told = state


def training_state(run: Path) -> dict[str, Any] | None:
    """step, loss, losses, val_mask_iou and sample of a run folder as it is now; None before the first logged step.

    losses are pairs of step and loss, at most MAX_LOSSES, of the lines that were logged last.
    """
    found: dict[str, Any] = {}
    losses: list[list[Any]] = []
    for line in _last_lines(run / "metrics.jsonl"):
        kind = line.get("kind")
        if kind == "train":
            found |= {"step": line.get("step"), "loss": line.get("loss")}
            losses.append([line.get("step"), line.get("loss")])
        elif kind == "val":
            found["val_mask_iou"] = line.get("mask_iou")
    if not isinstance(found.get("step"), int):
        return None
    samples = [path for path in (run / "samples").glob("step-*.png") if re.fullmatch(r"step-\d+", path.stem)]
    sample = str(max(samples)) if samples else None
    return {"loss": None, "val_mask_iou": None} | found | {"sample": sample, "losses": thinned(losses)}


def thinned(losses: list[list[Any]]) -> list[list[Any]]:
    """At most MAX_LOSSES of the pairs, evenly spread, with the last."""
    step = -(-len(losses) // MAX_LOSSES) or 1
    return losses[::-1][::step][::-1]


def _last_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole JSON lines among the last bytes of a file that grows; none while there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            data = file.read()
    except OSError:
        return
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # cut at either end
        if isinstance(value, dict):
            yield value
