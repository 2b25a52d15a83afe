# SPDX-License-Identifier: Apache-2.0
"""The worker's job `place`: the camera under which a known object covers a photograph's mask."""

from pathlib import Path
from typing import Any

from .data_jobs import Emit
from .mask_hints import hints_of
from .protocol import PlaceJob


def place(job: PlaceJob, emit: Emit) -> dict[str, Any]:
    """Paths of the JSON file and the picture, and the record; raises the ReconError family."""
    emit("load", 0.0)
    from ..placing.place import PlaceOptions
    from ..placing.verb import PlaceRequest, place_files

    elevation = None if job.elevation_deg is None else (job.elevation_deg[0], job.elevation_deg[1])
    options = PlaceOptions(
        job.focal_mm, job.sensor_mm, job.up, job.roll_deg, job.ground, elevation, job.cropped, job.margin,
        use_colors=job.colors, seed=job.seed,
    )  # fmt: skip
    mask, start = (None if path is None else Path(path) for path in (job.mask, job.start))
    request = PlaceRequest(
        Path(job.object), Path(job.image), Path(job.out), options, mask, job.foreground, start, hints_of(job)
    )
    placed = place_files(request, lambda stage, fraction: emit(stage, round(fraction, 3)))
    return {"json": str(placed.json), "picture": str(placed.picture), "record": placed.record}
