# SPDX-License-Identifier: Apache-2.0
"""Proof that cameras were converted rightly: the true points, projected by recon_core, fill the masks."""

from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner, Result

from recon_core.cli import app
from recon_core.data.check import CheckReport, check_dataset
from recon_core.data.check_points import Spacing, check_silhouette
from recon_core.data.dataset import Dataset
from recon_core.pointcloud import PointCloud

MIN_IOU = 0.9


def recon(*words: object) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def run_import(kind: str, source: Path, target: Path, *more: object, status: int = 0) -> Result:
    """`recon import`; asserts its exit status and that there was no traceback."""
    result = recon("import", kind, source, target, "--quiet", *more)
    crashed = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not crashed, repr(result.exception)
    assert result.exit_code == status, result.output
    return result


def assert_sound(root: Path, min_iou: float = MIN_IOU) -> CheckReport:
    """`recon check` finds no error, and every view's mask agrees with the reprojected points."""
    report = check_dataset(root, quiet=True)
    assert [str(one) for one in report.errors] == []
    assert len(report.ious) == report.views > 0
    assert min(report.ious) >= min_iou, sorted(report.ious)[:5]
    return report


def ious_of(root: Path, name: str, xyz_object: np.ndarray) -> list[float]:
    """IoU of every view's mask with given points (N,3) of the object frame."""
    dataset = Dataset.open(root)
    cloud = PointCloud(xyz_object)
    spacing, cameras = Spacing.of(cloud), dataset.cameras(name)
    return [
        check_silhouette(cloud, spacing, cameras[view : view + 1], dataset.mask(name, view))[0]
        for view in range(dataset.views(name))
    ]


def object_from_shapenet(xyz: np.ndarray) -> np.ndarray:
    """ShapeNet's +Y up, front +X to +Z up, front -Y: (x, y, z) -> (-z, -x, y)."""
    return np.stack((-xyz[..., 2], -xyz[..., 0], xyz[..., 1]), -1)


def mean_colour_error(root: Path, name: str, view: int, rgba: np.ndarray) -> float:
    """Mean difference in levels of the colours inside the mask."""
    image = Dataset.open(root).image(name, view).astype(float)
    inside = rgba[..., 3] == 255
    return float(np.abs(image[inside][:, :3] - rgba[inside][:, :3]).mean())


def eye_of(root: Path, name: str) -> torch.Tensor:
    """Camera centres (V,3) in the object frame."""
    from recon_core.cameras import camera_to_world

    return camera_to_world(Dataset.open(root).cameras(name).world_to_cam)[:, :3, 3]
