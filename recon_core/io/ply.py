# SPDX-License-Identifier: Apache-2.0
"""Point clouds as PLY: binary little-endian out; ascii and both binary byte orders in.

Columns: x y z float32; where known nx ny nz float32, red green blue uchar (sRGB), label uchar, opacity and
confidence float32, visibility uchar (0 guessed, 1 symmetric to seen, 2 seen). Frame, unit and version stand in
comments, one "comment key value" each.
"""

import struct
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import InputError
from ..pointcloud import MOST_VISIBLE, PointCloud
from .atomic import atomic_path
from .ply_header import Element, Header, Property, parse_header, vertex_element

DEFAULT_COMMENTS = {
    "frame": "object, right-handed, +Z up, front towards -Y",
    "unit": "bounding-box diagonal = 1",
    "version": __version__,
}
_STRUCT = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
_XYZ, _NORMAL, _COLOR = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")


def read_ply(path: str | Path) -> PointCloud:
    """Read the vertices of a PLY file; unknown columns and other elements are ignored.

    Raises InputError when the file is missing, not a PLY, truncated, without x y z, or holds values that are
    not finite or out of their range. Nothing is allocated before the counts fit the file's size.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    header = parse_header(data, path)
    vertex = vertex_element(header, path)
    columns = (_ascii_columns if header.byte_order == "" else _binary_columns)(data, header, vertex, path)
    cloud = _cloud_from_columns(columns, vertex, header.comments, path)
    _check_values(cloud, path)
    return cloud


def write_ply(path: str | Path, cloud: PointCloud) -> None:
    """Write a cloud atomically as binary little-endian PLY, with frame, unit and version in comments.

    `cloud.comments` is added to the defaults and wins over them. Raises InputError for values that are not
    finite or out of range, and for comments that do not fit one header line.
    """
    _check_values(cloud, path)
    columns = _columns_from_cloud(cloud)
    rows = np.empty(len(cloud), dtype=[(name, "<" + code) for name, code, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_header_text(cloud, columns).encode())
        file.write(rows.tobytes())


def _columns_from_cloud(cloud: PointCloud) -> list[tuple[str, str, np.ndarray]]:
    """Columns in file order as (name, numpy code, values (N,))."""
    columns: list[tuple[str, str, np.ndarray]] = []
    for names, code, values in (
        (_XYZ, "f4", cloud.xyz),
        (_NORMAL, "f4", cloud.normals),
        (_COLOR, "u1", cloud.colors),
        (("label",), "u1", cloud.labels),
        (("opacity",), "f4", cloud.opacity),
        (("confidence",), "f4", cloud.confidence),
        (("visibility",), "u1", cloud.visibility),
    ):
        if values is not None:
            table = values.reshape(len(cloud), len(names))
            columns += [(name, code, table[:, index]) for index, name in enumerate(names)]
    return columns


def _header_text(cloud: PointCloud, columns: list[tuple[str, str, np.ndarray]]) -> str:
    ply_names = {"f4": "float", "u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0"]
    for key, value in {**DEFAULT_COMMENTS, **cloud.comments}.items():
        key, value = str(key), str(value)
        # Anything that Python counts as the end of a line would break the header for some reader.
        if not key or key.split() != [key] or len(f"{key} {value}".splitlines()) != 1 or "\0" in value:
            raise InputError(f"PLY comment {key!r}: {value!r} must be one word and one line of text.")
        lines.append(f"comment {key} {value}")
    lines.append(f"element vertex {len(cloud)}")
    lines += [f"property {ply_names[code]} {name}" for name, code, _ in columns]
    return "\n".join([*lines, "end_header"]) + "\n"


def _check_values(cloud: PointCloud, path: str | Path) -> None:
    for name in ("xyz", "normals", "opacity", "confidence"):
        values = getattr(cloud, name)
        if values is None:
            continue
        bad = ~np.isfinite(values.reshape(len(cloud), -1 if len(cloud) else 1)).all(1)
        if bad.any():
            raise InputError(
                f"{path}: {int(bad.sum())} of {len(cloud)} points have a {name} that is not finite "
                f"(first: point {int(bad.argmax())}). Remove these points."
            )
        if name in ("opacity", "confidence") and len(cloud) and (values.min() < 0 or values.max() > 1):
            raise InputError(
                f"{path}: {name} must lie in [0, 1], found {values.min():.4g} to {values.max():.4g}. "
                "(Gaussian splatting files store logits, which are not supported.)"
            )


# --- binary bodies ----------------------------------------------------------------------------------------


def _binary_columns(data: bytes, header: Header, vertex: Element, path: Path) -> np.ndarray:
    """Structured array (N,) of the vertex scalars."""
    offset = header.body_start
    for element in header.elements:
        # Lists need at least their length field, so this bounds every count before anything is built.
        _check_fits(element.count * element.min_row_bytes, len(data) - offset, element, path)
        if element is vertex:
            break
        if element.has_lists:
            _, offset = _rows_without_lists(data, offset, element, header.byte_order, path)
        else:
            offset += element.count * element.min_row_bytes
    dtype = np.dtype([(one.name, header.byte_order + one.type) for one in vertex.scalars])
    if vertex.has_lists:
        packed, _ = _rows_without_lists(data, offset, vertex, header.byte_order, path)
        return np.frombuffer(packed, dtype, vertex.count)
    return np.frombuffer(data, dtype, vertex.count, offset)


def _check_fits(needed: int, available: int, element: Element, path: Path) -> None:
    if needed > available:
        raise InputError(
            f"{path}: truncated: {element.count} '{element.name}' rows need at least {needed} bytes, "
            f"{max(available, 0)} are left in the file."
        )


def _rows_without_lists(
    data: bytes, offset: int, element: Element, byte_order: str, path: Path
) -> tuple[bytes, int]:
    """Walk rows that contain lists; return the packed scalar bytes and the offset behind the last row."""
    packed = bytearray()
    if not element.min_row_bytes:
        return bytes(packed), offset
    for _ in range(element.count):
        for one in element.properties:
            end = offset + one.min_bytes
            if one.count_type is None:
                packed += data[offset:end]
            elif end <= len(data):
                (length,) = struct.unpack_from(byte_order + _STRUCT[one.count_type], data, offset)
                if length < 0:
                    raise InputError(f"{path}: a list {one.name!r} of {element.name!r} has length {length}.")
                end += length * int(one.type[1])
            offset = end
        _check_fits(offset, len(data), element, path)
    return bytes(packed), offset


# --- ascii bodies -----------------------------------------------------------------------------------------


def _ascii_columns(data: bytes, header: Header, vertex: Element, path: Path) -> np.ndarray:
    """Structured array (N,) of the vertex scalars."""
    lines = [line for line in data[header.body_start :].splitlines() if line.strip()]
    start = 0
    for element in header.elements:
        if element is vertex:
            break
        start += element.count if element.properties else 0
    if start + vertex.count > len(lines):
        raise InputError(
            f"{path}: truncated: the header promises {vertex.count} vertices from row {start + 1} on, "
            f"the file has {len(lines)} rows."
        )
    table = _ascii_table(lines[start : start + vertex.count], vertex, path)
    columns = np.empty(vertex.count, dtype=[(one.name, one.type) for one in vertex.scalars])
    for index, one in enumerate(vertex.scalars):
        columns[one.name] = _cast_ascii(table[:, index], one, path)
    return columns


def _ascii_table(lines: list[bytes], vertex: Element, path: Path) -> np.ndarray:
    """Values (N, scalars) in float64, which holds every PLY type exactly."""
    rows = [line.split() for line in lines]
    if vertex.has_lists:
        rows = [_drop_ascii_lists(row, vertex, path) for row in rows]
    width = len(vertex.scalars)
    for number, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{path}: vertex {number} has {len(row)} values, expected {width}.")
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), width)
    except ValueError as error:
        raise InputError(f"{path}: a vertex value is not a number ({error}).") from error


def _drop_ascii_lists(row: list[bytes], vertex: Element, path: Path) -> list[bytes]:
    kept, position = [], 0
    for one in vertex.properties:
        if one.count_type is None:
            kept += row[position : position + 1]
            position += 1
            continue
        length = row[position] if position < len(row) else b""
        if not length.isdigit() or len(length) > 18:
            raise InputError(f"{path}: the list {one.name!r} of a vertex has length {length[:20]!r}.")
        position += 1 + int(length)
    # A row that ended early gives fewer values than columns, which the caller reports.
    return kept + row[position:]


def _cast_ascii(values: np.ndarray, one: Property, path: Path) -> np.ndarray:
    if one.type[0] != "f" and len(values):
        limits = np.iinfo(one.type)
        fits = (values >= limits.min) & (values <= limits.max) & (values == np.floor(values))
        if not fits.all():
            raise InputError(f"{path}: {one.name} = {values[~fits][0]:g} does not fit its integer type.")
    with np.errstate(over="ignore"):
        return values.astype(one.type)


# --- columns to attributes --------------------------------------------------------------------------------


def _cloud_from_columns(
    columns: np.ndarray, vertex: Element, comments: dict[str, str], path: Path
) -> PointCloud:
    types = {one.name: one.type for one in vertex.scalars}

    def floats(*names: str) -> np.ndarray | None:
        if not set(names) <= set(types):
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # overflow becomes infinity, refused by the checks
            return np.stack([columns[name].astype(np.float32) for name in names], -1)

    opacity, confidence, xyz = floats("opacity"), floats("confidence"), floats(*_XYZ)
    assert xyz is not None  # checked with the header
    return PointCloud(
        xyz,
        _colors(columns, types, path),
        _labels(columns, path) if "label" in types else None,
        floats(*_NORMAL),
        None if opacity is None else opacity[:, 0],
        None if confidence is None else confidence[:, 0],
        comments,
        _visibility(columns, types),
    )


def _colors(columns: np.ndarray, types: dict[str, str], path: Path) -> np.ndarray | None:
    if not set(_COLOR) <= set(types):
        return None
    values = np.stack([columns[name].astype(np.float64) for name in _COLOR], -1)  # (N, 3)
    unit = any(types[name][0] == "f" for name in _COLOR)
    limit = 1.0 if unit else 255.0
    if values.size and not ((values >= 0) & (values <= limit)).all():
        raise InputError(f"{path}: colours of type {types['red']} must lie in [0, {limit:g}].")
    return np.rint(values * 255.0 if unit else values).astype(np.uint8)


def _labels(columns: np.ndarray, path: Path) -> np.ndarray:
    values = columns["label"].astype(np.float64)
    if values.size and not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        raise InputError(f"{path}: labels must be whole numbers in [0, 255].")
    return values.astype(np.uint8)


def _visibility(columns: np.ndarray, types: dict[str, str]) -> np.ndarray | None:
    """The column if it is ours: other programs use the name for values of their own."""
    if types.get("visibility") != "u1" or (columns["visibility"] > MOST_VISIBLE).any():
        return None
    return columns["visibility"].astype(np.uint8)
