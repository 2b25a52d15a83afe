# SPDX-License-Identifier: Apache-2.0
"""What `recon bench renderers` measures: scenes of one size, the eight renderers, and the brute force beside each.

Every step starts from projected points or vertices and ends with the gradients by them, by the colours and by depth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from ..cameras import orbit, pinhole
from ..errors import InputError
from ..mesh import icosphere
from ..renderers.feature_planes import plane_features, plane_mask
from ..renderers.mesh import interpolate, visible_faces
from ..renderers.mesh_soft import soft_mask
from ..renderers.splat import optical_depth, splat_features, splat_mask
from ..renderers.voxel import Blur, dpc_frustum, voxel_mask, voxel_render
from .dense_dpc import dpc_projection
from .dense_mesh import dense_mesh
from .dense_planes import dense_features, dense_mask
from .dense_splat import dense_splat_features, dense_splat_mask
from .measure import Step

Unit = Literal["points", "faces"]
Images = tuple[torch.Tensor, ...]

# Settings as the recipes and the papers have them; pixels and voxels of the image that is rendered.
SPLAT_SIGMA_PX, SLABS = 1.5, 8
VOXEL_SIGMA, VOXEL_TAPS, VOXEL_CLIP = 3.0, 21, 1e-5
PLANE_SIGMA_SQ_PX, WELL_RADIUS_PX, WELL_BETA = 0.5, 1.0, 100.0
MESH_REACH, MESH_FOCAL_WIDTHS, MESH_DISTANCE, MESH_ELEVATION_DEG = 0.0314, 1.8660, 2.732, 30.0
# Views of a volume are rendered in turns, so more of them tell nothing new.
_MOST_CELLS = 2**23


@dataclass(frozen=True)
class Case:
    """`views` images of size x size pixels with `count` points or faces each."""

    size: int
    count: int
    views: int


@dataclass(frozen=True)
class Scene:
    """Projected points (or vertices, with faces), their colours; leaves that want gradients."""

    size: int
    uv_px: torch.Tensor  # (B, N, 2)
    depth: torch.Tensor  # (B, N)
    color: torch.Tensor  # (B, N, 3)
    faces: torch.Tensor | None = None  # (F, 3)

    @property
    def leaves(self) -> Images:
        """What gradients are taken by."""
        return self.uv_px, self.depth, self.color


@dataclass(frozen=True)
class Form:
    """One way to compute a renderer's images, and how its cost grows."""

    what: str
    render: Callable[[Scene], Images]
    work: Callable[[Case], float]
    """Operations of one call, up to a factor: the time of a case that was measured foretells that of others."""
    peak_values: Callable[[Case], float]
    """Numbers alive at the peak of a call with gradients, estimated."""
    views: Callable[[int, int], int] = lambda size, views: views
    """Views of a call, from the image size and the views asked for."""


@dataclass(frozen=True)
class Renderer:
    """A renderer and its brute force."""

    name: str
    family: str
    unit: Unit
    ours: Form
    brute: Form


def point_scene(case: Case, device: torch.device) -> Scene:
    """Points of random boxes the size of chairs, seen by the default cameras."""
    generator = torch.Generator().manual_seed(0)
    extent = torch.rand(case.views, 1, 3, generator=generator) * 0.3 + 0.2
    xyz = (torch.rand(case.views, case.count, 3, generator=generator) - 0.5) * extent
    azimuth_deg = torch.arange(case.views) * (360.0 / case.views)
    cameras = pinhole(orbit(azimuth_deg, torch.full((case.views,), 20.0)), case.size)
    uv_px, depth = cameras.project(xyz)
    return _scene(case.size, uv_px, depth, torch.rand(xyz.shape, generator=generator), device)


def mesh_scene(case: Case, device: torch.device) -> Scene:
    """A lumpy sphere of case.count faces all round, by DIB-R's camera; raises InputError for other counts."""
    generator = torch.Generator().manual_seed(0)
    sphere = icosphere(subdivisions_of(case.count), 0.45)
    lumps = 1 + 0.1 * torch.sin(9 * sphere.vertices) @ torch.randn(3, 1, generator=generator).clamp(-1, 1)
    vertices = (sphere.vertices * lumps).repeat(case.views, 1, 1)
    azimuth_deg = torch.arange(case.views) * (360.0 / case.views)
    pose = orbit(azimuth_deg, torch.full((case.views,), MESH_ELEVATION_DEG), MESH_DISTANCE)
    uv_px, depth = pinhole(pose, case.size, MESH_FOCAL_WIDTHS).project(vertices)
    color = torch.rand(vertices.shape, generator=generator)
    return _scene(case.size, uv_px, depth, color, device, sphere.faces.to(device))


