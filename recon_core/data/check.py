# SPDX-License-Identifier: Apache-2.0
"""Checking that a dataset folder is whole and that its files agree with each other."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import torch
from tqdm import tqdm

from ..cameras import Cameras
from ..errors import DatasetError
from ..pointcloud import PointCloud
from .check_points import Spacing, check_cloud, check_depth, check_silhouette
from .check_views import check_view_images
from .dataset import Dataset
from .splits import SPLITS

ORTHONORMAL_TOLERANCE = 1e-4
Value = TypeVar("Value")

# Code -> what is checked, in the order of the printed table.
CHECKS = {
    "index": "dataset.json and folders agree",
    "splits": "splits name each object once",
    "transforms": "transforms.json readable",
    "cameras": "cameras orthonormal, intrinsics usable",
    "files": "images present, right size and format",
    "mask empty": "masks not empty",
    "mask full": "masks not full",
    "mask cut": "masks not cut by the frame",
    "alpha": "alpha of images equals the mask",
    "parts": "part ids in range, inside the mask",
    "normals": "normals of unit length",
    "symmetry": "symmetry order valid",
    "points": "points.ply readable, labels in range",
    "normalised": "points centred, diagonal 1",
    "silhouette": "masks match reprojected points (IoU)",
    "depth": "depth matches points",
    "leftovers": "no failed or half-rendered objects",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the check's code, the object and view where known, and a sentence."""

    code: str
    message: str
    object: str = ""
    view: int | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = self.object if self.view is None else f"{self.object} view {self.view}"
        return f"{where}: {self.message}" if where else self.message


@dataclass
class CheckReport:
    """What was looked at and found; `ious` are the silhouette IoUs of all views that were compared."""

    root: Path
    objects: int = 0
    views: int = 0
    problems: list[Problem] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)  # how often each check was made

    @property
    def errors(self) -> list[Problem]:
        """Problems that make the dataset unfit."""
        return [problem for problem in self.problems if problem.severity == "error"]

    def attempt(
        self, code: str, read: Callable[[], Value], name: str = "", view: int | None = None
    ) -> Value | None:
        """Return what `read` gives; a DatasetError becomes a problem and None."""
        self.done[code] += 1
        try:
            return read()
        except DatasetError as error:
            self.problems.append(Problem(code, str(error), name, view))
            return None

    def add(self, code: str, messages: list[str], name: str = "", view: int | None = None) -> None:
        """Count one check and note its problems."""
        self.done[code] += 1
        self.problems += [Problem(code, message, name, view) for message in messages]


