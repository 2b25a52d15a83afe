# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting NaN and infinite vertices in mesh files before import: Blender's importers silently set them to zero.

A file whose layout is not understood counts as clean here; the importer then says what is wrong with it.
"""

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

NOT_A_NUMBER = re.compile(rb"^\s*v(?:ertex)?\s[^\n]*\b(?:nan|inf)", re.MULTILINE | re.IGNORECASE)
STL_HEAD_BYTES, STL_TRIANGLE_BYTES = 84, 50
PLY_SIZES = {"char": 1, "short": 2, "int": 4, "int8": 1, "int16": 2, "int32": 4}
PLY_SIZES |= {"u" + name: size for name, size in PLY_SIZES.items()}
PLY_SIZES |= {"float": 4, "double": 8, "float32": 4, "float64": 8}


def count_bad_vertices(path: Path) -> int:
    """Number of vertices with a coordinate that is NaN or infinite, 0 when the layout is not understood."""
    counters = {".glb": _gltf, ".gltf": _gltf, ".stl": _stl, ".ply": _ply, ".obj": _text}
    counter = counters.get(path.suffix.lower())
    if counter is None:
        return 0
    try:
        return counter(path)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error, OSError):
        return 0


def _bad_rows(rows: np.ndarray) -> int:
    return int((~np.isfinite(rows)).any(1).sum())


def _text(path: Path) -> int:
    return len(NOT_A_NUMBER.findall(path.read_bytes()))


def _gltf(path: Path) -> int:
    data = path.read_bytes()
    blob = b""
    if data[:4] == b"glTF":
        length = struct.unpack("<I", data[12:16])[0]
        blob = data[20 + length + 8 :]
        data = data[20 : 20 + length]
    document = json.loads(data)
    primitives = [primitive for mesh in document.get("meshes", []) for primitive in mesh["primitives"]]
    positions = {primitive["attributes"].get("POSITION") for primitive in primitives} - {None}
    return sum(_bad_rows(_accessor(document, index, path, blob)) for index in positions)


def _accessor(document: dict[str, Any], index: int, path: Path, blob: bytes) -> np.ndarray:
    """Positions (N,3) of an accessor of floats; raises when it is anything else (compressed, for example)."""
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    if accessor["componentType"] != 5126:
        return np.zeros((0, 3))
    data = _buffer(document["buffers"][view["buffer"]], path, blob)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", 12)
    rows = np.lib.stride_tricks.as_strided(
        np.frombuffer(data[start:], np.uint8, stride * (accessor["count"] - 1) + 12),
        (accessor["count"], 12),
        (stride, 1),
    )
    return np.ascontiguousarray(rows).view("<f4")


def _buffer(buffer: dict[str, Any], path: Path, blob: bytes) -> bytes:
    uri = buffer.get("uri")
    if uri is None:
        return blob
    if uri.startswith("data:"):
        return base64.b64decode(uri.partition(",")[2])
    return (path.parent / unquote(uri)).read_bytes()


def _stl(path: Path) -> int:
    data = path.read_bytes()
    count = struct.unpack("<I", data[80:84])[0] if len(data) >= STL_HEAD_BYTES else -1
    if len(data) != STL_HEAD_BYTES + count * STL_TRIANGLE_BYTES:
        return _text(path)
    triangles = np.frombuffer(data, np.uint8, offset=STL_HEAD_BYTES).reshape(count, STL_TRIANGLE_BYTES)
    return _bad_rows(np.ascontiguousarray(triangles[:, 12:48]).view("<f4").reshape(-1, 3))


def _ply(path: Path) -> int:
    """PLY whose first element is the vertices, with scalar properties alone."""
    head, _, body = path.read_bytes().partition(b"end_header")
    body = body[body.index(b"\n") + 1 :]
    lines = [line.split() for line in head.decode("latin-1").splitlines() if line.strip()]
    form = next(words[1] for words in lines if words[0] == "format")
    elements = [number for number, words in enumerate(lines) if words[0] == "element"]
    count = int(lines[elements[0]][2])
    last = elements[1] if len(elements) > 1 else len(lines)
    properties = [words[1:] for words in lines[elements[0] + 1 : last] if words[0] == "property"]
    columns = [name for _, name in properties]
    if form == "ascii":
        rows = np.array([line.split()[: len(columns)] for line in body.splitlines()[:count]], np.float64)
        return _bad_rows(rows[:, [columns.index(axis) for axis in "xyz"]])
    order = "<" if form == "binary_little_endian" else ">"
    codes = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}
    kinds = [
        ("f" + str(PLY_SIZES[kind])) if kind[0] in "fd" else codes[PLY_SIZES[kind]] for kind, _ in properties
    ]
    table = np.frombuffer(body, np.dtype([(name, order + kind) for name, kind in zip(columns, kinds)]), count)
    return _bad_rows(np.stack([table[axis] for axis in "xyz"], 1))
