# SPDX-License-Identifier: Apache-2.0
"""Projection of points through pinhole or orthographic cameras, with a gradient that keeps the points alone.

Autograd would keep a dozen numbers per point and view; every renderer starts here, so this is most of its memory.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .blocks import batch_blocks
from .errors import InputError

# Depth below which the division stops growing: such points are behind the camera, and renderers ignore them.
_NEAREST = 1e-6


def project_points(
    xyz: torch.Tensor, world_to_cam: torch.Tensor, intrinsics: torch.Tensor, orthographic: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (B,N,2) and planar depth (B,N), positive in front, of world points xyz (B,N,3).

    world_to_cam (B,4,4), OpenGL; intrinsics (B,4): fx, fy, cx, cy in pixels (per unit, where orthographic).
    Gradients reach all of them. Raises InputError when points and cameras differ in precision.
    """
    if xyz.dtype != world_to_cam.dtype:
        raise InputError(
            f"Points are {xyz.dtype} and cameras {world_to_cam.dtype}; convert one, as by xyz.to(world_to_cam)."
        )
    batch = max(len(xyz), len(world_to_cam))
    xyz, world_to_cam = xyz.expand(batch, -1, -1), world_to_cam.expand(batch, -1, -1)
    result = _Projection.apply(xyz, world_to_cam, intrinsics.expand(batch, -1), orthographic)
    assert isinstance(result, tuple)
    return result[0], result[1]


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, xyz, world_to_cam, intrinsics, orthographic: bool):
        ctx.save_for_backward(xyz, world_to_cam, intrinsics)
        ctx.orthographic = orthographic
        uv_px, depths = torch.empty_like(xyz[..., :2]), torch.empty_like(xyz[..., 0])
        for views in batch_blocks(xyz):
            x, y, depth, scale = _camera_axes(xyz[views], world_to_cam[views], orthographic)
            fx, fy, cx, cy = intrinsics[views, :, None].unbind(1)  # (b, 1) each
            uv_px[views, :, 0] = x.mul_(scale).mul_(fx).add_(cx)
            uv_px[views, :, 1] = y.mul_(scale).mul_(-fy).add_(cy)
            depths[views] = depth
        return uv_px, depths

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_uv: torch.Tensor, grad_depth: torch.Tensor):
        xyz, world_to_cam, intrinsics = ctx.saved_tensors
        to_xyz = torch.empty_like(xyz) if ctx.needs_input_grad[0] else None
        to_pose, to_lens = torch.zeros_like(world_to_cam), torch.empty_like(intrinsics)
        for views in batch_blocks(xyz):
            grad_cam, to_lens[views] = _gradients(
                xyz[views], world_to_cam[views], intrinsics[views], grad_uv[views], grad_depth[views], ctx.orthographic
            )
            torch.matmul(grad_cam, xyz[views], out=to_pose[views, :3, :3])
            to_pose[views, :3, 3] = grad_cam.sum(2)
            if to_xyz is not None:
                to_xyz[views] = grad_cam.transpose(1, 2) @ world_to_cam[views, :3, :3]
        return to_xyz, to_pose, to_lens, None


def _camera_axes(
    xyz: torch.Tensor, world_to_cam: torch.Tensor, orthographic: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Camera x and y, depth, and the factor 1 / depth (each (B,N)) of points (B,N,3)."""
    rotation, translation = world_to_cam[:, :3, :3], world_to_cam[:, :3, 3:]
    # Axes first: each is then one run of memory.
    x, y, z = torch.baddbmm(translation, rotation, xyz.transpose(1, 2)).unbind(1)
    depth = z.neg_()
    scale = torch.ones_like(depth) if orthographic else depth.clamp(min=_NEAREST).reciprocal_()
    return x, y, depth, scale


def _gradients(
    xyz: torch.Tensor,
    world_to_cam: torch.Tensor,
    intrinsics: torch.Tensor,
    grad_uv: torch.Tensor,
    grad_depth: torch.Tensor,
    orthographic: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of camera coordinates (B,3,N) and of fx, fy, cx, cy (B,4)."""
    x, y, depth, scale = _camera_axes(xyz, world_to_cam, orthographic)
    fx, fy = intrinsics[:, :2, None].unbind(1)  # (B, 1) each
    grad_cam = xyz.new_empty(len(xyz), 3, xyz.shape[1])
    along_x, along_y, along_z = grad_cam.unbind(1)
    torch.mul(grad_uv[..., 0], scale, out=along_x)
    torch.mul(grad_uv[..., 1], scale, out=along_y)
    to_focal = torch.stack(((along_x * x).sum(1), -(along_y * y).sum(1)), -1)
    along_x.mul_(fx)
    along_y.mul_(-fy)
    # u and v fall with 1 / depth; camera z is minus depth. Behind the camera the factor is constant.
    if orthographic:
        along_z.zero_()
    else:
        torch.mul(along_x, x, out=along_z).addcmul_(along_y, y).mul_(scale).mul_(depth > _NEAREST)
    along_z.sub_(grad_depth)
    return grad_cam, torch.cat((to_focal, grad_uv.sum(1)), -1)