def check_dataset(root: str | Path, limit: int = 0, quiet: bool = False) -> CheckReport:
    """Look at every object of a dataset folder, or at `limit` of them spread evenly.

    Raises DatasetError only when the folder is no dataset at all; everything else is in the report.
    """
    dataset = Dataset.open(root)
    report = CheckReport(dataset.root)
    names = dataset.objects()
    _check_index(dataset, names, report)
    _check_splits(dataset, names, report)
    _check_leftovers(dataset, report)
    if limit and limit < len(names):
        names = [names[index * len(names) // limit] for index in range(limit)]
    for name in tqdm(names, desc="check", unit="object", disable=quiet, dynamic_ncols=True, leave=False):
        check_object(dataset, name, report)
    return report


def check_object(dataset: Dataset, name: str, report: CheckReport) -> None:
    """Check one object and all its views."""
    report.objects += 1
    if report.attempt("transforms", lambda: dataset.transforms(name), name) is None:
        return
    report.attempt("symmetry", lambda: dataset.symmetry_order(name), name)
    _check_part_names(dataset, name, report)
    cameras = report.attempt("cameras", lambda: dataset.cameras(name), name)
    if not dataset.pose_known(name):
        cameras = None  # placeholders: nothing can be projected by them
    if cameras is not None:
        report.add("cameras", camera_problems(cameras), name)
    cloud = _read_points(dataset, name, report)
    spacing = None if cloud is None else Spacing.of(cloud)
    for view in range(dataset.views(name)):
        report.views += 1
        images = check_view_images(dataset, name, view, report)
        if images.mask is None or cameras is None or cloud is None or spacing is None:
            continue
        camera = cameras[view : view + 1]
        iou, messages = check_silhouette(cloud, spacing, camera, images.mask)
        report.ious.append(iou)
        report.add("silhouette", messages, name, view)
        if images.depth is not None:
            report.add("depth", check_depth(cloud, spacing, camera, images.depth, images.mask), name, view)


def camera_problems(cameras: Cameras) -> list[str]:
    """Sentences about poses that are not quite rigid and image centres that lie elsewhere.

    What no reader could use is refused when the cameras are read; this is stricter.
    """
    rotation = cameras.world_to_cam[:, :3, :3]  # (V, 3, 3)
    error = (rotation @ rotation.mT - torch.eye(3, dtype=rotation.dtype)).abs().amax((1, 2))
    messages = [
        f"view {view}: the camera's rotation is not orthonormal (off by {off:.2g})"
        for view, off in enumerate(error.tolist())
        if off > ORTHONORMAL_TOLERANCE
    ]
    return messages + [
        f"view {view}: the principal point {cx:g}, {cy:g} lies outside the image"
        for view, (cx, cy) in enumerate(zip(cameras.cx.tolist(), cameras.cy.tolist()))
        if not (0 <= cx <= cameras.width and 0 <= cy <= cameras.height)
    ]


def _read_points(dataset: Dataset, name: str, report: CheckReport) -> PointCloud | None:
    made_without = dataset.transforms(name)["recon"].get("points") is False
    if made_without or dataset.meta.render.get("points") == 0:
        return None
    cloud = report.attempt("points", lambda: dataset.points(name), name)
    if cloud is None:
        return None
    normalised = dataset.meta.render.get("normalise", "bbox") == "bbox"
    for code, message in check_cloud(cloud, len(dataset.part_names(name)), normalised):
        report.add(code, [message], name)
    report.done["normalised"] += normalised
    return cloud


def _check_part_names(dataset: Dataset, name: str, report: CheckReport) -> None:
    """An object's own part names must be its category's, or ids would mean different things."""
    own = dataset.transforms(name)["recon"].get("parts")
    shared = dataset.meta.parts.get(name.partition("/")[0])
    if own and own != shared:
        message = f"its part names {own} are not those of dataset.json, {shared}"
        report.add("parts", [message], name)


def _check_index(dataset: Dataset, names: list[str], report: CheckReport) -> None:
    messages = [] if names else [f"{dataset.root} holds no objects; render some into it"]
    for entry in sorted(os.scandir(dataset.root), key=lambda one: one.name):
        known = entry.name in dataset.meta.categories or entry.name.startswith(".") or not entry.is_dir()
        if not known and any(Path(entry.path).glob("*/transforms.json")):
            messages.append(f"the folder {entry.name} holds objects but is no category of dataset.json")
    most = max(
        (max(ids, default=0) for ids in [range(len(p) + 1) for p in dataset.meta.parts.values()]), default=0
    )
    if dataset.meta.parts and len(dataset.meta.palette) <= most:
        messages.append(f"the palette has {len(dataset.meta.palette)} colours for part ids up to {most}")
    report.add("index", messages)


def _check_splits(dataset: Dataset, names: list[str], report: CheckReport) -> None:
    lists = {split: report.attempt("splits", lambda s=split: dataset.objects(s)) for split in SPLITS}
    counts = Counter(name for members in lists.values() for name in members or [])
    twice = sorted(name for name, count in counts.items() if count > 1)
    absent = sorted(set(names) - set(counts))
    messages = [f"{len(twice)} objects stand in the splits more than once"] if twice else []
    if absent and all(members is not None for members in lists.values()):
        messages.append(f"{len(absent)} objects are in no split")
    examples = iter((twice[:1] if twice else []) + absent[:1])
    for message in messages:
        report.problems.append(Problem("splits", message, next(examples, "")))


def _check_leftovers(dataset: Dataset, report: CheckReport) -> None:
    report.done["leftovers"] += 1
    messages = []
    failures = dataset.root / "failed.jsonl"
    if failures.is_file():
        count = sum(1 for line in failures.read_bytes().splitlines() if line.strip())
        messages.append(f"{count} objects failed to render; failed.jsonl says why")
    half = list(dataset.root.glob("*/.*.tmp-*"))
    if half:
        messages.append(
            f"{len(half)} half-rendered folders of a killed run, such as {half[0].name}; remove them"
        )
    report.problems += [Problem("leftovers", message, severity="warning") for message in messages]
