# SPDX-License-Identifier: Apache-2.0
"""The worker's job `refine`: a cloud moved until it fits the outline in its images, and coloured by them."""

from pathlib import Path
from typing import Any

from .data_jobs import Emit
from .protocol import RefineJob


def refine(job: RefineJob, emit: Emit) -> dict[str, Any]:
    """Paths of the files that are written and the record of the JSON file; raises the ReconError family."""
    emit("load", 0.0)
    from ..refining.verb import RefineRequest, refine_files

    images, masks, cameras = (
        tuple(Path(path) for path in paths) for paths in (job.images, job.masks, job.cameras)
    )
    request = RefineRequest(
        Path(job.source),
        images,
        Path(job.out),
        masks,
        cameras,
        job.foreground,
        job.pose,
        job.symmetry,
        job.steps,
        colors=job.colors,
    )
    result = refine_files(request, emit)
    paths = {"cloud": result.ply, "preview": result.preview, "json": result.json}
    return {name: str(path) for name, path in paths.items()} | {"record": result.record}
