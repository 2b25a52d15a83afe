# SPDX-License-Identifier: Apache-2.0
"""Surfaces as files: GLB with a material per part and vertex colours, or PLY with colours and labels of vertices.

glTF is +Y up with the front towards +Z: (x, y, z) of the object frame is written as (x, z, -y). The faces of a part are
one primitive with a material of the part's name, as in procedural objects; all primitives share one list of vertices,
so the surface is as closed in the file as it was. Colours are linear in glTF and sRGB in PLY.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import ConfigError, InputError
from ..io.atomic import atomic_path
from ..io.glb import linear_from_srgb
from ..io.ply import DEFAULT_COMMENTS
from ..visual import palette
from .surface import Surface

ENDINGS = (".glb", ".ply")
_FLOAT, _UINT = 5126, 5125
_ARRAY, _ELEMENTS = 34962, 34963
_WIDTHS = {1: "SCALAR", 3: "VEC3"}


def write_surface(
    path: str | Path, surface: Surface, *, name: str = "surface", part_materials: bool = True
) -> None:
    """Write a surface as .glb or .ply, by the path's ending; the file appears when it is complete.

    Raises ConfigError for another ending and InputError for a surface without faces or with coordinates that are not
    finite.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path}: surfaces are written as {' or '.join(ENDINGS)}.")
    if not len(surface.faces) or not np.isfinite(surface.vertices).all():
        raise InputError(f"{path}: a surface needs faces and finite coordinates to be written.")
    data = glb_bytes(surface, name, part_materials) if path.suffix.lower() == ".glb" else ply_bytes(surface)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def part_name(surface: Surface, label: int) -> str:
    """Name of a part by its id, made up where the cloud names none."""
    return (
        surface.parts[label - 1] if 0 < label <= len(surface.parts) else f"part{label}" if label else "none"
    )


def glb_bytes(surface: Surface, name: str, part_materials: bool = True) -> bytes:
    """A binary glTF 2.0 file; part_materials: one material for each label, else one for everything."""
    writer = _Buffers()
    attributes = {
        "POSITION": writer.add(_to_gltf(surface.vertices), bounds=True),
        "NORMAL": writer.add(_to_gltf(surface.vertex_normals())),
    }
    if surface.colors is not None:
        attributes["COLOR_0"] = writer.add(linear_from_srgb(surface.colors / 255.0))
    groups = _groups(surface, part_materials)
    primitives = [
        {"attributes": attributes, "indices": writer.add_indices(faces), "material": number}
        for number, (_, _, faces) in enumerate(groups)
    ]
    materials = [_material(title, color, surface.colors is not None) for title, color, _ in groups]
    document = {
        "asset": {"version": "2.0", "generator": f"recon3d {__version__}"},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [{"name": name, "primitives": primitives}],
        "materials": materials,
        **writer.document(),
    }
    return _container(document, bytes(writer.data))


def ply_bytes(surface: Surface) -> bytes:
    """A binary little-endian PLY file with faces: colours uchar sRGB, label uchar, part names in a comment."""
    columns = [(axis, "<f4", surface.vertices[:, k]) for k, axis in enumerate("xyz")]
    if surface.colors is not None:
        columns += [(hue, "u1", surface.colors[:, k]) for k, hue in enumerate(("red", "green", "blue"))]
    if surface.labels is not None:
        columns.append(("label", "u1", surface.labels))
    rows = np.empty(len(surface.vertices), [(title, code) for title, code, _ in columns])
    for title, _, values in columns:
        rows[title] = values
    faces = np.empty(len(surface.faces), [("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, surface.faces
    comments = {"frame": DEFAULT_COMMENTS["frame"], "version": __version__}
    if surface.parts:
        comments["parts"] = " ".join("_".join(part.split()) for part in surface.parts)
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {key} {text}" for key, text in comments.items()),
    ]
    lines += [f"element vertex {len(rows)}"]
    lines += [f"property {'uchar' if code == 'u1' else 'float'} {title}" for title, code, _ in columns]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode() + rows.tobytes() + faces.tobytes()


def _groups(surface: Surface, part_materials: bool) -> list[tuple[str, tuple[float, ...], np.ndarray]]:
    """Material name, linear colour and faces of each part that has any; everything as one without parts."""
    labels = surface.face_labels() if part_materials else None
    if labels is None:
        return [("surface", (0.8, 0.8, 0.8), surface.faces)]
    shades = linear_from_srgb(palette(int(labels.max())) / 255.0)
    shades[0] = 0.5
    return [
        (part_name(surface, int(label)), tuple(shades[label].tolist()), surface.faces[labels == label])
        for label in np.unique(labels)
    ]


def _material(name: str, color: tuple[float, ...], has_colors: bool) -> dict[str, Any]:
    """A matt material; white where vertex colours are multiplied with it."""
    factor = [1.0, 1.0, 1.0, 1.0] if has_colors else [*color, 1.0]
    return {
        "name": name,
        "pbrMetallicRoughness": {"baseColorFactor": factor, "metallicFactor": 0.0, "roughnessFactor": 0.9},
    }


def _to_gltf(xyz: np.ndarray) -> np.ndarray:
    return np.stack((xyz[:, 0], xyz[:, 2], -xyz[:, 1]), 1)


class _Buffers:
    """The binary chunk of a GLB, with what describes it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, bounds: bool = False) -> int:
        """Floats (V,3); returns the accessor's number."""
        rows = np.ascontiguousarray(values, "<f4")
        number = self._append(rows, _ARRAY, _FLOAT)
        if bounds:
            self._accessors[number] |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return number

    def add_indices(self, faces: np.ndarray) -> int:
        """Corners of faces (F,3)."""
        return self._append(np.ascontiguousarray(faces, "<u4").reshape(-1, 1), _ELEMENTS, _UINT)

    def _append(self, rows: np.ndarray, target: int, kind: int) -> int:
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": rows.nbytes, "target": target}
        self._views.append(view)
        self.data += rows.tobytes()
        accessor = {"bufferView": len(self._views) - 1, "componentType": kind, "count": len(rows)}
        self._accessors.append(accessor | {"type": _WIDTHS[rows.shape[1]]})
        return len(self._accessors) - 1

    def document(self) -> dict[str, Any]:
        """Buffers, views and accessors of the JSON part."""
        return {
            "buffers": [{"byteLength": len(self.data)}],
            "bufferViews": self._views,
            "accessors": self._accessors,
        }


def _container(document: dict[str, Any], data: bytes) -> bytes:
    """Header and two chunks, each filled up to a multiple of 4 bytes (glTF 2.0, GLB file format)."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
