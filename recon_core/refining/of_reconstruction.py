# SPDX-License-Identifier: Apache-2.0
"""`recon reconstruct --refine`: a reconstruction in memory, refined against the mask that it was made with."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..inference.reconstruct import Reconstruction
from .attributes import NOTE, with_attributes
from .colors import Colors
from .hypotheses import viewpoints_of
from .preview import color_row, fit_row
from .refine import Progress, RefineOptions, careful, refine
from .sources import View


def refine_reconstruction(
    result: Reconstruction,
    path: Path,
    options: RefineOptions | None = None,
    colors: Colors = "auto",
    progress: Progress | None = None,
) -> Reconstruction:
    """The same photograph's result with cloud, colours and camera refined; raises InputError without a pose."""
    before, camera = result.cloud, result.camera
    if camera is None:
        raise InputError(
            f"{path}: the model predicts no pose, so its cloud cannot be refined. Leave out --refine, or give "
            "`recon refine` a camera that `recon place` found."
        )
    known = viewpoints_of(before.xyz, camera, result.hypotheses, result.mask)
    found = refine(before, [camera], [result.mask], options or careful(), progress, [known])
    found = found.with_colors([np.dstack((result.image.rgba[..., :3], result.mask))], colors)
    cloud = with_attributes(before, found.cloud, found.cameras, found.colors)
    trust = result.confidence
    if trust is not None and cloud.confidence is not None:
        trust = replace(
            trust, probability=cloud.confidence, visibility=cloud.visibility, note=f"{trust.note}; {NOTE}"
        )
    view = View(path, result.image, result.mask, result.mask_source, camera)
    tiles, texts = fit_row(view, 0, (before, camera), (cloud, found.cameras[0]), found)
    more_tiles, more_texts = color_row(view, 0, found)
    return replace(
        result,
        cloud=cloud,
        camera=found.cameras[0],
        color_source=result.color_source if found.colors is None else "fitted",
        refined=found.record(),
        refined_row=(tiles[1:] + more_tiles, texts[1:] + more_texts),
        confidence=trust,
        timings_ms=result.timings_ms
        | {
            "refine": round(1000 * found.figures.seconds, 3),
            "total": round(result.timings_ms.get("total", 0.0) + 1000 * found.figures.seconds, 3),
        },
    )
