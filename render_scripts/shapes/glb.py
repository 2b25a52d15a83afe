# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a Model as binary glTF 2.0: one node per part name, materials "<part>_<kind>", +Y up."""

from __future__ import annotations

import json
import struct

import numpy as np
from png import encode_png

from .materials import Material
from .mesh import Mesh, Model, Part, join
from .surface import corner_normals

ARRAY_BUFFER, ELEMENT_BUFFER, FLOAT, UINT32 = 34962, 34963, 5126, 5125


def glb_bytes(model: Model, name: str) -> bytes:
    """The model as one GLB file; the same model gives the same bytes."""
    writer = _Writer()
    nodes, meshes = [], []
    for label in dict.fromkeys(part.label for part in model.parts):
        mine = [part for part in model.parts if part.label == label]
        meshes.append({"name": label, "primitives": _primitives(writer, label, mine)})
        nodes.append({"name": label, "mesh": len(meshes) - 1})
    document = {
        "asset": {"version": "2.0", "generator": "make_shapes"},
        "scene": 0,
        "scenes": [{"name": name, "nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": meshes,
        **writer.document(),
    }
    return _container(document, bytes(writer.data))


def _primitives(writer: _Writer, label: str, parts: list[Part]) -> list[dict]:
    """One glTF primitive per material of the part."""
    groups: dict[int, list[Part]] = {}
    for part in parts:
        groups.setdefault(id(part.material), []).append(part)
    names: set[str] = set()
    out = []
    for group in groups.values():
        material = group[0].material
        name = f"{label}_{material.kind}"
        while name in names:
            name += "_b"
        names.add(name)
        position, normal, uv, index = _vertex_table(join(p.mesh for p in group), material.tile)
        attributes = {
            "POSITION": writer.floats(position, "VEC3", bounds=True),
            "NORMAL": writer.floats(normal, "VEC3"),
            "TEXCOORD_0": writer.floats(uv, "VEC2"),
        }
        primitive = {"attributes": attributes, "indices": writer.indices(index)}
        out.append({**primitive, "material": writer.material(name, material)})
    return out


def _vertex_table(mesh: Mesh, tile: tuple[float, float]):
    """Positions (V,3), normals (V,3), uv (V,2) float32 and triangle indices (T*3,) in glTF's frame."""
    corners = mesh.triangles()[1].reshape(-1)
    normal = corner_normals(mesh).reshape(-1, 3)[corners]
    uv = mesh.uv.reshape(-1, 2)[corners] / np.array(tile)
    vertex = mesh.faces.reshape(-1)[corners]
    # 0.137 keeps round values off the rounding limit, where two libraries' last bit could decide
    cells = np.rint(np.concatenate([normal * 1e3, uv * 1e4], 1) + 0.137).astype(np.int64)
    key = _hashed(np.concatenate([vertex[:, None], cells], 1))
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # vertices in order of first use, not of their hash
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = first[order]
    position = mesh.vertices[vertex[first]]
    return (
        _y_up(position),
        _y_up(normal[first]),
        uv[first].astype("<f4"),
        rank[index.reshape(-1)].astype("<u4"),
    )


def _hashed(rows: np.ndarray) -> np.ndarray:
    """(N,) 64-bit mix of integer rows (N,K)."""
    key = np.zeros(len(rows), np.uint64)
    for column in rows.astype(np.uint64).T:
        key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _y_up(vectors: np.ndarray) -> np.ndarray:
    """(N,3) float32: +Z up, front -Y turned into glTF's +Y up, front +Z."""
    return np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], 1).astype("<f4") + np.float32(0.0)


class _Writer:
    """The binary chunk and the tables that point into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.materials: list[dict] = []
        self.images: list[dict] = []
        self._textures: dict[int, int] = {}

    def document(self) -> dict:
        """The tables of the glTF document; empty ones are left out, as the format asks."""
        tables = {"materials": self.materials, "images": self.images, "accessors": self.accessors}
        if self.images:
            tables["textures"] = [{"sampler": 0, "source": k} for k in range(len(self.images))]
            tables["samplers"] = [{"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}]
        return {**tables, "bufferViews": self.views, "buffers": [{"byteLength": len(self.data)}]}

    def floats(self, array: np.ndarray, kind: str, bounds: bool = False) -> int:
        """Store float32 rows and return their accessor; `bounds` adds min and max."""
        accessor = {"componentType": FLOAT, "count": len(array), "type": kind}
        if bounds:
            accessor["min"], accessor["max"] = array.min(0).tolist(), array.max(0).tolist()
        return self._accessor(accessor, array.tobytes(), ARRAY_BUFFER)

    def indices(self, array: np.ndarray) -> int:
        """Store triangle indices and return their accessor."""
        accessor = {"componentType": UINT32, "count": len(array), "type": "SCALAR"}
        return self._accessor(accessor, array.tobytes(), ELEMENT_BUFFER)

    def material(self, name: str, material: Material) -> int:
        """Add a material and its texture (each texture once) and return its index."""
        surface: dict = {"metallicFactor": material.metallic, "roughnessFactor": round(material.roughness, 4)}
        if material.texture is None:
            surface["baseColorFactor"] = [*(round(_linear(c), 6) for c in material.color), 1.0]
        else:
            surface["baseColorTexture"] = {"index": self._texture(material)}
        self.materials.append({"name": name, "pbrMetallicRoughness": surface})
        return len(self.materials) - 1

    def _texture(self, material: Material) -> int:
        key = id(material.texture)
        if key not in self._textures:
            assert material.texture is not None
            view = self._view(encode_png(material.texture), None)
            self._textures[key] = len(self.images)
            image = {
                "name": f"{material.kind}_{len(self.images)}",
                "mimeType": "image/png",
                "bufferView": view,
            }
            self.images.append(image)
        return self._textures[key]

    def _accessor(self, accessor: dict, payload: bytes, target: int) -> int:
        self.accessors.append({"bufferView": self._view(payload, target), **accessor})
        return len(self.accessors) - 1

    def _view(self, payload: bytes, target: int | None) -> int:
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(payload)}
        self.views.append(view if target is None else {**view, "target": target})
        self.data += payload + b"\0" * (-len(payload) % 4)
        return len(self.views) - 1


def _linear(srgb: float) -> float:
    """Linear light of an sRGB value, both in 0..1."""
    return srgb / 12.92 if srgb <= 0.04045 else ((srgb + 0.055) / 1.055) ** 2.4


def _container(document: dict, binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
