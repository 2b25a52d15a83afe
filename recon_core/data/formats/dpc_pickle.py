# SPDX-License-Identifier: Apache-2.0
"""The pickles of DPC's PyTorch port: <id>_features.p with the arrays of DPC's records, all classes in one folder."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from .base import Entry, FormatInfo, ImportedObject, ImportOptions
from .dpc_arrays import object_from_arrays
from .dpc_tfrecord import with_truth
from .pickles import read_array_pickle
from .split_files import read_splits
from .synsets import NAMES, category_of

INFO = FormatInfo("pickles of DPC's PyTorch port; only numpy arrays are read, nothing is run", "Y", "X")

_SUFFIX = "_features.p"


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per file; class and split come from the lists in splits/, else from the folder's name."""
    source = options.source
    splits = read_splits([source / "splits", source.parent / "splits", source])
    known = {name: (synset, split) for (synset, name), split in splits.items()}
    fallback = source.name if source.name in NAMES else "object"
    for path in sorted(source.glob(f"*{_SUFFIX}")) + sorted(source.glob(f"*/*{_SUFFIX}")):
        name = path.name.removesuffix(_SUFFIX)
        synset, split = known.get(name, ("", None))
        synset = synset or (path.parent.name if path.parent.name in NAMES else fallback)
        yield Entry(
            options.category or category_of(synset),
            name,
            path.relative_to(source).as_posix(),
            partial(_load, path, source, synset, name, options),
            split,
        )


def _load(path: Path, source: Path, synset: str, name: str, options: ImportOptions) -> ImportedObject:
    values = read_array_pickle(path)
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    return with_truth(object_from_arrays(arrays, path, options), source, synset, name)