def subdivisions_of(faces: int) -> int:
    """Subdivisions of the icosphere with this many faces: 20, 80, 320, 1280, 5120, 20480 or 81920."""
    counts = [20 * 4**level for level in range(7)]
    if faces not in counts:
        raise InputError(
            f"There is no sphere of {faces} faces. Take some of {', '.join(map(str, counts))} for --faces."
        )
    return counts.index(faces)


def _scene(size: int, uv_px, depth, color, device: torch.device, faces: torch.Tensor | None = None) -> Scene:
    uv_px, depth, color = (tensor.detach().to(device).requires_grad_() for tensor in (uv_px, depth, color))
    return Scene(size, uv_px, depth, color, faces)


def make_scene(renderer: Renderer, case: Case, device: torch.device) -> Scene:
    """The scene that this renderer is measured on."""
    return (mesh_scene if renderer.unit == "faces" else point_scene)(case, device)


def make_step(form: Form, scene: Scene, backward: bool) -> Step:
    """Render; or render, and differentiate by every leaf that has a gradient, with fixed cotangents."""
    if not backward:
        return torch.no_grad()(lambda: form.render(scene))

    def step() -> list[torch.Tensor | None]:
        images = form.render(scene)
        cotangents = [torch.full_like(image, 0.5) for image in images]
        return list(torch.autograd.grad(images, scene.leaves, cotangents, allow_unused=True))

    return step


def _tau(scene: Scene) -> torch.Tensor:
    return optical_depth(torch.full_like(scene.depth, 0.5), scene.size)


def _splat_mask(scene: Scene) -> Images:
    return (splat_mask(scene.uv_px, scene.depth, _tau(scene), scene.size, SPLAT_SIGMA_PX),)


def _splat_colors(scene: Scene) -> Images:
    arguments = scene.uv_px, scene.depth, _tau(scene), scene.color, scene.size, SPLAT_SIGMA_PX, SLABS
    return splat_features(*arguments)[1:]


def _dense_splat_mask(scene: Scene) -> Images:
    return (dense_splat_mask(scene.uv_px, scene.depth, _tau(scene), scene.size, SPLAT_SIGMA_PX),)


def _dense_splat_colors(scene: Scene) -> Images:
    arguments = scene.uv_px, scene.depth, _tau(scene), scene.color, scene.size, SPLAT_SIGMA_PX, SLABS
    return (dense_splat_features(*arguments),)


def _voxel_mask(scene: Scene) -> Images:
    frustum, blur = dpc_frustum(scene.size, scene.size), Blur(VOXEL_SIGMA, VOXEL_TAPS)
    return (voxel_mask(scene.uv_px, scene.depth, frustum, blur, clip=VOXEL_CLIP),)


def _voxel_images(scene: Scene) -> Images:
    frustum, blur = dpc_frustum(scene.size, scene.size), Blur(VOXEL_SIGMA, VOXEL_TAPS)
    images = voxel_render(scene.uv_px, scene.depth, frustum, blur, clip=VOXEL_CLIP, released_depth=True)
    return images.mask, images.depth


def _dense_voxels(scene: Scene) -> Images:
    rows, columns = (scene.uv_px[..., axis] / scene.size - 0.5 for axis in (1, 0))
    coordinates = torch.stack((scene.depth - 2.0, rows, columns), -1)
    scale = torch.ones_like(scene.depth[:, 0])
    return dpc_projection(coordinates, scene.size, VOXEL_SIGMA, VOXEL_TAPS, scale, VOXEL_CLIP)


def _dense_voxel_mask(scene: Scene) -> Images:
    return _dense_voxels(scene)[:1]


def _plane_mask(scene: Scene) -> Images:
    return (plane_mask(scene.uv_px, scene.depth, scene.size, PLANE_SIGMA_SQ_PX),)


def _plane_features(scene: Scene) -> Images:
    arguments = scene.uv_px, scene.depth, scene.color, scene.size, WELL_RADIUS_PX, WELL_BETA
    return plane_features(*arguments, mode="released")[1:]


def _dense_plane_mask(scene: Scene) -> Images:
    return (dense_mask(scene.uv_px, scene.size, PLANE_SIGMA_SQ_PX),)


def _dense_plane_features(scene: Scene) -> Images:
    arguments = scene.uv_px, scene.depth, scene.color, scene.size, WELL_RADIUS_PX, WELL_BETA
    return (dense_features(*arguments),)


