# SPDX-License-Identifier: Apache-2.0
"""The pictures of docs/methods.md: what each renderer shows of one chair, and where its gradient pulls.

    recon shapes --category chair --count 11 --output MESHES
    python docs/make_renderers.py MESHES/chair/chair_0_00010 [--out docs/images]

Writes renderer_{splat,voxel,planes,mesh,projection}.png, all laid out alike: mask, colour, parts, and two fields of
arrows. An arrow is minus the gradient of the squared difference to the chair's own mask, moved by SHIFT_PX; by the
places of the points (or vertices) of one cell of the image, summed. Its length grows with the square root of the sum.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.io.atomic import atomic_path
from recon_core.io.glb import read_glb
from recon_core.io.ply import read_ply
from recon_core.losses.features import affinity_paper
from recon_core.losses.match2d import mask_samples, match2d
from recon_core.losses.projection import STABLE, drwr_pair, drwr_unary
from recon_core.mesh import Meshes
from recon_core.renderers.feature_planes import plane_features, plane_mask
from recon_core.renderers.mesh import interpolate, visible_faces
from recon_core.renderers.mesh_shading import surface_color
from recon_core.renderers.mesh_soft import soft_mask
from recon_core.renderers.splat import optical_depth, splat_features, splat_mask
from recon_core.renderers.voxel import Blur, Frustum, voxel_mask, voxel_render
from recon_core.visual import grid, palette

SIZE, TILE_PX, POINTS = 128, 256, 8000
AZIMUTH_DEG, ELEVATION_DEG, FOCAL_WIDTHS = 35.0, 20.0, 1.8
SHIFT_PX, CELL_PX, ARROW_PX = (9, -4), 7, 11
OVERSAMPLING = 3
FINE_PX = 1.0  # sigma of the pictures of splats and voxels
INK, OURS, TARGET, BOTH = (22, 26, 44), (246, 170, 150), (150, 190, 250), (206, 208, 214)


@dataclass(frozen=True)
class Scene:
    """The chair as points and as a mesh, both seen by one camera."""

    uv_px: torch.Tensor  # (1, N, 2)
    depth: torch.Tensor  # (1, N)
    color: torch.Tensor  # (1, N, 3) in [0, 1]
    parts: torch.Tensor  # (1, N, P) one-hot
    mesh: Meshes
    mesh_uv: torch.Tensor  # (1, V, 2)
    mesh_depth: torch.Tensor  # (1, V)
    face_parts: torch.Tensor  # (F,) from 1
    mask: torch.Tensor  # (1, S, S) the chair's own, anti-aliased

    @property
    def target(self) -> torch.Tensor:
        """The chair's mask, moved."""
        return self.mask.roll((SHIFT_PX[1], SHIFT_PX[0]), (1, 2))


@dataclass(frozen=True)
class Field:
    """Points and the pull on each, over the mask that was rendered."""

    title: str
    uv_px: torch.Tensor  # (N, 2)
    pull: torch.Tensor  # (N, 2)
    rendered: torch.Tensor  # (S, S)


def load(folder: Path) -> Scene:
    """One object of `recon shapes`, its box centred and scaled to diagonal 1."""
    mesh, cloud = read_glb(folder / "model.glb"), read_ply(folder / "points.ply")
    low, high = mesh.vertices.amin((0, 1)), mesh.vertices.amax((0, 1))
    centre, diagonal = (low + high) / 2, (high - low).norm()
    mesh = mesh.with_vertices((mesh.vertices - centre) / diagonal)
    assert cloud.colors is not None
    assert cloud.labels is not None
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(cloud.xyz), generator=generator)[:POINTS].numpy()
    xyz = (torch.from_numpy(cloud.xyz) - centre) / diagonal
    labels = torch.from_numpy(cloud.labels.astype(np.int64))
    middles = mesh.vertices[0][mesh.faces].mean(1)
    nearest = cKDTree(xyz.numpy()).query(middles.numpy())[1]
    cameras = view(SIZE)
    uv_px, depth = cameras.project(xyz[chosen][None].float())
    mesh_uv, mesh_depth = cameras.project(mesh.vertices)
    color = torch.from_numpy(cloud.colors[chosen]).float()[None] / 255
    parts = torch.nn.functional.one_hot(labels[chosen] - 1, int(labels.max()))[None].float()
    return Scene(uv_px, depth, color, parts, mesh, mesh_uv, mesh_depth, labels[nearest], own_mask(mesh))


