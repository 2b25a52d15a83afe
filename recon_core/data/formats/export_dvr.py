# SPDX-License-Identifier: Apache-2.0
"""Writes a native dataset in DVR's layout: ShapeNet's +Y up frame, OpenCV cameras, images on white."""

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ...cameras import dvr_matrices, object_from_axes
from ...errors import DatasetError, ReconError
from ...io.atomic import atomic_path, write_text
from ...io.images import write_png
from ..dataset import Dataset
from ..splits import SPLITS
from .dvr import INFO
from .synsets import NUMBERS


@dataclass
class ExportResult:
    """What a run did; `skipped` says why, by object."""

    exported: int = 0
    complete_before: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """0: everything is there; 3: some objects were skipped; 1: none could be exported."""
        if not self.skipped:
            return 0
        return 3 if self.exported + self.complete_before else 1

    def __str__(self) -> str:
        counts = (
            f"{self.exported} exported, {self.complete_before} complete before, {len(self.skipped)} skipped"
        )
        return "\n".join([counts, *(f"{name}: {why}" for name, why in self.skipped.items())])


def export_dvr(
    source: Path, target: Path, limit: int = 0, synsets: bool = True, quiet: bool = False
) -> ExportResult:
    """Write <target>/<class>/<object>/{image, mask, cameras.npz, pointcloud.npz} and softras_*.lst.

    Classes are named by their synset where there is one, unless `synsets` is False. Complete objects are skipped.
    Raises DatasetError when the source is no dataset or the target lies in it.
    """
    dataset = Dataset.open(source)
    if os.path.commonpath((os.path.realpath(source), os.path.realpath(target))) == os.path.realpath(source):
        raise DatasetError(f"{target} lies in the dataset itself. Choose another folder.")
    result, written = ExportResult(), {}
    names = dataset.objects()
    for name in tqdm(names[: limit or None], desc="export", unit="object", disable=quiet, dynamic_ncols=True):
        category, _, own = name.partition("/")
        folder = target / (NUMBERS.get(category, category) if synsets else category) / own
        try:
            if (folder / "cameras.npz").is_file():
                result.complete_before += 1
            else:
                _export_object(dataset, name, folder)
                result.exported += 1
            written[name] = folder
        except (ReconError, OSError) as error:
            result.skipped[name] = " ".join(str(error).split())
    _write_lists(dataset, written)
    return result


def _export_object(dataset: Dataset, name: str, folder: Path) -> None:
    if dataset.transforms(name)["recon"].get("pose_known") is False:
        raise DatasetError("Its cameras are unknown; DVR's layout needs them.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for kind in ("image", "mask"):
            (temporary / kind).mkdir(parents=True)
        for view in range(dataset.views(name)):
            _export_view(dataset, name, view, temporary)
        _write_npz(temporary / "cameras.npz", _cameras(dataset, name))
        if (dataset.folder(name) / "points.ply").is_file():
            _write_npz(temporary / "pointcloud.npz", _points(dataset, name))
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _export_view(dataset: Dataset, name: str, view: int, folder: Path) -> None:
    image, mask = dataset.image(name, view), dataset.mask(name, view)
    alpha = mask[..., None].astype(np.float32) / 255
    on_white = image[..., :3] * alpha + 255 * (1 - alpha)
    write_png(folder / "image" / f"{view:04d}.png", np.rint(on_white).astype(np.uint8))
    write_png(folder / "mask" / f"{view:04d}.png", mask)


def _source_from_object() -> torch.Tensor:
    return torch.linalg.inv(object_from_axes(INFO.up, INFO.front))


def _cameras(dataset: Dataset, name: str) -> dict[str, np.ndarray]:
    cameras = dataset.cameras(name)
    turned = replace(cameras, world_to_cam=cameras.world_to_cam @ torch.linalg.inv(_source_from_object()))
    world, intrinsics = dvr_matrices(turned)
    arrays = {}
    for view in range(len(cameras)):
        for kind, matrix in (("world_mat", world[view]), ("camera_mat", intrinsics[view])):
            arrays[f"{kind}_{view}"] = matrix.numpy()
            arrays[f"{kind[:-4]}_mat_inv_{view}"] = np.linalg.inv(matrix.numpy())
    return arrays


def _points(dataset: Dataset, name: str) -> dict[str, np.ndarray]:
    cloud, turn = dataset.points(name), _source_from_object()[:3, :3].numpy()
    arrays = {"points": (cloud.xyz @ turn.T).astype(np.float32)}
    if cloud.normals is not None:
        arrays["normals"] = (cloud.normals @ turn.T).astype(np.float32)
    return arrays


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]


def _write_lists(dataset: Dataset, written: dict[str, Path]) -> None:
    """softras_{split}.lst of every class, from the dataset's splits."""
    lists: dict[Path, list[str]] = {
        folder.parent / f"softras_{split}.lst": [] for folder in written.values() for split in SPLITS
    }
    for split in SPLITS:
        for name in dataset.objects(split):
            if name in written:
                lists[written[name].parent / f"softras_{split}.lst"].append(written[name].name)
    for path, members in lists.items():
        write_text(path, "".join(f"{one}\n" for one in members))
