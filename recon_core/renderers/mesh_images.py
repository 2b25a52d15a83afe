# SPDX-License-Identifier: Apache-2.0
"""Meshes and cameras to images in one call: soft mask, lit colour, depth, normals.

What a recipe names. Cost per view: the rasteriser's and the soft mask's, O(F + P + H W) with P the pixels in and near
the faces' boxes, plus O(H W) for each image that is asked for.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from ..cameras import Cameras
from ..errors import InputError
from ..mesh import Meshes, unit_vectors
from .mesh import Interpolation, forward_normals, interpolate, visible_faces
from .mesh_shading import Light, Phong, normal_image, shade, surface_color
from .mesh_soft import SIGMAINV, soft_mask

Culling = bool | Literal["normal"]


class Seen(NamedTuple):
    """Meshes projected into their cameras."""

    face: torch.Tensor  # (B, H, W) int32 visible face, -1: none
    uv_px: torch.Tensor  # (B, V, 2)
    depth: torch.Tensor  # (B, V)


def see(
    meshes: Meshes, cameras: Cameras, *, cull: Culling = True, interpolation: Interpolation = "affine"
) -> Seen:
    """Project mesh b into camera b and find its visible faces.

    cull: leave out faces that show their back (True), those whose normal points away in the camera frame ("normal", as
    DIB-R's released code: under perspective a few faces at the rim differ), or none (False).
    Raises InputError when there are not as many cameras as meshes.
    """
    if len(cameras) != len(meshes):
        raise InputError(
            f"{len(meshes)} meshes need as many cameras, got {len(cameras)}: see Meshes.repeat_views."
        )
    uv_px, depth = cameras.project(meshes.vertices)
    mask = None
    if cull == "normal":
        rotation = cameras.world_to_cam[:, :3, :3].to(meshes.vertices)
        mask = forward_normals(meshes.vertices.detach() @ rotation.transpose(1, 2), meshes.faces)
    face = visible_faces(
        uv_px,
        depth,
        meshes.faces,
        (cameras.height, cameras.width),
        cull=cull is True,
        interpolation=interpolation,
        face_mask=mask,
    )
    return Seen(face, uv_px, depth)


@dataclass(frozen=True)
class MeshImages:
    """What B cameras see of B meshes."""

    face: torch.Tensor  # (B, H, W) int32, -1: none
    mask: torch.Tensor  # (B, H, W) soft coverage; 1 on faces
    color: torch.Tensor  # (B, H, W, 3) on faces, elsewhere the background
    normals: (
        torch.Tensor | None
    )  # (B, H, W, 3) world frame, 0 beside faces; when light or normals were asked for


def render_meshes(
    meshes: Meshes,
    cameras: Cameras,
    *,
    light: Light | None = None,
    background: float | torch.Tensor = 0.0,
    interpolation: Interpolation = "affine",
    cull: Culling = True,
    smooth: bool = True,
    normals: bool = False,
    sigmainv: float = SIGMAINV,
    boxlen: float | None = None,
    knum: int | None = None,
) -> MeshImages:
    """Render mesh b into camera b. Defaults are DIB-R's, except that every near face counts (knum=None).

    background: a number, (3,) or (B,3). cull: see `see`. smooth: normals interpolated from vertices, else one per face.
    Raises InputError when there are not as many cameras as meshes.
    """
    face, uv_px, depth = see(meshes, cameras, cull=cull, interpolation=interpolation)
    mask = soft_mask(face, uv_px, depth, meshes.faces, sigmainv=sigmainv, boxlen=boxlen, knum=knum)
    color = surface_color(face, uv_px, depth, meshes, interpolation)
    directions = None
    if light is not None or normals:
        directions = normal_image(face, uv_px, depth, meshes, smooth=smooth, interpolation=interpolation)
    if light is not None and directions is not None:
        eye = (
            _to_eye(face, uv_px, depth, meshes, cameras, interpolation) if isinstance(light, Phong) else None
        )
        color = shade(color, directions, light, eye)
    return MeshImages(face, mask, _over(color, face, background), directions)


def _over(color: torch.Tensor, face: torch.Tensor, background: float | torch.Tensor) -> torch.Tensor:
    """Colours where there is a face, the background elsewhere: no dark ring, as a blend with 0 would leave."""
    behind = torch.as_tensor(background, dtype=color.dtype, device=color.device)
    behind = behind[:, None, None] if behind.ndim == 2 else behind
    return torch.where((face >= 0)[..., None], color, behind)


def _to_eye(
    face: torch.Tensor,
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    meshes: Meshes,
    cameras: Cameras,
    interpolation: Interpolation,
) -> torch.Tensor:
    """Unit directions (B,H,W,3), world frame, from visible surfaces to the camera."""
    rotation, translation = cameras.world_to_cam[:, :3, :3], cameras.world_to_cam[:, :3, 3]
    if cameras.orthographic:
        return rotation[:, 2, None, None].to(uv_px).expand(*face.shape, 3)
    centre = -(rotation.transpose(1, 2) @ translation[..., None])[..., 0]  # (B, 3)
    places = interpolate(face, uv_px, depth, meshes.faces, meshes.vertices, interpolation=interpolation)
    return unit_vectors(centre[:, None, None].to(places) - places)
