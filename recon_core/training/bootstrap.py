# SPDX-License-Identifier: Apache-2.0
"""First poses for objects without any: expectation-maximisation of a few template clouds over a grid of views.

Before the network trains, M template clouds are fitted to all masks at once. Every template is rendered from a grid of
upright views; each mask is compared with all renders by one matrix product (the binary cross-entropy is linear in the
mask), so the whole collection is assigned in milliseconds. E-step: a soft view per mask and a soft template per object
(all its views share it). M-step: gradients of the expected loss through the splats. One template first, so that all
copies made of it share its canonical frame; then M copies specialise. Where front and back look alike from far, as of
airplanes, the first template has two heads, and its copies lose one or the other: each is turned about the vertical to
agree with the rest. What remains is, for each mask, a ranked list of distinct views, from which the pose heads start.

The only thing assumed is that cameras stand upright at moderate elevations, as in photographs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from tqdm import tqdm

from ..cameras import Cameras, orbit, pinhole, rotation_angle_deg
from ..io.weights import load_tensors, save_tensors
from ..methods.config import Config, geometric
from ..renderers.splat import optical_depth, splat_mask


class BootstrapConfig(Config):
    """Sizes of the search; the defaults take about a minute of one core for 300 objects."""

    templates: Annotated[int, Field(ge=1, le=64)] = 16
    azimuths: Annotated[int, Field(ge=4, le=360)] = 24
    elevations_deg: tuple[Annotated[float, Field(gt=-90, lt=90)], ...] = (-12.0, 10.0, 32.0)
    points: Annotated[int, Field(ge=50, le=20_000)] = 1500
    size: Annotated[int, Field(ge=8, le=128)] = 32
    """Width in pixels of the masks that are compared."""
    first_iterations: Annotated[int, Field(ge=1)] = 300
    """Iterations of the single template."""
    iterations: Annotated[int, Field(ge=1)] = 150
    """Iterations of the mixture."""
    objects: Annotated[int, Field(ge=1)] = 64
    """Objects per iteration."""
    apart_deg: Annotated[float, Field(ge=0, le=180)] = 50.0
    """Least angle between the ranked views of one mask."""
    turn: bool = True
    """Turn the templates about the vertical until they agree: of airplanes the search finds half backwards."""


# Rounds over all templates of turning each to agree with the others; two are enough for 16.
_SWEEPS = 5


@dataclass
class Bootstrap:
    """Ranked views (2,O,V,K,3,3), canonical to camera, best first: of every mask, and of its mirror image."""

    rotations: torch.Tensor

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        save_tensors(path, {"rotations": self.rotations})

    @staticmethod
    def load(path: Path) -> "Bootstrap":
        """Read what `save` wrote; raises CheckpointError."""
        return Bootstrap(load_tensors(path)["rotations"])


@dataclass
class _Templates:
    """M clouds (M,N,3) and their opacity logits (M,N)."""

    xyz: torch.Tensor
    logits: torch.Tensor

    def copies(self, count: int, generator: torch.Generator) -> "_Templates":
        """`count` copies of the first, stretched and shaken apart."""
        like = self.xyz
        stretch = 1 + 0.12 * torch.randn(count, 1, 3, generator=generator).to(like)
        shake = 0.03 * torch.randn(count, *like.shape[1:], generator=generator).to(like)
        return _Templates(like[:1] * stretch + shake, self.logits[:1].repeat(count, 1))


def bootstrap_poses(
    masks: torch.Tensor,
    focal_widths: float,
    distance: float,
    ranks: int,
    config: BootstrapConfig,
    generator: torch.Generator,
) -> Bootstrap:
    """Rank K = `ranks` views for masks (O,V,H,W) in [0,1] taken at `distance` with this focal length.

    Mirror images count as further objects: templates see twice as much, and mirrored training images have views too.
    """
    small = _shrink(torch.cat((masks, masks.flip(-1))), config.size)  # (2*O, V, S*S)
    size = round(small.shape[-1] ** 0.5)
    grid = _grid(config, focal_widths, distance, size).to(masks.device)
    start = (torch.randn(1, config.points, 3, generator=generator).clamp(-2, 2) * 0.2).to(masks)
    templates = _Templates(start, torch.zeros(1, config.points).to(masks))
    with tqdm(
        total=config.first_iterations + config.iterations, desc="bootstrap", unit="it", leave=False
    ) as bar:
        first = _Stage(config.first_iterations, (20.0, 2.0), (3.0, 1.2), 0.01)
        templates = _fit(templates, small, grid, first, config, generator, bar)
        if config.templates > 1:
            templates = templates.copies(config.templates, generator)
            second = _Stage(config.iterations, (4.0, 4.0), (2.0, 1.2), 0.004)
            templates = _fit(templates, small, grid, second, config, generator, bar)
    losses = _assign(templates, small, grid, 1.2 * size / 32, config)
    ranked = _ranked(losses, grid.world_to_cam[:, :3, :3], ranks, config.apart_deg)
    return Bootstrap(ranked.unflatten(0, (2, -1)))


@dataclass(frozen=True)
class _Stage:
    iterations: int
    temperature: tuple[float, float]  # of the views' softmax, in nats per mask
    sigma_px: tuple[float, float]  # at 32 px
    lr: float


def _shrink(masks: torch.Tensor, size: int) -> torch.Tensor:
    factor = max(masks.shape[-1] // size, 1)
    return torch.nn.functional.avg_pool2d(masks, factor).flatten(2)


def _grid(config: BootstrapConfig, focal_widths: float, distance: float, size: int) -> Cameras:
    azimuth = torch.arange(config.azimuths) * (360.0 / config.azimuths)
    elevation = torch.tensor(config.elevations_deg)
    pairs = torch.cartesian_prod(azimuth, elevation)
    return pinhole(orbit(pairs[:, 0], pairs[:, 1], distance), size, focal_widths)


def _render(templates: _Templates, grid: Cameras, sigma_px: float) -> torch.Tensor:
    """Coverage (M*G, S*S) of every template from every view of the grid."""
    count, views = len(templates.xyz), len(grid)
    cameras = grid[torch.arange(views, device=templates.xyz.device).repeat(count)]
    uv_px, depth = cameras.project(templates.xyz.repeat_interleave(views, 0))
    tau = optical_depth(templates.logits.sigmoid().repeat_interleave(views, 0), grid.width)
    return splat_mask(uv_px, depth, tau, grid.width, sigma_px).flatten(1).clamp(1e-3, 1 - 1e-3)


def _cross_entropy(masks: torch.Tensor, coverage: torch.Tensor, templates: int) -> torch.Tensor:
    """Summed binary cross-entropy (O,V,M,G) of masks (O,V,P) against coverage (M*G,P): two matrix products."""
    log, log_not = coverage.log(), torch.log1p(-coverage)
    sums = -(masks @ (log - log_not).T + log_not.sum(1))
    return sums.unflatten(-1, (templates, -1))


def _fit(
    templates: _Templates,
    masks: torch.Tensor,
    grid: Cameras,
    stage: _Stage,
    config: BootstrapConfig,
    generator: torch.Generator,
    bar: tqdm,
) -> _Templates:
    """One stage of expectation-maximisation by stochastic gradients."""
    xyz, logits = templates.xyz.clone().requires_grad_(), templates.logits.clone().requires_grad_()
    optimizer = torch.optim.Adam([{"params": [xyz], "lr": stage.lr}, {"params": [logits], "lr": 0.03}])
    count = len(xyz)
    for iteration in range(stage.iterations):
        progress = iteration / stage.iterations
        picked = masks[torch.randperm(len(masks), generator=generator)[: config.objects].to(masks.device)]
        sigma = geometric(stage.sigma_px, progress) * grid.width / 32
        losses = _cross_entropy(picked, _render(_Templates(xyz, logits), grid, sigma), count)  # (O, V, M, G)
        temperature = geometric(stage.temperature, progress)
        view = torch.softmax(-losses.detach() / temperature, -1)
        expected = (view * losses).sum(-1)  # (O, V, M)
        sharpness = temperature * masks.shape[1] * (1 - 0.7 * progress)
        template = torch.softmax(-expected.detach().sum(1) / sharpness, -1)  # (O, M)
        optimizer.zero_grad()
        (template[:, None] * expected).sum(-1).mean().backward()
        optimizer.step()
        bar.update(1)
    return _Templates(xyz.detach(), logits.detach())


@torch.no_grad()
def _assign(
    templates: _Templates, masks: torch.Tensor, grid: Cameras, sigma_px: float, config: BootstrapConfig
) -> torch.Tensor:
    """Losses (O,V,G) of every view of the grid under the template that fits the whole object best."""
    coverage, losses, owners = _render(templates, grid, sigma_px), [], []
    for chunk in masks.split(256):
        each = _cross_entropy(chunk, coverage, len(templates.xyz))  # (O, V, M, G)
        best = each.amin(-1).sum(1).argmin(1)  # (O,)
        losses.append(each[torch.arange(len(chunk), device=best.device), :, best])
        owners.append(best)
    if not config.turn:
        return torch.cat(losses)
    return _turned(torch.cat(losses), torch.cat(owners), coverage, config.azimuths)


def _turned(losses: torch.Tensor, owner: torch.Tensor, coverage: torch.Tensor, azimuths: int) -> torch.Tensor:
    """Losses (O,V,G) with objects turned as their templates (owner (O,), renders (M*G,P)) are to agree."""
    templates = len(coverage) // losses.shape[-1]
    share = torch.bincount(owner, minlength=templates).to(coverage)
    turns = common_turns(coverage.view(templates, azimuths, -1), share)
    places = (torch.arange(azimuths, device=owner.device) - turns[owner][:, None]) % azimuths  # (O, A)
    by_azimuth = losses.unflatten(-1, (azimuths, -1))  # (O, V, A, E)
    return by_azimuth.gather(2, places[:, None, :, None].expand_as(by_azimuth)).flatten(2)


def common_turns(views: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Steps of azimuth (M,) that turn M templates to agree, from their renders (M,A,P) at A azimuths around them.

    share (M,): weight of each. Least sum over pairs of the squared distances between renders, by coordinate descent
    from the heaviest on.
    """
    count, azimuths = views.shape[:2]
    flat = views.flatten(1)
    alike = torch.stack([flat @ views.roll(turn, 1).flatten(1).T for turn in range(azimuths)])  # (A, M, M)
    turns, placed = share.new_zeros(count, dtype=torch.long), torch.zeros_like(share)
    for _ in range(_SWEEPS):
        for one in share.argsort(descending=True).tolist():
            others = placed.index_fill(0, torch.tensor([one], device=placed.device), 0.0)
            ahead = (torch.arange(azimuths, device=turns.device)[:, None] - turns) % azimuths  # (A, M)
            agreement = alike[ahead, torch.arange(count, device=turns.device), one] @ others  # (A,)
            turns[one] = agreement.argmax() if others.any() else 0
            placed[one] = share[one]
    return turns


def _ranked(losses: torch.Tensor, rotations: torch.Tensor, ranks: int, apart_deg: float) -> torch.Tensor:
    """Rotations (O,V,K,3,3): the best view, then the best of those at least `apart_deg` from all before it."""
    near = rotation_angle_deg(rotations[:, None], rotations[None]) < apart_deg  # (G, G)
    left, chosen = losses.clone(), []
    for _ in range(ranks):
        best = left.argmin(-1)  # (O, V)
        chosen.append(rotations[best])
        left = left.masked_fill(near[best], torch.inf)
    return torch.stack(chosen, 2)
