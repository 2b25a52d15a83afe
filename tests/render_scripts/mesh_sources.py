# SPDX-License-Identifier: Apache-2.0
"""Small mesh files for the render tests: good, odd and bad ones. GLBs are written byte by byte, so that a test
knows exactly what is in them."""

import base64
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

# A wedge with no symmetry, and a block beside it: positions, triangles.
WEDGE = (
    np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1.5], [2, 0.2, 0.4]], np.float32),
    np.array([[0, 2, 1], [0, 1, 4], [0, 4, 3], [0, 3, 2], [1, 2, 4], [2, 3, 4]], np.uint32),
)
BLOCK = (
    np.array([[x, y, z] for x in (-1.2, -0.4) for y in (0, 0.5) for z in (0, 2.2)], np.float32),
    np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]], np.uint32),
)  # fmt: skip
RED_GLASS = {
    "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.4], "metallicFactor": 0},
    "alphaMode": "BLEND",
}
Mesh = tuple[np.ndarray, np.ndarray]


def glb_bytes(
    meshes: list[tuple[str, Mesh]],
    scale: float = 1.0,
    node: dict[str, Any] | None = None,
    material: dict[str, Any] | None = None,
    colors: np.ndarray | None = None,
    materials: bool = True,
) -> bytes:
    """GLB with one mesh and node per entry; the entry's name is its material's name."""
    blob, views, accessors = b"", [], []

    def add(array: np.ndarray, kind: str, component: int) -> int:
        nonlocal blob
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": array.nbytes})
        entry = {"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind}
        if kind == "VEC3":
            clean = np.nan_to_num(array)
            entry |= {"min": clean.min(0).tolist(), "max": clean.max(0).tolist()}
        accessors.append(entry)
        blob += array.tobytes()
        return len(accessors) - 1

    document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "meshes": [], "nodes": []}
    document["scenes"] = [{"nodes": list(range(len(meshes)))}]
    for index, (_, (vertices, faces)) in enumerate(meshes):
        attributes = {"POSITION": add((vertices * scale).astype("<f4"), "VEC3", 5126)}
        if colors is not None:
            attributes["COLOR_0"] = add(np.tile(colors, (len(vertices), 1)).astype("<f4"), "VEC4", 5126)
        primitive: dict[str, Any] = {
            "attributes": attributes,
            "indices": add(faces.astype("<u4").ravel(), "SCALAR", 5125),
        }
        if materials:
            primitive["material"] = index
        document["meshes"].append({"name": f"mesh{index}", "primitives": [primitive]})
        document["nodes"].append({"mesh": index, "name": f"node{index}", **(node or {})})
    if materials:
        document["materials"] = [{"name": name, **(material or {})} for name, _ in meshes]
    document |= {"bufferViews": views, "accessors": accessors, "buffers": [{"byteLength": len(blob)}]}
    return pack_glb(document, blob)


