# SPDX-License-Identifier: Apache-2.0
"""Gives part labels from ShapeNet-Part to the objects of an existing dataset, by category and id.

There are no images in ShapeNet-Part, so no objects can be made of it alone. A cloud is accepted when it fits the
object's masks. An object with points keeps them and takes each point's label from the nearest labelled one; an object
without gets the labelled cloud as its points.ply.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree
from tqdm import tqdm

from ...cameras import object_from_axes
from ...errors import DatasetError, ReconError
from ...io.atomic import write_json
from ...io.ply import write_ply
from ...pointcloud import PointCloud
from ...visual import palette
from ..check_points import Spacing, check_silhouette
from ..dataset import Dataset
from .base import FormatInfo, ImportOptions
from .shapenet_part import labelled_clouds, part_count, read_labelled
from .synsets import part_names
from .write import ImportResult, write_skipped

INFO = FormatInfo("part labels of ShapeNet-Part for the objects of a dataset that is already there", "Y", "X")

MIN_MEAN_IOU = 0.8
CHECKED_VIEWS = 4
# Object units; a labelled cloud of 2,000 points has its next point within about 0.02.
MAX_LABEL_DISTANCE = 0.1


def attach_labels(options: ImportOptions) -> ImportResult:
    """Label the objects of options.target that ShapeNet-Part knows; the others are left as they are.

    Raises DatasetError when the target is no dataset or shares no object with the source.
    """
    dataset = Dataset.open(options.target)
    clouds = labelled_clouds(options.source, options.category)
    names = [name for name in dataset.objects() if name in clouds]
    if not names:
        raise DatasetError(
            f"{options.source} has {len(clouds)} labelled clouds, none of an object of {options.target}. Import "
            "renders (dpc, drc, dvr or r2n2) with the same ids first."
        )
    result = ImportResult()
    for name in tqdm(names[: options.limit or None], desc="label", unit="object", disable=options.quiet):
        if _is_labelled(dataset, name):
            result.complete_before += 1
        elif options.dry_run:
            result.planned.append(name)
        else:
            try:
                _attach(dataset, name, clouds[name], options)
                result.imported += 1
            except (ReconError, OSError) as error:
                result.skipped[name] = " ".join(str(error).split())
    if not options.dry_run:
        write_skipped(options.target, result.skipped, set(names) - set(result.skipped))
    return result


def _is_labelled(dataset: Dataset, name: str) -> bool:
    return bool(dataset.transforms(name)["recon"].get("parts"))


def _attach(dataset: Dataset, name: str, path: Path, options: ImportOptions) -> None:
    category, folder = name.partition("/")[0], dataset.folder(name)
    own = dataset.points(name) if (folder / "points.ply").is_file() else None
    labelled = _in_object_frame(read_labelled(path), own, options)
    assert labelled.labels is not None
    _check_fit(dataset, name, labelled)
    names = part_names(category, part_count(path) or int(labelled.labels.max()))
    known = dataset.meta.parts.get(category)
    if known and tuple(known) != names:
        raise DatasetError(f"{path}: parts {', '.join(names)}; the dataset has {', '.join(known)}.")
    write_ply(folder / "points.ply", labelled if own is None else _transferred(own, labelled))
    dataset.meta.parts[category] = list(names)
    _note_parts(dataset, name, list(names))


def _in_object_frame(found: PointCloud, own: PointCloud | None, options: ImportOptions) -> PointCloud:
    """Turned into the object frame, with the box of the object's own points, else centred with diagonal 1."""
    turn = object_from_axes(options.up or INFO.up, options.front or INFO.front).numpy()[:3, :3]
    xyz = found.xyz.astype(np.float64) @ turn.T
    low, high = xyz.min(0), xyz.max(0)
    target = (
        np.array([np.zeros(3), np.zeros(3)]) if own is None else np.array([own.xyz.min(0), own.xyz.max(0)])
    )
    diagonal = 1.0 if own is None else float(np.linalg.norm(target[1] - target[0]))
    scale = diagonal / max(float(np.linalg.norm(high - low)), 1e-9)
    normals = None if found.normals is None else found.normals @ turn.T
    return replace(found, xyz=(xyz - (low + high) / 2) * scale + target.mean(0), normals=normals)


def _check_fit(dataset: Dataset, name: str, labelled: PointCloud) -> None:
    """Raise DatasetError unless the cloud's silhouettes are those of the masks."""
    if dataset.transforms(name)["recon"].get("pose_known") is False:
        raise DatasetError("Its cameras are unknown, so it cannot be seen whether the labelled points fit.")
    cameras, spacing, ious = dataset.cameras(name), Spacing.of(labelled), []
    for view in range(min(CHECKED_VIEWS, dataset.views(name))):
        iou, _ = check_silhouette(labelled, spacing, cameras[view : view + 1], dataset.mask(name, view))
        ious.append(iou)
    if np.mean(ious) < MIN_MEAN_IOU:
        raise DatasetError(
            f"The labelled points agree with its masks by an IoU of {np.mean(ious):.2f} only (at least "
            f"{MIN_MEAN_IOU}). Are the axes others? See --up and --front."
        )


def _transferred(own: PointCloud, labelled: PointCloud) -> PointCloud:
    """The object's own points with the labels of the nearest labelled ones; 0 where none is near."""
    assert labelled.labels is not None
    distance, nearest = KDTree(labelled.xyz).query(own.xyz)
    labels = np.where(distance <= MAX_LABEL_DISTANCE, labelled.labels[nearest], 0)
    return replace(own, labels=labels.astype(np.uint8))


def _note_parts(dataset: Dataset, name: str, names: list[str]) -> None:
    """dataset.json before the object, so that a killed run leaves no ids without names."""
    path = dataset.root / "dataset.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    document.setdefault("parts", {})[name.partition("/")[0]] = names
    most = max(len(one) for one in document["parts"].values())
    if len(document.get("palette", [])) <= most:
        document["palette"] = palette(most).tolist()
    if document.get("render", {}).get("points") == 0:
        document["render"].pop("points")
    write_json(path, document)
    transforms = json.loads((dataset.folder(name) / "transforms.json").read_text(encoding="utf-8"))
    transforms["recon"]["parts"] = names
    transforms["recon"].pop("points", None)
    write_json(dataset.folder(name) / "transforms.json", transforms)