def _mesh_mask(scene: Scene) -> Images:
    assert scene.faces is not None
    face = visible_faces(scene.uv_px, scene.depth, scene.faces, scene.size, cull=True)
    return (soft_mask(face, scene.uv_px, scene.depth, scene.faces, boxlen=MESH_REACH),)


def _mesh_colors(scene: Scene) -> Images:
    assert scene.faces is not None
    face = visible_faces(scene.uv_px, scene.depth, scene.faces, scene.size, cull=True)
    return (interpolate(face, scene.uv_px, scene.depth, scene.faces, scene.color),)


def _dense_mesh(scene: Scene, soft: bool) -> list[Images]:
    assert scene.faces is not None
    views = zip(scene.uv_px, scene.depth, scene.color)
    return [dense_mesh(*view[:2], scene.faces, view[2], scene.size, MESH_REACH, soft) for view in views]


def _dense_mesh_mask(scene: Scene) -> Images:
    return (torch.stack([mask for mask, _ in _dense_mesh(scene, soft=True)]),)


def _dense_mesh_colors(scene: Scene) -> Images:
    return (torch.stack([image for _, image in _dense_mesh(scene, soft=False)]),)


def _sparse(case: Case) -> float:
    return case.views * (case.count + case.size**2)


def _pairs(case: Case) -> float:
    return case.views * case.count * case.size**2


def _cells(case: Case) -> float:
    return case.views * case.size**3


def _one_view(_size: int, _views: int) -> int:
    return 1


def _few_volumes(size: int, views: int) -> int:
    return max(1, min(views, _MOST_CELLS // size**3))


def _ours(what: str, render: Callable[[Scene], Images], numbers: float, work=_sparse) -> Form:
    return Form(what, render, work, lambda case: numbers * _sparse(case))


def _volumes(what: str, render: Callable[[Scene], Images], copies: int) -> Form:
    def peak_values(case: Case) -> float:
        # On a CPU 2^18 cells at once, or one volume.
        return copies * max(case.size**3, 2**18) + 10 * _sparse(case)

    return Form(what, render, lambda case: _cells(case) * case.size, peak_values, _few_volumes)


def _dense(what: str, render: Callable[[Scene], Images], copies: float, values=_pairs) -> Form:
    return Form(what, render, values, lambda case: copies * values(case), _one_view)


def _dense_faces(what: str, render: Callable[[Scene], Images]) -> Form:
    # 2,048 pixels at a time, about 30 numbers for each of them and every face.
    return Form(what, render, _pairs, lambda case: 30.0 * 2048 * case.count + 60 * case.size**2, _one_view)


_VOXELS = "DPC with three 3D convolutions"
RENDERERS = (
    Renderer("splat mask", "splat", "points",
             _ours("grid, Gaussian as matrix products", _splat_mask, 20),
             _dense("every point at every pixel", _dense_splat_mask, 4)),
    Renderer("splat colours", "splat", "points",
             _ours("8 depth slabs", _splat_colors, 200),
             _dense("every point at every pixel", _dense_splat_colors, 4)),
    Renderer("voxel mask", "voxel", "points",
             _volumes("matrix products, telescoped", _voxel_mask, 6), _dense(_VOXELS, _dense_voxel_mask, 14, _cells)),
    Renderer("voxel images", "voxel", "points",
             _volumes("matrix products, ray termination", _voxel_images, 14),
             _dense(_VOXELS, _dense_voxels, 14, _cells)),
    Renderer("plane mask", "planes", "points",
             _ours("one matrix product", _plane_mask, 20, _pairs),
             _dense("every point at every pixel", _dense_plane_mask, 4)),
    Renderer("plane features", "planes", "points",
             _ours("pairs within wells", _plane_features, 100),
             _dense("every point at every pixel", _dense_plane_features, 8)),
    Renderer("mesh mask", "mesh", "faces",
             _ours("ragged pixel-face pairs", _mesh_mask, 200),
             _dense_faces("every face at every pixel", _dense_mesh_mask)),
    Renderer("mesh colours", "mesh", "faces",
             _ours("ragged pixel-face pairs", _mesh_colors, 200),
             _dense_faces("every face at every pixel", _dense_mesh_colors)),
)  # fmt: skip


def renderers_named(names: list[str]) -> list[Renderer]:
    """Renderers whose name or family is listed, all for none; raises InputError for a name that there is not."""
    known = {renderer.name for renderer in RENDERERS} | {renderer.family for renderer in RENDERERS}
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no renderer {name!r} for --only. There are: {', '.join(sorted(known))}."
            )
    return [r for r in RENDERERS if not names or r.name in names or r.family in names]
