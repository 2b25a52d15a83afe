# SPDX-License-Identifier: Apache-2.0
"""DPC's, DRWR's and 2Dpm's TFRecords: <synset>_<split>.tfrecords, one example per model, gzip or plain."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import DatasetError
from ...pointcloud import PointCloud
from .base import Entry, FormatInfo, ImportedObject, ImportOptions, failing
from .dpc import ground_truth, read_truth
from .dpc_arrays import object_from_arrays
from .synsets import category_of
from .tfrecord import Feature, parse_example, read_records

INFO = FormatInfo(
    "DPC and DRWR TFRecords (gzip or plain), with mask_sdf or mask_sdfs",
    "Y",
    "X",
    accepts_file=True,
    countable=False,
)

_NAME = re.compile(r"(?P<synset>.+?)_(?P<split>train|val|test)\b.*")


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per record of every file; what follows a damaged record is reported as one."""
    source = options.source
    files = (
        [source]
        if source.is_file()
        else sorted(path for path in source.iterdir() if ".tfrecord" in path.name)
    )
    root = source.parent if source.is_file() else source
    for path in files:
        match = _NAME.fullmatch(path.name)
        synset, split = (match["synset"], match["split"]) if match else (path.name.partition(".")[0], None)
        yield from _file_entries(path, root, synset, split, options)


def _file_entries(
    path: Path, root: Path, synset: str, split: str | None, options: ImportOptions
) -> Iterator[Entry]:
    category, number = options.category or category_of(synset), 0
    try:
        for number, record in enumerate(read_records(path)):
            where = f"{path.name}: record {number}"
            try:
                features = parse_example(record, where)
                name = _text(features.get("name"), where)
            except DatasetError as error:
                yield failing(
                    category, f"{path.name.partition('.')[0]}-record-{number}", path.name, str(error), split
                )
                continue
            load = partial(_load, features, where, root, synset, name, options)
            yield Entry(category, name, path.name, load, split)
    except DatasetError as error:
        yield failing(category, f"{path.name.partition('.')[0]}-rest", path.name, str(error), split)


def _load(
    features: dict[str, Feature], where: str, root: Path, synset: str, name: str, options: ImportOptions
) -> ImportedObject:
    arrays = {key: value for key, value in features.items() if isinstance(value, np.ndarray)}
    found = object_from_arrays(arrays, where, options)
    return with_truth(found, root, synset, name)


def with_truth(found: ImportedObject, root: Path, synset: str, name: str) -> ImportedObject:
    """The object with the points of gt/downsampled/, where DPC's folder of them is beside the records."""
    path = ground_truth(root, synset, name)
    points: PointCloud | None = None if path is None else read_truth(path)
    return replace(found, points=points)


def _text(value: Feature | None, where: str) -> str:
    if not isinstance(value, list) or not value:
        raise DatasetError(f"{where} has no name.")
    try:
        return value[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: its name is no text.") from error
