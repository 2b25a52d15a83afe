# SPDX-License-Identifier: Apache-2.0
"""DIB-R's terms: soft silhouette, colour on the rasterised surface, and smoothness of the mesh.

Chen et al., "Learning to Predict 3D Objects with an Interpolation-based Differentiable Renderer", NeurIPS 2019; default
weights are its released code's. Cost per view: see recon_core.renderers.mesh; a term rasterises for itself.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from ...losses.mesh import (
    DIBR_WEIGHTS,
    edge_length,
    flatness,
    laplacian,
    masked_color,
    move,
    normal_consistency,
    topology,
)
from ...losses.silhouette import silhouette_loss
from ...models.mesh_decoder import MeshPrediction
from ...renderers.mesh_images import see
from ...renderers.mesh_shading import SphericalHarmonics, normal_image, shade, surface_color
from ...renderers.mesh_soft import SIGMAINV, soft_mask
from .base import Positive, TermConfig, Views, pick_views

Weight = Annotated[float, Field(ge=0)]


class _MeshTerm(TermConfig):
    shape: ClassVar[Literal["points", "mesh"]] = "mesh"

    cull: bool | Literal["normal"] = True
    """Whether faces that show their back are left out, or, as in the released code, those whose normal points away."""
    views: Annotated[int, Field(ge=1)] | None = None
    """Views per object and step that this term looks at; all if not given."""

    def seen(self, views: Views) -> Views:
        """The views that this term looks at."""
        return views if self.views is None else pick_views(views, self.views)


class MeshMask(_MeshTerm):
    """Silhouette by DIB-R's soft mask."""

    kind: Literal["mesh_mask"] = "mesh_mask"
    weight: Positive = DIBR_WEIGHTS.silhouette
    loss: Literal["iou", "l1", "l2", "bce"] = "iou"
    sigmainv: Positive = SIGMAINV
    """Sharpness: a face's pull falls by exp(-sigmainv d^2), d in half image widths."""
    knum: Annotated[int, Field(ge=1)] | None = None
    """Faces per pixel, the first by index, as in the released code (30); null: all, whatever their order."""
    boxlen: Positive | None = None
    """Reach of a face in half image widths; null: 0.02 with knum, else where its pull is 0.001."""

    def render(self, shape: MeshPrediction, views: Views, progress: float) -> torch.Tensor:
        """Soft masks (B,V,H,W)."""
        batch, count, height, width = views.shape
        meshes = shape.meshes.repeat_views(count)
        seen = see(meshes, views.cameras, cull=self.cull)
        mask = soft_mask(*seen, meshes.faces, sigmainv=self.sigmainv, boxlen=self.boxlen, knum=self.knum)
        return mask.view(batch, count, height, width)

    def evaluate(self, shape: MeshPrediction, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        views = self.seen(views)
        return silhouette_loss(self.render(shape, views, progress), views.masks, self.loss)


class MeshColor(_MeshTerm):
    """Absolute colour error over the target's object, as a mean over the whole image."""

    target: ClassVar[str | None] = "images"

    kind: Literal["mesh_color"] = "mesh_color"
    weight: Positive = DIBR_WEIGHTS.color
    interpolation: Literal["affine", "perspective"] = "affine"
    """Linear on the screen, as in the released code, or on the face."""
    move_vertices: bool = True
    """Whether colours also move vertices, as in DIB-R."""

    def render(self, shape: MeshPrediction, views: Views, progress: float) -> torch.Tensor:
        """Colours (B,V,H,W,3), lit if the model predicts a light; 0 beside the mesh."""
        batch, count, height, width = views.shape
        meshes = shape.meshes.repeat_views(count)
        if not self.move_vertices:
            meshes = meshes.with_vertices(meshes.vertices.detach())
        mode = self.interpolation
        seen = see(meshes, views.cameras, cull=self.cull, interpolation=mode)
        color = surface_color(*seen, meshes, mode)
        if shape.light is not None:
            normals = normal_image(*seen, meshes, interpolation=mode)
            color = shade(color, normals, SphericalHarmonics(shape.light.repeat_interleave(count, 0)))
        return color.view(batch, count, height, width, 3)

    def evaluate(self, shape: MeshPrediction, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        views = self.seen(views)
        assert views.images is not None
        return masked_color(self.render(shape, views, progress), views.images, views.masks)


class MeshSmooth(TermConfig):
    """Regularisers of the mesh, the same for every view."""

    shape: ClassVar[Literal["points", "mesh"]] = "mesh"

    kind: Literal["mesh_smooth"] = "mesh_smooth"
    laplacian: Weight = DIBR_WEIGHTS.laplacian
    """Of the predicted offsets, summed over vertices."""
    flatness: Weight = DIBR_WEIGHTS.flatness
    """(cos - 1)^2 between neighbouring faces, summed over edges."""
    normal_consistency: Weight = 0.0
    """1 - cos between neighbouring faces, mean over edges."""
    edge_length: Weight = 0.0
    """Squared length of edges, mean."""
    move: Weight = 0.0
    """Squared length of the predicted offsets, mean."""

    def evaluate(self, shape: MeshPrediction, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        vertices = shape.meshes.vertices
        mesh = topology(shape.meshes.faces, *vertices.shape[:2])
        parts = (
            (self.laplacian, lambda: laplacian(shape.offsets, mesh)),
            (self.flatness, lambda: flatness(vertices, mesh)),
            (self.normal_consistency, lambda: normal_consistency(vertices, mesh)),
            (self.edge_length, lambda: edge_length(vertices, mesh)),
            (self.move, lambda: move(shape.offsets)),
        )
        total = sum((weight * loss() for weight, loss in parts if weight), vertices.new_zeros(len(vertices)))
        assert isinstance(total, torch.Tensor)
        return total[:, None].expand(-1, views.masks.shape[1])
