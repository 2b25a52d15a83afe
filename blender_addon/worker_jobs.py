# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that the worker does: reconstructing with a training run, and the doctor."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import pipeline, refine_jobs, session, worker_client
from .crop import crop_square, fit_box
from .foreground import find_mask
from .jobs import Job, UserError
from .photo_camera import PhotoCamera
from .ply import read_ply
from .png import write_png
from .preferences import preferences


def command() -> list[str]:
    """The worker's command line, from the preferences. Raises UserError."""
    found = preferences()
    return worker_client.command_of(bpy.path.abspath(found.worker_path) if found else "")


def chosen_run(settings: Any) -> Path:
    """The training run that the settings name. Raises UserError."""
    if not settings.run_path:
        raise UserError("No training run is chosen: name its folder under Run.")
    run = Path(bpy.path.abspath(settings.run_path)).resolve()
    if not run.is_dir():
        raise UserError(f"The run {run} is no folder.")
    return run


def start_reconstruction(scene: Any, wait: bool = False) -> Job:
    """Reconstruct with the run that the settings name. Raises UserError."""
    from .operators_reconstruct import about_of, place, request_of, self_title

    settings = scene.recon
    run, line = chosen_run(settings), command()
    request, about = request_of(settings, run), about_of(settings, run, "worker")
    work = refine_jobs.with_refining(
        lambda request, job: reconstruct(request, line, job), settings.refine_steps, command
    )
    job = Job(self_title(), lambda job: work(request(), job), lambda outcome: place(outcome, about))
    return session.start(job, wait)


def reconstruct(request: pipeline.Request, line: list[str], job: Job) -> pipeline.Outcome:
    """The work of a reconstruction by the worker; `model_path` is the run."""
    job.report(0.02, "Finding the object")
    mask = find_mask(request.rgba, request.mask_source, request.mask_rgba)
    cut = np.dstack((request.rgba[..., :3], mask))
    job.report(0.05, "Starting the worker")
    worker = worker_client.worker_for(line, [str(request.model_path)])
    write_png(worker.folder / "photo.png", cut)
    message = {"type": "reconstruct", "run": str(request.model_path), "image": "photo.png", "out": "result"}
    answer = worker.run({**message, "foreground": "alpha"}, job)
    record = answer.get("record") or {}
    cloud = read_ply(worker.inside(answer.get("cloud")))
    cloud.parts = cloud.parts or [str(name) for name in record.get("parts") or {}]
    box = fit_box(mask)
    name = f"{record.get('category') or request.model_path.name} ({(record.get('run') or {}).get('recipe')})"
    color = str(record.get("colour", ""))
    color = "by height" if color.startswith("none known") else color
    share = record.get("category_probability")
    return pipeline.Outcome(
        cloud, camera_of(record.get("pose")), mask, box, crop_square(cut, box, 128), color, name, {},
        str(record.get("category") or ""), float(share) if isinstance(share, (int, float)) else None,
    )  # fmt: skip


def camera_of(pose: Any) -> PhotoCamera | None:
    """The camera in the worker's record."""
    if not isinstance(pose, dict) or not isinstance(pose.get("camera"), dict):
        return None
    camera = pose["camera"]
    hypotheses = pose.get("hypotheses")
    matrix = np.linalg.inv(np.array(camera["transform_matrix"], np.float64).reshape(4, 4))
    return PhotoCamera(
        matrix,
        float(camera["fl_x"]),
        float(camera["cx"]),
        float(camera["cy"]),
        int(camera["w"]),
        int(camera["h"]),
        hypotheses if isinstance(hypotheses, list) else [],
    )


def doctor_job(line: list[str], on_done: Any) -> Job:
    """Ask the worker how it is; on_done gets lines of text."""

    def work(job: Job) -> str:
        job.report(0.1, "Starting the worker")
        worker = worker_client.worker_for(line, [])
        report = worker.run({"type": "doctor"}, job).get("report") or {}
        problems = [str(problem) for problem in report.get("problems") or []]
        hello = worker.hello
        first = f"recon {hello.get('version')} answers, on Python {hello.get('python')}."
        return "\n".join([first, *problems[:6]] if problems else [first, "Nothing is missing."])

    return Job("Test Worker", work, on_done)
