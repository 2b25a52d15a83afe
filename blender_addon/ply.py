# SPDX-License-Identifier: GPL-3.0-or-later
"""PLY point clouds with labels: binary little-endian out; ascii and both binary byte orders in, by numpy.

Columns: x y z float32; where known red green blue uchar (sRGB), label uchar, opacity and confidence float32, visibility
uchar (0 guessed, 1 mirror image of something seen, 2 seen). The names of the parts stand in a comment
"parts back seat leg", in the order of their ids.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cloud import Cloud, CloudError

MAX_HEADER_BYTES = 1 << 16
_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLOR = ("red", "green", "blue")


@dataclass
class _Header:
    """What stands before the data: byte order, vertex count and columns, comments, offset of the first row."""

    order: str
    count: int
    columns: list[tuple[str, str]]
    comments: dict[str, str]
    body: int


def read_ply(path: str | Path) -> Cloud:
    """Read the points of a PLY file; faces and unknown columns are ignored. Raises CloudError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = _parse_header(file.read(MAX_HEADER_BYTES), path.name)
            table = _read_table(file, header, path)
    except OSError as error:
        raise CloudError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return _cloud_from_table(table, header, path.name)


def write_ply(path: str | Path, cloud: Cloud) -> None:
    """Write a cloud atomically as binary little-endian PLY. Raises CloudError when the file cannot be written."""
    path = Path(path)
    columns = _columns_of(cloud)
    rows = np.empty(len(cloud), dtype=[(name, code) for name, code, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_header_text(cloud, columns).encode("utf-8"))
            rows.tofile(file)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CloudError(f"{path} cannot be written: {error.strerror or error}.") from error


def _columns_of(cloud: Cloud) -> list[tuple[str, str, np.ndarray]]:
    columns = [(name, "<f4", cloud.xyz[:, axis]) for axis, name in enumerate("xyz")]
    if cloud.colors is not None:
        columns += [(name, "u1", cloud.colors[:, channel]) for channel, name in enumerate(_COLOR)]
    if cloud.labels is not None:
        columns.append(("label", "u1", cloud.labels))
    for name in ("opacity", "confidence"):
        values = getattr(cloud, name)
        if values is not None:
            columns.append((name, "<f4", values))
    if cloud.visibility is not None:
        columns.append(("visibility", "u1", cloud.visibility))
    return columns


def _header_text(cloud: Cloud, columns: list[tuple[str, str, np.ndarray]]) -> str:
    comments = dict(cloud.comments)
    if cloud.parts:
        comments["parts"] = " ".join(name.replace(" ", "_") for name in cloud.parts)
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {key} {' '.join(str(value).split())}" for key, value in comments.items()]
    lines.append(f"element vertex {len(cloud)}")
    lines += [f"property {'uchar' if code == 'u1' else 'float'} {name}" for name, code, _ in columns]
    return "\n".join([*lines, "end_header", ""])


# --- reading ----------------------------------------------------------------------------------------------


def _parse_header(data: bytes, name: str) -> _Header:
    end = data.find(b"end_header")
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise CloudError(f"{name} is not a PLY file, or its header is cut off.")
    header = _Header("?", -1, [], {}, newline + 1)
    element = ""
    for line in data[:end].decode("utf-8", "replace").splitlines()[1:]:
        words = line.split()
        try:
            element = _parse_line(words, header, element)
        except (IndexError, ValueError, KeyError):
            raise CloudError(
                f"{name}: its header has a line that is no PLY: {line.strip()[:80]!r}."
            ) from None
    missing = {"x", "y", "z"} - {column for column, _ in header.columns}
    if header.count < 0 or header.order == "?" or missing:
        raise CloudError(f"{name} has no points: expected an element vertex with x, y and z.")
    return header


def _parse_line(words: list[str], header: _Header, element: str) -> str:
    """Take in one line of the header; returns the element that following properties belong to."""
    if not words or words[0] == "obj_info":
        return element
    if words[0] == "format":
        header.order = _BYTE_ORDERS[words[1]]
    elif words[0] == "comment":
        if len(words) > 2:
            header.comments[words[1]] = " ".join(words[2:])
    elif words[0] == "element":
        if words[1] == "vertex":
            header.count = int(words[2])
            if header.count < 0:
                raise ValueError(words[2])
        elif header.count < 0 and int(words[2]):
            raise ValueError("an element before the points")
        return words[1]
    elif words[0] == "property" and element == "vertex":
        header.columns.append((words[2], _TYPES[words[1]]))
    return element


def _read_table(file, header: _Header, path: Path) -> np.ndarray:
    """Structured array (N,) of the vertex columns; nothing is allocated before the count fits the file."""
    if len({column for column, _ in header.columns}) != len(header.columns):
        raise CloudError(f"{path.name}: a column appears twice.")
    dtype = np.dtype([(column, header.order + code) for column, code in header.columns])
    file.seek(header.body)
    size = path.stat().st_size - header.body
    needed = header.count * (dtype.itemsize if header.order else 2 * len(header.columns)) - (not header.order)
    if header.count and needed > size:
        raise CloudError(f"{path.name} is cut off: {header.count} points need {needed} bytes, it has {size}.")
    if header.order:
        return np.fromfile(file, dtype, header.count)
    return _read_ascii(file.read(), header, dtype, path.name)


def _read_ascii(text: bytes, header: _Header, dtype: np.dtype, name: str) -> np.ndarray:
    lines = [line for line in text.splitlines() if line.strip()][: header.count]
    try:
        values = np.array(b" ".join(lines).split(), dtype=np.float64).reshape(
            header.count, len(header.columns)
        )
    except ValueError:
        raise CloudError(
            f"{name}: expected {header.count} lines of {len(header.columns)} numbers after the header."
        ) from None
    table = np.empty(header.count, dtype)
    for index, (column, _) in enumerate(header.columns):
        table[column] = values[:, index]
    return table


def _cloud_from_table(table: np.ndarray, header: _Header, name: str) -> Cloud:
    def floats(*columns: str) -> np.ndarray | None:
        if not set(columns) <= set(table.dtype.names or ()):
            return None
        stacked = np.empty((len(table), len(columns)), np.float32)
        for index, column in enumerate(columns):
            stacked[:, index] = table[column]
        return stacked

    xyz = floats("x", "y", "z")
    assert xyz is not None
    if not np.isfinite(xyz).all():
        raise CloudError(f"{name}: {int((~np.isfinite(xyz).all(1)).sum())} points are not finite numbers.")
    cloud = Cloud(xyz, _colors(table, floats(*_COLOR)), comments=header.comments)
    cloud.labels = _labels(table)
    cloud.opacity, cloud.confidence = (_share(floats(column)) for column in ("opacity", "confidence"))
    if "visibility" in (table.dtype.names or ()) and table.dtype["visibility"] == np.uint8:
        cloud.visibility = np.minimum(table["visibility"], 2)
    cloud.parts = [part.replace("_", " ") for part in header.comments.pop("parts", "").split()]
    return cloud


def _colors(table: np.ndarray, values: np.ndarray | None) -> np.ndarray | None:
    """Colours as bytes; floating-point columns are taken to reach from 0 to 1, 16-bit ones to 65535."""
    if values is None:
        return None
    scale = {"f": 255.0, "u": 1.0, "i": 1.0}[table.dtype["red"].kind]
    if table.dtype["red"].itemsize == 2:
        scale = 1 / 257
    return np.rint(np.clip(np.nan_to_num(values) * scale, 0, 255)).astype(np.uint8)


def _labels(table: np.ndarray) -> np.ndarray | None:
    if "label" not in (table.dtype.names or ()):
        return None
    labels = table["label"]
    return (
        labels.astype(np.uint8) if len(labels) == 0 or (labels.min() >= 0 and labels.max() <= 255) else None
    )


def _share(values: np.ndarray | None) -> np.ndarray | None:
    """A column (N,1) in [0, 1]; left out otherwise (splat files hold logits under the same name)."""
    if values is None or not ((values >= 0) & (values <= 1)).all():
        return None
    return values[:, 0]