def pack_glb(document: dict[str, Any], blob: bytes) -> bytes:
    """GLB container of a glTF document and its buffer."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    blob += bytes(-len(blob) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if blob:
        chunks += struct.pack("<II", len(blob), 0x004E4942) + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def mirrored(mesh: Mesh) -> Mesh:
    """Mirror image about x = 0, faces still turned outwards."""
    return (mesh[0] * (-1, 1, 1)).astype(np.float32), mesh[1][:, ::-1]


def write_odd(folder: Path) -> None:
    """Sources that must all render: scales, mirrored, non-manifold, bare, coloured, textured without texture."""
    folder.mkdir(parents=True)
    both = [("seat", WEDGE), ("leg.001", BLOCK)]
    files = {
        "plain": glb_bytes(both),
        "tiny": glb_bytes(both, scale=1e-6),
        "huge": glb_bytes(both, scale=1e6),
        "mirrored": glb_bytes([(name, mirrored(mesh)) for name, mesh in both], node={"scale": [-1, 1, 1]}),
        "half_labelled": glb_bytes([("seat", WEDGE), ("mystery", BLOCK)]),
        "no_material": glb_bytes(both, materials=False),
        "fan": glb_bytes([("seat", (WEDGE[0], np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 1]], np.uint32)))]),
        "doubled": glb_bytes([("seat", (WEDGE[0], np.concatenate((WEDGE[1], WEDGE[1][:, ::-1]))))]),
        "red": glb_bytes(both, material=RED_GLASS),
        "vertex_green": glb_bytes(both, colors=np.array([[0, 1, 0, 1.0]])),
    }  # fmt: skip
    for name, data in files.items():
        (folder / f"{name}.glb").write_bytes(data)
    write_text_formats(folder)
    write_missing_texture(folder / "missing_texture.gltf")


def write_text_formats(folder: Path) -> None:
    """The same shape as OFF (Z up, like Blender), OBJ (Y up, as its importer expects) and PLY."""
    vertices = np.concatenate((WEDGE[0], BLOCK[0])).astype(np.float64)
    faces = np.concatenate((WEDGE[1], BLOCK[1] + len(WEDGE[0])))
    upright = np.stack((vertices[:, 0], -vertices[:, 2], vertices[:, 1]), 1)  # glTF's +Y up to +Z up
    off = [f"OFF{len(vertices)} {len(faces)} 0"]  # ModelNet's glued header
    off += ["{} {} {}".format(*row) for row in upright] + ["3 {} {} {}".format(*face) for face in faces]
    (folder / "as_off.off").write_text("\n".join(off) + "\n")
    obj = ["v {} {} {}".format(*row) for row in vertices]
    for name, part in (("seat", faces[: len(WEDGE[1])]), ("leg", faces[len(WEDGE[1]) :])):
        obj += [f"o {name}", *("f {} {} {}".format(*(face + 1)) for face in part)]
    (folder / "as_obj.obj").write_text("\n".join(obj) + "\n")
    ply = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    ply += [f"property float {axis}" for axis in "xyz"] + [
        f"property uchar {name}" for name in ("red", "green", "blue")
    ]
    ply += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    ply += ["{} {} {} 0 0 255".format(*row) for row in upright] + [
        "3 {} {} {}".format(*face) for face in faces
    ]
    (folder / "as_ply.ply").write_text("\n".join(ply) + "\n")


def write_missing_texture(path: Path) -> None:
    """glTF whose base colour is a picture that does not exist."""
    vertices, faces = WEDGE
    blob = vertices.tobytes() + faces.tobytes()
    views = [{"buffer": 0, "byteOffset": 0, "byteLength": vertices.nbytes},
             {"buffer": 0, "byteOffset": vertices.nbytes, "byteLength": faces.nbytes}]  # fmt: skip
    bounds = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    document = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"name": "seat", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}], "images": [{"uri": "nowhere.png"}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3", **bounds},
                      {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"}],
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob),
                     "uri": "data:application/octet-stream;base64," + base64.b64encode(blob).decode()}],
    }  # fmt: skip
    path.write_text(json.dumps(document))


def ply_head(form: str) -> bytes:
    """Header of a PLY with three vertices and one face."""
    lines = ["ply", f"format {form} 1.0", "element vertex 3", *(f"property float {axis}" for axis in "xyz")]
    return "\n".join(
        [*lines, "element face 1", "property list uchar int vertex_indices", "end_header", ""]
    ).encode()


# Name of each bad source and what its message must say.
BAD = {
    "empty": "empty",
    "truncated": "truncated",
    "cut_header": "truncated inside its header|not a GLB",
    "zipped": "zip archive",
    "text": "not a GLB",
    "old": "version 1",
    "lies": "importer failed|no visible geometry",
    "nan": "NaN",
    "nan_obj": "NaN",
    "nan_off": "NaN",
    "nan_ply": "NaN",
    "nan_binary_ply": "NaN",
    "nan_stl": "NaN",
    "point": "zero extent",
    "no_geometry": "no visible geometry",
    "no_faces": "no visible geometry",
    "bad_off": "OFF",
    "short_off": "truncated",
    "not_ply": "PLY",
    "not_gltf": "glTF",
    "not_blend": "not a .blend",
}


def write_bad(folder: Path) -> None:
    """Sources that must each fail with one clear line."""
    folder.mkdir(parents=True)
    good = glb_bytes([("seat", WEDGE)])
    broken = (WEDGE[0].copy(), WEDGE[1])
    broken[0][2] = np.nan
    files = {
        "empty.glb": b"",
        "truncated.glb": good[: len(good) * 2 // 3],
        "cut_header.glb": good[:7],
        "text.glb": b"hello, this is no mesh" * 20,
        "old.glb": good[:4] + struct.pack("<I", 1) + good[8:],
        "lies.glb": good[:12] + struct.pack("<I", 2**31 - 1) + good[16:],
        "nan.glb": glb_bytes([("seat", broken)]),
        "point.glb": glb_bytes([("seat", (np.ones((3, 3), np.float32), np.array([[0, 1, 2]], np.uint32)))]),
        "no_geometry.glb": pack_glb(
            {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}, b""
        ),
        "no_faces.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
        "bad_off.off": b"OFF\nfour five\n",
        "short_off.off": b"OFF\n4 2 0\n0 0 0\n",
        "nan_obj.obj": b"v 0 0 0\nv 1 nan 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\n",
        "nan_off.off": b"OFF\n4 2 0\n0 0 0\n1 nan 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 2 3\n",
        "nan_ply.ply": ply_head("ascii") + b"0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n",
        "nan_binary_ply.ply": ply_head("binary_big_endian")
        + np.array([0, 0, 0, 1, np.nan, 0, 0, 1, 0], ">f4").tobytes()
        + struct.pack(">B3i", 3, 0, 1, 2),
        "nan_stl.stl": bytes(80) + struct.pack("<I12fH", 1, 0, 0, 1, 0, 0, 0, np.inf, 0, 0, 0, 1, 0, 0),
        "not_ply.ply": b"v 0 0 0\n",
        "not_gltf.gltf": b'{"asset": ',
        "not_blend.blend": b"PNG and other things",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(folder / "zipped.glb", "w") as archive:
        archive.writestr("model.glb", good)
