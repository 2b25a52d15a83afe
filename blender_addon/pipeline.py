# SPDX-License-Identifier: GPL-3.0-or-later
"""From pixels to a cloud with the model in this process: mask, crop, prediction, camera, colours. No bpy here."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import engine_onnx, visibility
from .cloud import Cloud
from .crop import Box, crop_square, fit_box
from .foreground import find_mask
from .jobs import Job
from .photo_camera import (
    PhotoCamera,
    colors_from_photo,
    fit_camera,
    height_shares,
    hypotheses_of,
    ramp_colors,
)

# Colours are looked up in a copy with at most about this many pixels along its longer side.
_COLOR_SIDE = 512


@dataclass
class Request:
    """What to reconstruct: rgba (H,W,4) uint8 with row 0 on top, where its mask comes from, and by which model."""

    rgba: np.ndarray
    mask_source: str
    mask_rgba: np.ndarray | None
    model_path: Path


@dataclass
class Outcome:
    """A reconstruction, and all that led to it."""

    cloud: Cloud
    camera: PhotoCamera | None
    mask: np.ndarray
    box: Box
    crop: np.ndarray
    color_source: str
    model_name: str
    timings_ms: dict[str, float] = field(default_factory=dict)
    category: str = ""
    probability: float | None = None  # of the category, where the model chose among several
    refined: dict[str, Any] = field(default_factory=dict)  # figures of refining, or a note why there was none


def reconstruct(request: Request, job: Job) -> Outcome:
    """The work of a reconstruction job."""
    clock = _Clock(job)
    clock.stage(0.05, "Finding the object")
    mask = find_mask(request.rgba, request.mask_source, request.mask_rgba)
    clock.stage(0.2, "Cropping")
    cut = np.dstack((request.rgba[..., :3], mask))
    clock.stage(0.3, "Loading the model")
    model = engine_onnx.load_model(request.model_path)
    box = fit_box(mask, model.margin)
    crop = crop_square(cut, box, model.input_size)
    clock.stage(0.7, "Predicting")
    answer = engine_onnx.predict(model, crop)
    cloud, rotation = answer.cloud, answer.rotation
    clock.stage(0.9, "Colouring")
    camera = None if rotation is None else fit_camera(cloud.xyz, rotation, mask, model.distance)
    if camera is not None:
        camera.hypotheses = hypotheses_of(answer.rotations, answer.scores)
    color_source = add_colors(cloud, camera, cut)
    if camera is not None:
        cloud.visibility = visibility.classify(cloud.xyz, camera)
    clock.stage(1.0, "Placing")
    name = model_name(model.card, request.model_path)
    return Outcome(
        cloud,
        camera,
        mask,
        box,
        crop,
        color_source,
        name,
        clock.timings_ms,
        answer.category,
        answer.probability,
    )


def add_colors(cloud: Cloud, camera: PhotoCamera | None, cut: np.ndarray) -> str:
    """Colour a cloud in place by the best source there is, and say which in a few words."""
    if cloud.colors is not None:
        return "predicted by the model"
    if camera is not None:
        step = max(1, max(cut.shape[:2]) // _COLOR_SIDE)
        cloud.colors = colors_from_photo(cloud.xyz, camera, cut[::step, ::step])
        return "looked up in the photo"
    cloud.colors = ramp_colors(height_shares(cloud.xyz))
    return "by height"


def model_name(card: dict, path: Path) -> str:
    """A model in a few words: what it knows and by which recipe."""
    categories = ", ".join(str(one) for one in card.get("categories") or [])
    recipe = card.get("recipe")
    return f"{categories or path.stem} ({recipe})" if recipe else categories or path.stem


def category_text(category: str, probability: float | None) -> str:
    """A category in the panel's words."""
    return category if probability is None else f"{category} ({probability:.0%} sure)"


class _Clock:
    """Reports the stages to the job, and how long each took."""

    def __init__(self, job: Job) -> None:
        self.job, self.timings_ms = job, {}
        self._name, self._start = "", time.perf_counter()

    def stage(self, fraction: float, name: str) -> None:
        now = time.perf_counter()
        if self._name:
            self.timings_ms[self._name] = round((now - self._start) * 1000, 2)
        self._name, self._start = name, now
        self.job.report(fraction, name)
