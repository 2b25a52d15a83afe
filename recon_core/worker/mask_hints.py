# SPDX-License-Identifier: Apache-2.0
"""What a job's `box` and `scribbles` say about where the object is."""

from pathlib import Path
from typing import TYPE_CHECKING

from .protocol import PlaceJob, ReconstructJob

if TYPE_CHECKING:
    from ..inference.hints import MaskHints


def hints_of(job: ReconstructJob | PlaceJob) -> "MaskHints":
    """Both together; the pixels are those of the upright image."""
    from ..inference.hints import MaskHints

    box = None if job.box is None else (job.box[0], job.box[1], job.box[2], job.box[3])
    return MaskHints(box, None if job.scribbles is None else Path(job.scribbles))
