# SPDX-License-Identifier: Apache-2.0
"""How well a photograph's colours are those of the points that each view shows, whatever the light.

Outlines cannot tell a view from the one from behind, where a thing looks mirrored; colours can. The light is unknown:
the colours of a view's front points, times a brightness that is linear in the surface's direction (a Lambertian under
distant light and sky), are fitted to the photograph's, and what remains is the view's difference.
"""

from dataclasses import dataclass

import torch

from .views import Views

# Points this much behind the front one of their pixel, in bounding-box diagonals, are hidden.
_HIDDEN = 0.04
_RIDGE = 1e-2
_SOLID = 0.9  # coverage of a pixel that shows nothing else


@dataclass(frozen=True)
class Painted:
    """Points with their paint, and the photograph."""

    xyz: torch.Tensor  # (N, 3)
    colors: torch.Tensor  # (N, 3) in [0, 1]
    normals: torch.Tensor | None  # (N, 3), unit
    photo: torch.Tensor  # (S, S, 3) in [0, 1], colours in the crop
    cover: torch.Tensor  # (S, S), how far each pixel is the object's

    def first(self, count: int) -> "Painted":
        """The same of the first points alone, and of smaller pictures where these are few."""
        if count >= len(self.xyz):
            return self
        normals = None if self.normals is None else self.normals[:count]
        pixels = torch.cat((self.photo * self.cover[..., None], self.cover[..., None]), -1)
        small = torch.nn.functional.avg_pool2d(pixels.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
        photo = small[..., :3] / small[..., 3:].clamp(min=1e-3)
        return Painted(self.xyz[:count], self.colors[:count], normals, photo, small[..., 3])

    def differences(self, views: Views) -> torch.Tensor:
        """Mean squared differences (B,) of colours over pixels that mask and view share; 1 where there are none.

        Less where few pixels are wholly the object's, as those of wires: the others are mixed with the background.
        """
        size = self.photo.shape[0]
        values = [torch.ones_like(self.colors[:, :1]), self.colors]
        values += [] if self.normals is None else [self.normals]
        sums = front_sums(views, self.xyz, torch.cat(values, 1), size)  # (B, SS, C)
        count = sums[..., :1]
        means = sums[..., 1:] / count.clamp(min=1)
        weight = ((count[..., 0] > 0) & (self.cover.flatten() > _SOLID)).to(means)  # (B, SS)
        basis = _basis(means)  # (B, SS, 3, K)
        photo = self.photo.flatten(0, 1).expand(len(views), -1, -1)  # (B, SS, 3)
        rest = _residual(basis, photo, weight)
        shown = weight.sum(1)
        solid = (self.cover * (self.cover > _SOLID)).sum() / self.cover.sum().clamp(min=1e-6)
        return solid * torch.where(shown > 0, rest / (3 * shown).clamp(min=1), 1.0)


def front_sums(views: Views, xyz: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """Sums (B,S*S,C) of the values (N,C) of the points (N,3) that are seen in each pixel of the crop."""
    uv, depth = views.project(xyz)
    cell = (uv * size).floor().long()
    inside = ((cell >= 0) & (cell < size)).all(-1) & (depth > 0)
    index = torch.where(inside, cell[..., 1] * size + cell[..., 0], size * size)  # the last: all others
    front = depth.new_full((len(views), size * size + 1), torch.inf).scatter_reduce(1, index, depth, "amin")
    seen = inside & (depth <= front.gather(1, index) + _HIDDEN)
    total = depth.new_zeros(len(views), size * size + 1, values.shape[1])
    total.scatter_add_(1, index[..., None].expand(-1, -1, values.shape[1]), values * seen[..., None])
    return total[:, :-1]


def _basis(means: torch.Tensor) -> torch.Tensor:
    """What a pixel's colour is made of (B,SS,3,K): its paint, and its paint times each direction of the surface."""
    paint = means[..., :3, None]
    if means.shape[-1] == 3:
        return torch.cat((paint, torch.ones_like(paint)), -1)
    return torch.cat((paint, paint * means[..., None, 3:6]), -1)


def _residual(basis: torch.Tensor, photo: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Squared differences (B,) that the best combination leaves, over three channels."""
    flat = (basis * weight[..., None, None]).flatten(1, 2)  # (B, 3 SS, K), weights are 0 or 1
    goal = (photo * weight[..., None]).flatten(1)[..., None]
    matrix, right = flat.mT @ flat, flat.mT @ goal
    ridge = _RIDGE * weight.sum(1)[:, None, None] * torch.eye(matrix.shape[-1]).to(matrix)
    # Towards the paint itself in even light.
    first = torch.zeros_like(right)
    first[:, 0] = 1
    solution = torch.linalg.solve(
        matrix + ridge + 1e-6 * torch.eye(matrix.shape[-1]).to(matrix), right + ridge @ first
    )
    return (goal - flat @ solution).square().sum((1, 2))
