# SPDX-License-Identifier: Apache-2.0
"""RUN/canonical.json: the rotation from the frame that a model without known poses chose to the object frame.

`recon eval` finds it (evaluation/canonical.py) and writes it; `recon reconstruct` then gives clouds that stand
upright and face the front. It holds for the weights it was found with, which it names by their steps.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .errors import CheckpointError
from .io.atomic import write_json
from .io.weights import read_json

FILE_NAME = "canonical.json"
OBJECT_FRAME = "object: +Z up, front -Y, box centre 0, diagonal 1"
_METHOD = "ICP of predicted clouds to the true points of objects with known cameras, then the mean rotation"


@dataclass(frozen=True)
class CanonicalFrame:
    """The rotation (3,3) canonical -> object, and in words how it was found; why there is none otherwise."""

    rotation: np.ndarray | None
    note: str


def write_canonical(run_folder: Path, alignment: dict[str, Any], steps: int | None, data: str) -> Path:
    """Write the file from what evaluation says about its alignment ("rotation", "split", counts)."""
    found = {name: value for name, value in alignment.items() if name != "rotation"}
    content = {
        "version": 1,
        "generator": f"recon {__version__}",
        "object_from_canonical": alignment["rotation"],
        "object_frame": OBJECT_FRAME,
        "steps": steps,
        "found": {"method": _METHOD, "data": data, **found},
    }
    path = run_folder / FILE_NAME
    write_json(path, content)
    return path


def read_canonical(run_folder: Path, steps: int | None) -> CanonicalFrame:
    """The rotation for weights of `steps` steps; none, with the reason, when it was not found for them.

    Raises CheckpointError for a file that is broken or holds no rotation.
    """
    path = run_folder / FILE_NAME
    if not path.is_file():
        return CanonicalFrame(None, "not aligned to the object frame: `recon eval` of this run finds out how")
    content = read_json(path)
    if content.get("steps") != steps:
        return CanonicalFrame(
            None,
            f"not aligned to the object frame: {FILE_NAME} was found at step {content.get('steps')}, these weights "
            f"are of step {steps}; `recon eval` finds it anew",
        )
    rotation = _rotation(content.get("object_from_canonical"), path)
    found = content.get("found")
    found = found if isinstance(found, dict) else {}
    note = f"aligned by {FILE_NAME}: one rotation, found by `recon eval` on {found.get('objects', 'some')} objects"
    if isinstance(found.get("spread_deg"), float):
        note += f" that differ from it by {found['spread_deg']:.1f} degrees on average"
    if found.get("symmetric_used"):
        note += "; they have symmetries, so the heading may be wrong"
    return CanonicalFrame(rotation, note)


def _rotation(value: Any, path: Path) -> np.ndarray:
    try:
        rotation = np.array(value, np.float64)
    except (TypeError, ValueError):
        rotation = np.zeros(0)
    if (
        rotation.shape != (3, 3)
        or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
        or np.linalg.det(rotation) < 0
    ):
        raise CheckpointError(
            f"{path}: object_from_canonical is not a rotation of 3 x 3 numbers. Remove the file and run `recon eval`."
        )
    return rotation
