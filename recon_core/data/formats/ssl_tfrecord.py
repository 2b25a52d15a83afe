# SPDX-License-Identifier: Apache-2.0
"""ssl_3d_recon's TFRecords: <synset>_<mode>_{image,mask,pose,pcl_color}.tfrecords, one view per model.

Records of the four files belong together by their filename, "<model>_<view>" (pcl_color: "<model>"), and are in the
same order, apart from those that one of the files lacks.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...cameras import DEFAULT_DISTANCE, DEFAULT_FOCAL_WIDTHS, from_drc_view
from ...errors import DatasetError, InputError
from ...io.images import decode_image
from ...pointcloud import PointCloud
from .arrays import cloud
from .base import Entry, FormatInfo, ImportedObject, ImportedView, ImportOptions, failing, square_cameras
from .synsets import category_of
from .tfrecord import Feature, parse_example, read_records

INFO = FormatInfo(
    "ssl_3d_recon's TFRecords: one image, mask, pose and cloud per model", "Y", "X", countable=False
)

_NAME = re.compile(r"(?P<synset>[^_]+)_(?P<split>train|val|test)_image\.tfrecords?")
# How many records the files may be apart.
_MAX_AHEAD = 256


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per record of the image files."""
    for path in sorted(options.source.iterdir()):
        if match := _NAME.fullmatch(path.name):
            yield from _file_entries(path, match["synset"], match["split"], options)


def _file_entries(path: Path, synset: str, split: str, options: ImportOptions) -> Iterator[Entry]:
    category = options.category or category_of(synset)
    beside = {
        kind: _Companion(path.with_name(path.name.replace("_image.", f"_{kind}.")))
        for kind in ("mask", "pose", "pcl_color")
    }
    try:
        for number, record in enumerate(read_records(path)):
            where = f"{path.name}: record {number}"
            features = parse_example(record, where)
            name = _text(features, "filename", where)
            model = name.rpartition("_")[0] or name
            found = {kind: one.take(model if kind == "pcl_color" else name) for kind, one in beside.items()}
            yield Entry(category, model, path.name, partial(_load, features, found, where), split)
    except DatasetError as error:
        yield failing(category, f"{path.name.partition('.')[0]}-rest", path.name, str(error), split)


class _Companion:
    """Finds records by name in a file that is read along with another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = read_records(path) if path.is_file() else iter(())
        self.ahead: dict[str, dict[str, Feature]] = {}

    def take(self, name: str) -> dict[str, Feature] | None:
        """The features of a name, None when the file lacks it."""
        while name not in self.ahead and len(self.ahead) < _MAX_AHEAD:
            record = next(self.records, None)
            if record is None:
                break
            features = parse_example(record, self.path.name)
            self.ahead[_text(features, "filename", self.path.name)] = features
        return self.ahead.pop(name, None)


def _load(
    features: dict[str, Feature], beside: dict[str, dict[str, Feature] | None], where: str
) -> ImportedObject:
    rgba, has_alpha = _pixels(features, where)
    mask = rgba[..., 3]
    if (other := beside["mask"]) is not None:
        mask = _pixels(other, f"{where} (mask)")[0][..., 0]
    elif not has_alpha:
        raise DatasetError(f"{where}: the image has no alpha channel and there is no mask of its name.")
    if mask.shape != rgba.shape[:2] or mask.shape[0] != mask.shape[1]:
        raise DatasetError(f"{where}: image and mask must be squares of the same size.")
    view = ImportedView(np.ascontiguousarray(mask), rgba[..., :3])
    pose = None if (other := beside["pose"]) is None else _pose(other, where)
    return ImportedObject(
        1,
        lambda index: view,
        None if pose is None else square_cameras(pose, DEFAULT_FOCAL_WIDTHS, len(mask)),
        None if (other := beside["pcl_color"]) is None else _cloud(other, where),
    )


def _pixels(features: dict[str, Feature], where: str) -> tuple[np.ndarray, bool]:
    try:
        image = decode_image(_bytes(features, "image", where), where)
    except InputError as error:
        raise DatasetError(str(error)) from error
    return image.rgba, image.has_alpha


def _pose(features: dict[str, Feature], where: str) -> torch.Tensor:
    """World-to-camera (1,4,4), ShapeNet's frame, of azimuth and elevation in radians."""
    raw = _bytes(features, "pose", where)
    angles = np.frombuffer(raw, "<f8") if len(raw) == 16 else np.full(2, np.nan)
    if not np.isfinite(angles).all():
        raise DatasetError(f"{where}: expected a pose of two finite angles.")
    azimuth_deg, elevation_deg = torch.from_numpy(np.degrees(angles)).split(1)
    return from_drc_view(azimuth_deg, elevation_deg, torch.full((1,), DEFAULT_DISTANCE, dtype=torch.float64))


def _cloud(features: dict[str, Feature], where: str) -> PointCloud:
    """Points and colours in [0, 1], rows of six float64."""
    raw = _bytes(features, "pcl", where)
    if not raw or len(raw) % 48:
        raise DatasetError(f"{where}: a cloud of {len(raw)} bytes is no table of x y z r g b.")
    table = np.frombuffer(raw, "<f8").reshape(-1, 6)
    result = cloud(table[:, :3], where)
    if np.isfinite(table[:, 3:]).all() and table[:, 3:].min() >= 0 and table[:, 3:].max() <= 1:
        result.colors = np.rint(table[:, 3:] * 255).astype(np.uint8)
    return result


def _bytes(features: dict[str, Feature], key: str, where: str) -> bytes:
    value = features.get(key)
    if not isinstance(value, list) or not value:
        raise DatasetError(f"{where} has no {key}.")
    return value[0]


def _text(features: dict[str, Feature], key: str, where: str) -> str:
    try:
        return _bytes(features, key, where).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: its {key} is no text.") from error
