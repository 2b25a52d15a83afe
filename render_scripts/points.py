# SPDX-License-Identifier: GPL-3.0-or-later
"""Ground-truth surface samples: area-weighted points with normal, colour and part label, written as PLY."""

from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np

from .axes import transform_points
from .materials import face_slots, find_principled
from .normalise import Piece, vertices_of
from .passes import decode_srgb, encode_srgb

PLY_TYPES = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("nx", "<f4"), ("ny", "<f4"), ("nz", "<f4"),
             ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("label", "u1")]  # fmt: skip
PLY_NAMES = {"<f4": "float", "u1": "uchar"}
MAX_POINTS = 10_000_000


class Triangles(NamedTuple):
    """Triangles of one piece: corners (T,3,3), loop indices (T,3), vertex indices (T,3), material slots (T,)."""

    corners: np.ndarray
    loops: np.ndarray
    vertices: np.ndarray
    slots: np.ndarray


def triangles_of(piece: Piece) -> Triangles:
    """Triangulate a piece in the object frame."""
    mesh = piece.thing.data
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    loops, vertices, polygons = (
        np.empty(3 * count, np.int32),
        np.empty(3 * count, np.int32),
        np.empty(count, np.int32),
    )
    mesh.loop_triangles.foreach_get("loops", loops)
    mesh.loop_triangles.foreach_get("vertices", vertices)
    mesh.loop_triangles.foreach_get("polygon_index", polygons)
    vertices = vertices.reshape(-1, 3)
    return Triangles(vertices_of(mesh)[vertices], loops.reshape(-1, 3), vertices, face_slots(mesh)[polygons])


def sample_points(pieces: list[Piece], count: int, rng: np.random.Generator, labelled: bool) -> np.ndarray:
    """Area-weighted samples of the surface as a PLY table (count,); label 0 when unlabelled."""
    triangles = [triangles_of(piece) for piece in pieces]
    cross = [
        np.cross(t.corners[:, 1] - t.corners[:, 0], t.corners[:, 2] - t.corners[:, 0]) for t in triangles
    ]
    areas = np.concatenate([np.linalg.norm(normal, axis=1) for normal in cross])
    cumulative = np.cumsum(areas)
    if not cumulative[-1] > 0:
        # Only slivers without area: any of their corners is as good as another.
        cumulative = np.arange(1.0, len(areas) + 1)
    # Stratified along the sorted areas: less clumping than independent draws, the same expectation.
    draws = (np.arange(count) + rng.random(count)) / count * cumulative[-1]
    chosen = np.minimum(np.searchsorted(cumulative, draws, side="right"), len(areas) - 1)
    weights = _barycentric(rng.random((count, 2)))
    table = np.zeros(count, PLY_TYPES)
    first = 0
    for piece, part, normal in zip(pieces, triangles, cross):
        mine = np.flatnonzero((chosen >= first) & (chosen < first + len(part.slots)))
        if len(mine):
            _fill(table, mine, piece, part, normal, chosen[mine] - first, weights[mine], labelled)
        first += len(part.slots)
    return table


def _barycentric(unit: np.ndarray) -> np.ndarray:
    """Uniform barycentric weights (N,3) from unit squares (N,2)."""
    root = np.sqrt(unit[:, 0])
    return np.stack((1 - root, root * (1 - unit[:, 1]), root * unit[:, 1]), 1)


def _fill(
    table: np.ndarray, rows: np.ndarray, piece: Piece, part: Triangles, normal: np.ndarray,
    faces: np.ndarray, weights: np.ndarray, labelled: bool,
) -> None:  # fmt: skip
    """Write the samples of one piece into their rows."""
    position = np.einsum("nk,nkd->nd", weights, part.corners[faces])
    facing = normal[faces] / np.maximum(np.linalg.norm(normal[faces], axis=1, keepdims=True), 1e-30)
    facing = -facing if piece.mirrored else facing
    color = np.rint(encode_srgb(base_colors(piece, part, faces, weights)) * 255).astype(np.uint8)
    for axis, name in enumerate("xyz"):
        table[name][rows], table["n" + name][rows] = position[:, axis], facing[:, axis]
    for axis, name in enumerate(("red", "green", "blue")):
        table[name][rows] = color[:, axis]
    if labelled:
        indices = np.array([material.pass_index for material in piece.thing.data.materials])
        table["label"][rows] = indices[part.slots[faces]]


