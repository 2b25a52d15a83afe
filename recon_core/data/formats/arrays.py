# SPDX-License-Identifier: Apache-2.0
"""Arrays from npy, npz and mat files: headers and sizes are checked before anything is allocated; no pickles."""

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from ...errors import DatasetError
from ...pointcloud import PointCloud

MAX_ARRAY_BYTES = 512_000_000
MAX_MAT_FILE_BYTES = 256_000_000


def read_npy(path: Path, limit: int = MAX_ARRAY_BYTES) -> np.ndarray:
    """A .npy file; raises DatasetError for objects, damaged and too large arrays."""
    try:
        with path.open("rb") as file:
            return _read_array(file, path.stat().st_size, limit, str(path))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_npz(
    path: Path, wanted: Sequence[str] | None = None, limit: int = MAX_ARRAY_BYTES
) -> dict[str, np.ndarray]:
    """The wanted arrays of a .npz file that are in it, or all; raises DatasetError as `read_npy` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
            names = [name for name in (members if wanted is None else wanted) if name in members]
            total = sum(members[name].file_size for name in names)
            if total > limit:
                raise DatasetError(
                    f"{path} would unpack to {total / 1e6:.0f} MB, up to {limit / 1e6:g} MB are read."
                )
            return {name: _member(archive, members[name], limit, path) for name in names}
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"{path} is no npz file that can be read ({error}).") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int, path: Path) -> np.ndarray:
    with archive.open(member) as file:
        # At most as much as the directory of the archive says, whatever is really packed.
        data = file.read(member.file_size)
    return _read_array(io.BytesIO(data), member.file_size, limit, f"{path}: {member.filename}")


def _read_array(file: BinaryIO, size: int, limit: int, where: str) -> np.ndarray:
    """Parse a npy header, check that the data behind it has the promised size, then read it."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read_header(file)
        if dtype.hasobject or dtype.names or dtype.kind not in "biufSU":
            raise DatasetError(
                f"{where} holds {dtype}; only numbers and text are read (a pickle is never run)."
            )
        needed = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or needed > limit or file.tell() + needed > size:
            raise DatasetError(
                f"{where} promises an array {shape} of {dtype}, which does not fit its {size} bytes."
            )
        values = np.frombuffer(file.read(needed), dtype)
        return values.reshape(shape, order="F" if fortran else "C")
    except DatasetError:
        raise
    except Exception as error:  # numpy parses the header as Python text, which fails in many ways
        raise DatasetError(f"{where} is damaged or no npy array ({error}).") from error


def read_mat(path: Path, wanted: Sequence[str], limit: int = MAX_ARRAY_BYTES) -> dict[str, np.ndarray]:
    """The wanted numeric arrays of a MATLAB file (version 4 to 7) as float64; raises DatasetError."""
    from scipy.io import loadmat, whosmat

    try:
        if path.stat().st_size > MAX_MAT_FILE_BYTES:
            raise DatasetError(f"{path} is larger than {MAX_MAT_FILE_BYTES / 1e6:g} MB.")
        # scipy leaves a file open when it stumbles over it; a buffer is closed in any case.
        data = io.BytesIO(path.read_bytes())
        there = [
            name
            for name, shape, kind in whosmat(data)
            if name in wanted and _is_fit(path, name, shape, kind, limit)
        ]
        data.seek(0)
        loaded = loadmat(data, variable_names=there)
        return {name: np.asarray(loaded[name], dtype=np.float64) for name in there}
    except DatasetError:
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except Exception as error:  # scipy's parser raises whatever it likes on damaged files
        raise DatasetError(
            f"{path} is no MATLAB file that can be read ({type(error).__name__}: {error})."
        ) from error


def _is_fit(path: Path, name: str, shape: tuple[int, ...], kind: str, limit: int) -> bool:
    if kind not in ("double", "single", "logical", "sparse") and not kind.startswith(("int", "uint")):
        raise DatasetError(f"{path}: {name} is a {kind}, expected numbers.")
    if kind == "sparse" or math.prod(shape) * 8 > limit:
        raise DatasetError(f"{path}: {name} has the shape {shape}, which is too large.")
    return True


def matrices(values: np.ndarray, where: object) -> torch.Tensor:
    """(B,4,4) float64 of finite matrices (...,4,4) or (...,3,4); raises DatasetError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1:] not in ((4, 4), (3, 4)) or not np.isfinite(array).all():
        raise DatasetError(f"{where}: expected finite 4x4 matrices, got the shape {np.shape(values)}.")
    if array.shape[1] == 3:
        bottom = np.broadcast_to([0.0, 0, 0, 1], (len(array), 1, 4))
        array = np.concatenate((array, bottom), 1)
    return torch.from_numpy(array.copy())


def cloud(
    xyz: np.ndarray, where: object, labels: np.ndarray | None = None, normals: np.ndarray | None = None
) -> PointCloud:
    """A point cloud of foreign arrays (N,3); raises DatasetError when they are no finite points."""
    points = np.asarray(xyz, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise DatasetError(f"{where}: expected finite points (N, 3), got the shape {points.shape}.")
    if labels is not None:
        labels = np.asarray(labels).reshape(-1)
        if labels.shape != (len(points),) or labels.min() < 0 or labels.max() > 255 or (labels % 1).any():
            raise DatasetError(
                f"{where}: expected {len(points)} labels of 0 to 255, got the shape {labels.shape}."
            )
    if normals is not None and np.shape(normals) != points.shape:
        normals = None
    return PointCloud(points, None, labels, None if normals is None else np.asarray(normals, np.float32))
