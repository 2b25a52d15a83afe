# SPDX-License-Identifier: Apache-2.0
"""One mesh as a GLB file (glTF 2.0 binary), out and in.

glTF is +Y up with the front towards +Z; the object frame is +Z up with the front towards -Y. (x, y, z) is written as
(x, z, -y), so that Blender's importer shows the object as it was. Vertex colours are linear in glTF (COLOR_0, written
as floats) and sRGB here. Texture images are sRGB in both.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .. import __version__
from ..errors import InputError
from ..mesh import Meshes
from .atomic import atomic_path

_MAX_FILE_BYTES = 1 << 30
# trimesh writes attributes of its own under a leading underscore; the document is renamed afterwards.
_COLOR_ATTRIBUTE = "_COLOR_0"


def write_glb(path: str | Path, meshes: Meshes, index: int = 0, name: str = "reconstruction") -> None:
    """Write one mesh with its smooth normals and its texture or else vertex colours; the file appears when complete.

    Raises InputError when the mesh has no faces or coordinates that are not finite.
    """
    import trimesh
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import TextureVisuals

    mesh = meshes.element(index).map(lambda tensor: tensor.detach().cpu().float())
    if not len(mesh.faces) or not bool(torch.isfinite(mesh.vertices).all()):
        raise InputError(f"{path}: a mesh needs faces and finite coordinates to be written.")
    vertices, normals, faces, uv, colors = _flattened(mesh)
    solid = trimesh.Trimesh(
        _to_gltf(vertices), faces, vertex_normals=_to_gltf(normals), process=False, validate=False
    )
    if mesh.texture is not None and uv is not None:
        solid.visual = TextureVisuals(uv=uv, material=_material(mesh.texture[0]))
    elif colors is not None:
        solid.vertex_attributes[_COLOR_ATTRIBUTE] = linear_from_srgb(colors).astype(np.float32)
    scene = trimesh.Scene({name: solid})
    data = export_glb(scene, include_normals=True, tree_postprocessor=_finish)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_glb(path: str | Path) -> Meshes:
    """Read a GLB file's triangles, placed as its scene does, as one mesh in the object frame.

    Vertex colours come back as sRGB, a texture with its coordinates; of several textures trimesh makes one atlas.
    Raises InputError when the file is missing, not a GLB, or has no triangles.
    """
    import trimesh

    path = Path(path)
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InputError(f"{path}: larger than {_MAX_FILE_BYTES} bytes.")
        with path.open("rb") as stream:
            loaded = trimesh.load(stream, file_type="glb", process=False)
        solid = loaded.to_geometry() if isinstance(loaded, trimesh.Scene) else loaded
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # trimesh raises whatever the damaged part leads to
        raise InputError(f"{path}: not a GLB file that can be read ({error!r}).") from error
    if not isinstance(solid, trimesh.Trimesh) or not len(solid.faces):
        raise InputError(f"{path}: holds no triangles.")
    vertices = torch.from_numpy(_from_gltf(np.asarray(solid.vertices, dtype=np.float32)))[None]
    faces = torch.from_numpy(np.asarray(solid.faces, dtype=np.int64))
    uv, texture = _texture_of(solid)
    colors = None if texture is not None else _colors_of(solid, path)
    return Meshes(vertices, faces, colors, uv, None, texture)


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0,1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """SRGB values of linear light in [0,1]."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def _to_gltf(xyz: np.ndarray) -> np.ndarray:
    return np.stack((xyz[:, 0], xyz[:, 2], -xyz[:, 1]), 1)


def _from_gltf(xyz: np.ndarray) -> np.ndarray:
    return np.stack((xyz[:, 0], -xyz[:, 2], xyz[:, 1]), 1)


def _flattened(
    mesh: Meshes,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Vertices, normals, faces, uv and colours with one index for all: vertices on a seam of the texture are split."""
    vertices, normals = mesh.vertices[0].numpy(), mesh.vertex_normals()[0].numpy()
    faces = mesh.faces.cpu().numpy()
    colors = None if mesh.vertex_colors is None else mesh.vertex_colors[0].clamp(0, 1).numpy()
    if mesh.uv is None or mesh.texture is None:
        return vertices, normals, faces, None, colors
    uv_faces = faces if mesh.uv_faces is None else mesh.uv_faces.cpu().numpy()
    pairs = np.stack((faces.ravel(), uv_faces.ravel()), 1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    vertex = unique[:, 0]
    picked = None if colors is None else colors[vertex]
    return vertices[vertex], normals[vertex], inverse.reshape(-1, 3), mesh.uv[0].numpy()[unique[:, 1]], picked


def _material(texture: torch.Tensor) -> Any:
    """A matt material with this texture (Ht,Wt,3)."""
    from trimesh.visual.material import PBRMaterial

    pixels = (texture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return PBRMaterial(
        baseColorTexture=Image.fromarray(pixels), metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
    )


def _finish(tree: dict[str, Any]) -> None:
    """Name the colours as glTF does, and give a mesh without a material a matt white one instead of glTF's metal."""
    tree["asset"]["generator"] = f"recon3d {__version__}"
    for mesh in tree.get("meshes", []):
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            if _COLOR_ATTRIBUTE in attributes:
                attributes["COLOR_0"] = attributes.pop(_COLOR_ATTRIBUTE)
            if "material" not in primitive:
                matt = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
                tree.setdefault("materials", []).append({"pbrMetallicRoughness": matt, "doubleSided": True})
                primitive["material"] = len(tree["materials"]) - 1


def _texture_of(solid: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Coordinates (1,V,2) and texture (1,Ht,Wt,3), or nothing."""
    uv = getattr(solid.visual, "uv", None)
    material = getattr(solid.visual, "material", None)
    image = getattr(material, "baseColorTexture", None)
    if uv is None or image is None:
        return None, None
    pixels = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)
    return torch.from_numpy(np.asarray(uv, dtype=np.float32))[None], pixels[None]


def _colors_of(solid: Any, path: Path) -> torch.Tensor | None:
    """Vertex colours (1,V,3) as sRGB: exact where the file has one part with float colours, else in 8 bits."""
    linear = _float_colors(path)
    if linear is None or len(linear) != len(solid.vertices):
        if solid.visual.kind != "vertex":
            return None
        linear = np.asarray(solid.visual.vertex_colors[:, :3], dtype=np.float32) / 255
    return torch.from_numpy(srgb_from_linear(linear).astype(np.float32).clip(0, 1))[None]


def _float_colors(path: Path) -> np.ndarray | None:
    """COLOR_0 (V,3) of a file with one primitive that stores it as floats, as ours do; None for any other."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + length])
    primitives = [primitive for mesh in tree.get("meshes", []) for primitive in mesh["primitives"]]
    index = primitives[0].get("attributes", {}).get("COLOR_0") if len(primitives) == 1 else None
    if index is None:
        return None
    accessor = tree["accessors"][index]
    width = {"VEC3": 3, "VEC4": 4}.get(accessor["type"])
    view = tree["bufferViews"][accessor["bufferView"]]
    if accessor["componentType"] != 5126 or width is None or "byteStride" in view:
        return None
    start = 28 + length + view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = np.frombuffer(data, "<f4", count=accessor["count"] * width, offset=start)
    return values.reshape(-1, width)[:, :3]