def base_colors(piece: Piece, part: Triangles, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Linear base colour (N,3): factor times vertex colour times texture, as far as the shader shows them."""
    colors = np.empty((len(faces), 3))
    for slot, material in enumerate(piece.thing.data.materials):
        mine = part.slots[faces] == slot
        if mine.any():
            colors[mine] = _material_colors(material, piece.thing.data, part, faces[mine], weights[mine])
    return colors


def _material_colors(
    material: bpy.types.Material,
    mesh: bpy.types.Mesh,
    part: Triangles,
    faces: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    shader = find_principled(material)
    if shader is None:
        return np.tile(np.array(material.diffuse_color[:3], np.float64), (len(faces), 1))
    base = shader.inputs["Base Color"]
    color = np.ones((len(faces), 3))
    if not base.is_linked:
        return color * np.array(base.default_value[:3], np.float64)
    for node in _upstream(base):
        if node.type == "TEX_IMAGE" and node.image is not None:
            color *= _texture_colors(node, mesh, part.loops[faces], weights)
        elif node.type in {"ATTRIBUTE", "VERTEX_COLOR"}:
            color *= _attribute_colors(node, mesh, part, faces, weights)
        elif node.type in {"MIX_RGB", "MIX"} and node.blend_type == "MULTIPLY":
            for socket in (entry for entry in node.inputs if entry.type == "RGBA" and not entry.is_linked):
                color *= np.array(socket.default_value[:3], np.float64)
        elif node.type == "RGB":
            color *= np.array(node.outputs[0].default_value[:3], np.float64)
    return np.clip(color, 0.0, 1.0)


def _upstream(socket: bpy.types.NodeSocket) -> list[bpy.types.Node]:
    """Nodes that feed a colour socket through its links, each once."""
    found: list[bpy.types.Node] = []
    pending = [link.from_node for link in socket.links]
    while pending and len(found) < 64:
        node = pending.pop()
        if node not in found:
            found.append(node)
            pending += [
                link.from_node for entry in node.inputs if entry.type == "RGBA" for link in entry.links
            ]
    return found


def _texture_colors(
    node: bpy.types.Node, mesh: bpy.types.Mesh, loops: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Nearest texture pixels, wrapped, in linear light (N,3)."""
    image = node.image
    width, height = image.size
    layer = _uv_layer(node, mesh)
    if layer is None or width == 0 or height == 0:
        return np.ones((len(loops), 3))
    uv = np.empty(2 * len(mesh.loops), np.float32)
    layer.data.foreach_get("uv", uv)
    at = np.einsum("nk,nkd->nd", weights, uv.reshape(-1, 2)[loops].astype(np.float64))
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, image.channels)  # bottom row first, as uv
    column, row = (np.floor(at % 1.0 * (width, height)).astype(int) % (width, height)).T
    texels = pixels[row, column, :3].astype(np.float64)
    texels = np.repeat(texels[:, :1], 3, 1) if image.channels < 3 else texels
    is_srgb = image.colorspace_settings.name == "sRGB" and not image.is_float
    return decode_srgb(texels) if is_srgb else texels


def _uv_layer(node: bpy.types.Node, mesh: bpy.types.Mesh) -> bpy.types.MeshUVLoopLayer | None:
    links = node.inputs["Vector"].links
    names = [link.from_node.uv_map for link in links if link.from_node.type == "UVMAP"]
    named = mesh.uv_layers.get(names[0]) if names else None
    return named or mesh.uv_layers.active


def _attribute_colors(
    node: bpy.types.Node, mesh: bpy.types.Mesh, part: Triangles, faces: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Interpolated colour attribute in linear light (N,3); white when the mesh lacks it."""
    name = node.layer_name if node.type == "VERTEX_COLOR" else node.attribute_name
    layer = mesh.color_attributes.get(name) or (
        mesh.color_attributes[0] if len(mesh.color_attributes) else None
    )
    if layer is None:
        return np.ones((len(faces), 3))
    values = np.empty(4 * len(layer.data), np.float32)
    layer.data.foreach_get("color", values)  # linear for byte colours too
    corners = (part.vertices if layer.domain == "POINT" else part.loops)[faces]
    return np.einsum("nk,nkd->nd", weights, values.reshape(-1, 4)[corners][..., :3].astype(np.float64))


def read_points(path: Path, matrix: np.ndarray) -> np.ndarray:
    """points.ply beside a model, moved by object_from_source (4,4); raises ValueError when it is not ours."""
    data = path.read_bytes()
    head, mark, body = data.partition(b"end_header\n")
    lines = head.decode("latin-1").split("\n")
    if not mark or lines[0].strip() != "ply" or "format binary_little_endian 1.0" not in lines:
        raise ValueError(f"{path} is not a binary little-endian PLY")
    names = {"float": "<f4", "float32": "<f4", "uchar": "u1", "uint8": "u1"}
    try:
        columns = [
            (words[2], names[words[1]]) for words in map(str.split, lines) if words and words[0] == "property"
        ]
        count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
        dtype = np.dtype(columns)
    except (IndexError, KeyError, ValueError, StopIteration) as error:
        raise ValueError(f"{path} has a PLY header that is not supported ({error!r})") from error
    if not 0 < count <= MAX_POINTS or len(body) < count * dtype.itemsize:
        raise ValueError(f"{path} announces {count} points but holds {len(body)} bytes")
    return _moved(np.frombuffer(body, dtype, count), matrix, path)


def _moved(source: np.ndarray, matrix: np.ndarray, path: Path) -> np.ndarray:
    fields = source.dtype.names or ()
    if any(name not in fields for name, _ in PLY_TYPES):
        raise ValueError(f"{path} lacks one of the columns {[name for name, _ in PLY_TYPES]}")
    table = np.zeros(len(source), PLY_TYPES)
    for name in ("red", "green", "blue", "label"):
        table[name] = source[name]
    xyz = transform_points(matrix, np.stack([source[axis] for axis in "xyz"], 1))
    turn = matrix[:3, :3] / np.linalg.norm(matrix[:3, 0])
    normals = np.stack([source["n" + axis] for axis in "xyz"], 1) @ turn.T
    for axis, name in enumerate("xyz"):
        table[name], table["n" + name] = xyz[:, axis], normals[:, axis]
    return table


def encode_ply(table: np.ndarray, comments: list[str]) -> bytes:
    """Binary little-endian PLY of a table of PLY_TYPES."""
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments)]
    lines += [
        f"element vertex {len(table)}",
        *(f"property {PLY_NAMES[kind]} {name}" for name, kind in PLY_TYPES),
    ]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii") + table.tobytes()
