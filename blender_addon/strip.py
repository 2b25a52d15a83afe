# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures from around a turntable in one file, rendered by a second Blender so that this one is not held up."""

import math
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import background, images, session
from .jobs import Job, UserError
from .png import write_png

TITLE = "Contact Strip"
_SCRIPT = Path(__file__).with_name("strip_script.py")
# Pixels between pictures, and the most that a strip may have.
_GAP_PX, _MAX_PIXELS = 4, 100_000_000
_KEPT_LINES = 5


@dataclass(frozen=True)
class Plan:
    """What is rendered: the file, how many pictures in how many columns, their width in pixels, Cycles samples."""

    path: Path
    count: int
    columns: int
    width: int
    samples: int


def strip_job(scene: Any, plan: Plan) -> Job:
    """A job that renders the scene's turntable; raises UserError for a folder that does not exist."""
    if not plan.path.parent.is_dir():
        raise UserError(f"The folder {plan.path.parent} does not exist.")
    height = max(1, round(plan.width * scene.render.resolution_y / max(scene.render.resolution_x, 1)))
    if plan.count * plan.width * height > _MAX_PIXELS:
        raise UserError(
            "The strip would have more than 100 million pixels. Choose fewer or smaller pictures."
        )
    folder = Path(tempfile.mkdtemp(prefix="recon_strip_"))
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"), copy=True, compress=False)
        command = command_line(folder, scene, plan, height)
    except RuntimeError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"The scene could not be handed over: {error}") from error

    def work(job: Job) -> Path:
        try:
            _render(command, folder, plan.count, job)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def done(rendered: Path) -> None:
        try:
            write_png(plan.path, arranged(_pictures(rendered, plan.count), plan.columns))
        except OSError as error:
            raise UserError(f"{plan.path} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(rendered, ignore_errors=True)
        session.say(f"Written: {plan.path}")

    return Job(TITLE, work, done)


def frames_of(scene: Any, count: int) -> list[int]:
    """Frames evenly around the turn, the first one first."""
    length = scene.frame_end - scene.frame_start + 1
    return [scene.frame_start + number * length // count for number in range(count)]


def command_line(folder: Path, scene: Any, plan: Plan, height: int) -> list[str]:
    """How the second Blender is started: this program, or, in the bpy wheel, this Python."""
    numbers = [plan.width, height, plan.samples, *frames_of(scene, plan.count)]
    words = [str(folder / "scene.blend"), scene.name, str(folder), *map(str, numbers)]
    return background.command(bpy.app.binary_path, _SCRIPT, *words)


def arranged(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures (H,W,4) uint8 of one size in rows, with white between them."""
    height, width = pictures[0].shape[:2]
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    canvas = np.full(
        (rows * (height + _GAP_PX) - _GAP_PX, columns * (width + _GAP_PX) - _GAP_PX, 4), 255, np.uint8
    )
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + _GAP_PX), number % columns * (width + _GAP_PX)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def _render(command: list[str], folder: Path, count: int, job: Job) -> None:
    """Run the second Blender until all pictures are there; ends it when the job is cancelled."""
    log = folder / "log.txt"
    process = background.start(command, log, is_read=False)
    try:
        while process.poll() is None:
            found = sum((folder / f"{number:04d}.png").is_file() for number in range(count))
            job.report(found / count, f"Picture {min(found + 1, count)} of {count}")
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    finally:
        background.end(process)
    # Some versions crash when they end, after everything was written: the pictures count.
    if not (folder / f"{count - 1:04d}.png").is_file():
        lines = log.read_text("utf-8", "replace").strip().splitlines()[-_KEPT_LINES:]
        raise UserError(f"Rendering failed: {' '.join(lines)[-300:] or f'exit status {process.returncode}'}")


def _pictures(folder: Path, count: int) -> list[np.ndarray]:
    """Read the rendered files through Blender, leaving no image behind."""
    found = []
    for number in range(count):
        image = bpy.data.images.load(str(folder / f"{number:04d}.png"))
        try:
            found.append(images.rgba_of(image))
        finally:
            bpy.data.images.remove(image)
    return found