def view(size: int) -> Cameras:
    """The camera of all pictures."""
    return pinhole(orbit(torch.tensor([AZIMUTH_DEG]), torch.tensor([ELEVATION_DEG])), size, FOCAL_WIDTHS)


def own_mask(mesh: Meshes) -> torch.Tensor:
    """The mesh's coverage (1,S,S), 4 x 4 samples a pixel."""
    uv_px, depth = view(4 * SIZE).project(mesh.vertices)
    hit = visible_faces(uv_px, depth, mesh.faces, 4 * SIZE) >= 0
    return torch.nn.functional.avg_pool2d(hit.float()[:, None], 4)[:, 0]


def pull(
    title: str,
    uv_px: torch.Tensor,
    loss: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> Field:
    """Minus the gradient by uv_px (1,N,2) of a loss, which comes with the rendered mask (1,S,S)."""
    leaf = uv_px.clone().requires_grad_()
    value, rendered = loss(leaf)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return Field(title, leaf.detach()[0], -gradient[0], rendered.detach()[0])


def squared(render: Callable[[torch.Tensor], torch.Tensor], target: torch.Tensor):
    """Squared difference of what is rendered to the target."""

    def loss(uv_px: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = render(uv_px)
        return (mask - target).square().sum(), mask

    return loss


def splat_row(scene: Scene) -> list[np.ndarray]:
    """Optical-depth splatting."""
    tau = optical_depth(torch.ones_like(scene.depth), SIZE, 1.5)

    def mask(sigma_px: float):
        return lambda uv_px: splat_mask(uv_px, scene.depth, tau, SIZE, sigma_px)

    def features(values: torch.Tensor, ground: float) -> torch.Tensor:
        coverage, image = splat_features(scene.uv_px, scene.depth, tau, values, SIZE, FINE_PX, 24)
        return image[0] + (1 - coverage[0, ..., None]) * ground

    fields = [pull(f"pull, sigma {s:g} px", scene.uv_px, squared(mask(s), scene.target)) for s in (1.5, 4.0)]
    parts = painted(features(scene.parts, 0.0))
    return row(mask(FINE_PX)(scene.uv_px)[0], features(scene.color, 1.0), parts, fields, scene)


def voxel_row(scene: Scene) -> list[np.ndarray]:
    """DPC's volume."""
    frustum = Frustum(SIZE, (SIZE, SIZE, SIZE), 1.5, 2.5, "centre")

    def mask(sigma: float):
        # Occupancies of a surface fall with its blur: the scale is what DPC learns.
        scale = torch.full((1,), 2.0 + sigma)
        return lambda uv_px: voxel_mask(uv_px, scene.depth, frustum, Blur(sigma), scale)

    def features(values: torch.Tensor, ground: float) -> torch.Tensor:
        scale, behind = torch.full((1,), 6.0), torch.full(values.shape[-1:], ground)
        images = voxel_render(scene.uv_px, scene.depth, frustum, Blur(FINE_PX), values, behind, scale)
        assert images.features is not None
        return images.features[0]

    fields = [
        pull(f"pull, sigma {s:g} voxels", scene.uv_px, squared(mask(s), scene.target)) for s in (1.5, 4.0)
    ]
    parts = painted(features(scene.parts, 0.0))
    return row(mask(FINE_PX)(scene.uv_px)[0], features(scene.color, 1.0), parts, fields, scene)


def planes_row(scene: Scene) -> list[np.ndarray]:
    """CAPNet's mask and DIFFER's features; sigma^2 and the well are given at 64 px."""
    scale = SIZE / 64

    def mask(uv_px: torch.Tensor) -> torch.Tensor:
        return plane_mask(uv_px, scene.depth, SIZE, 0.5 * scale**2)

    def features(values: torch.Tensor, ground: float) -> torch.Tensor:
        return plane_features(scene.uv_px, scene.depth, values, SIZE, scale, background=ground)[1][0]

    def near(uv_px: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rendered = mask(uv_px)
        forward, backward = affinity_paper(rendered, scene.target)
        return forward + backward, rendered

    fields = [
        pull("pull of the mask", scene.uv_px, squared(mask, scene.target)),
        pull("pull of the affinity", scene.uv_px, near),
    ]
    parts = painted(features(scene.parts, 0.0))
    return row(mask(scene.uv_px)[0], features(scene.color, 1.0), parts, fields, scene)


def mesh_row(scene: Scene) -> list[np.ndarray]:
    """DIB-R's rasteriser."""
    face = visible_faces(scene.mesh_uv, scene.mesh_depth, scene.mesh.faces, SIZE)

    def mask(sigmainv: float):
        def render(uv_px: torch.Tensor) -> torch.Tensor:
            return soft_mask(face, uv_px, scene.mesh_depth, scene.mesh.faces, sigmainv=sigmainv)

        return render

    color = surface_color(face, scene.mesh_uv, scene.mesh_depth, scene.mesh, "affine")
    count = int(scene.face_parts.max())
    rows = part_colors(count)[None]  # one attribute row for each part
    index = (scene.face_parts - 1)[:, None].expand(-1, 3)
    parts = interpolate(face, scene.mesh_uv, scene.mesh_depth, scene.mesh.faces, rows, attribute_faces=index)
    beside = (face < 0)[..., None]
    fields = [
        pull(f"pull, 1/delta = {s:,}", scene.mesh_uv, squared(mask(s), scene.target)) for s in (7000, 700)
    ]
    color = torch.where(beside, torch.ones(()), color)
    parts = torch.where(beside, torch.ones(()), parts)
    return row(mask(7000)(scene.mesh_uv)[0], color[0], parts[0], fields, scene)


def projection_row(scene: Scene) -> list[np.ndarray]:
    """Losses without a renderer: three fields over the points' own coverage."""
    tau = optical_depth(torch.ones_like(scene.depth), SIZE, 1.5)
    rendered = splat_mask(scene.uv_px, scene.depth, tau, SIZE, FINE_PX)
    samples = mask_samples(scene.target, 5000)
    losses = {
        "DRWR, unary": lambda uv_px: drwr_unary(uv_px, scene.depth, scene.target),
        "DRWR, repulsion": lambda uv_px: drwr_pair(uv_px, scene.depth, scene.target),
        "DRWR, both": lambda uv_px: (
            drwr_unary(uv_px, scene.depth, scene.target, STABLE)
            + drwr_pair(uv_px, scene.depth, scene.target, STABLE)
        ),
        "2D projection matching": lambda uv_px: match2d(uv_px, scene.depth, samples, SIZE),
    }
    fields = [
        pull(title, scene.uv_px, lambda uv_px, loss=loss: (loss(uv_px), rendered))
        for title, loss in losses.items()
    ]
    points = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    columns, lines = (
        np.clip((scene.uv_px[0, :, k].numpy() * TILE_PX / SIZE), 0, TILE_PX - 1).astype(int) for k in (0, 1)
    )
    points[lines, columns] = INK
    return [points, *(drawn(field, scene.target[0]) for field in fields)]


ROWS: dict[str, tuple[Callable[[Scene], list[np.ndarray]], Sequence[str]]] = {
    "splat": (splat_row, ("mask", "colour", "parts", "pull, sigma 1.5 px", "pull, sigma 4 px")),
    "voxel": (voxel_row, ("mask", "colour", "parts", "pull, sigma 1.5 voxels", "pull, sigma 4 voxels")),
    "planes": (planes_row, ("mask", "colour", "parts", "pull of the mask", "pull of the affinity")),
    "mesh": (mesh_row, ("mask", "colour", "parts", "pull, 1/delta 7,000", "pull, 1/delta 700")),
    "projection": (
        projection_row,
        ("projected points", "DRWR, unary", "DRWR, repulsion", "DRWR, both", "2D projection matching"),
    ),
}


def part_colors(count: int) -> torch.Tensor:
    """Colours (P,3) in [0,1] of parts 1..P."""
    return torch.from_numpy(palette(count)[1:].astype(np.float32) / 255)


def painted(parts: torch.Tensor) -> torch.Tensor:
    """Shares of parts (S,S,P) as colours, over white."""
    return parts @ part_colors(parts.shape[-1]) + (1 - parts.sum(-1, keepdim=True))


def row(
    mask: torch.Tensor, color: torch.Tensor, parts: torch.Tensor, fields: list[Field], scene: Scene
) -> list[np.ndarray]:
    """The five pictures of a renderer."""
    return [
        *(enlarged(image) for image in (1 - mask[..., None].expand(-1, -1, 3) * 0.85, color, parts)),
        *(drawn(field, scene.target[0]) for field in fields),
    ]


def enlarged(image: torch.Tensor) -> np.ndarray:
    """An image (S,S,3) in [0,1] as a tile of whole pixels."""
    picture = (image.detach().clamp(0, 1).numpy() * 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(picture).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST))


def drawn(field: Field, target: torch.Tensor) -> np.ndarray:
    """Arrows over the rendered mask (red), the target (blue) and what both cover (grey)."""
    ours, theirs = field.rendered.clamp(0, 1)[..., None], target[..., None]
    both = torch.minimum(ours, theirs)
    ground = sum(
        share * torch.tensor(color) / 255
        for share, color in ((ours - both, OURS), (theirs - both, TARGET), (both, BOTH))
    ) + (1 - ours - theirs + both)
    big = TILE_PX * OVERSAMPLING
    canvas = Image.fromarray(enlarged(ground)).resize((big, big), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    places, pulls = gathered(field)
    lengths = pulls.norm(dim=1)
    longest = float(torch.quantile(lengths, 0.97)) + 1e-12
    for place, direction, length in zip(places.tolist(), pulls.tolist(), lengths.tolist()):
        reach = ARROW_PX * min(1.0, math.sqrt(length / longest))
        if reach > 0.08 * ARROW_PX:
            tip = [at + reach * along / length for at, along in zip(place, direction)]
            arrow(draw, place, tip)
    return np.asarray(canvas.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS))


def gathered(field: Field) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean place and summed pull (M,2) of the points of each cell that has any."""
    cell = (field.uv_px / CELL_PX).floor().clamp(0, SIZE // CELL_PX).long()
    index, inverse = torch.unique(cell[:, 1] * 1000 + cell[:, 0], return_inverse=True)
    count = torch.bincount(inverse).clamp(min=1)[:, None]
    places = torch.zeros(len(index), 2).index_add_(0, inverse, field.uv_px) / count
    return places, torch.zeros(len(index), 2).index_add_(0, inverse, field.pull)


def arrow(draw: ImageDraw.ImageDraw, start: Sequence[float], tip: Sequence[float]) -> None:
    """An arrow between two places of the image."""
    scale = TILE_PX * OVERSAMPLING / SIZE
    (x0, y0), (x1, y1) = ([v * scale for v in point] for point in (start, tip))
    length = math.hypot(x1 - x0, y1 - y0)
    ux, uy, head = (x1 - x0) / length, (y1 - y0) / length, min(5.5 * OVERSAMPLING, 0.6 * length)
    neck = (x1 - ux * head, y1 - uy * head)
    draw.line((x0, y0, *neck), fill=INK, width=round(1.5 * OVERSAMPLING))
    side = (-uy * head * 0.45, ux * head * 0.45)
    draw.polygon(
        [(x1, y1), (neck[0] + side[0], neck[1] + side[1]), (neck[0] - side[0], neck[1] - side[1])], fill=INK
    )


def main(argv: list[str]) -> int:
    """Write one picture per renderer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("object", type=Path, help="folder of one object that `recon shapes` made")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    scene = load(options.object)
    for name in options.only:
        make, titles = ROWS[name]
        path = options.out / f"renderer_{name}.png"
        with atomic_path(path) as temporary:
            Image.fromarray(grid([make(scene)], list(titles), gap=6)).save(temporary, "PNG", optimize=True)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
