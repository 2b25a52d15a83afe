# SPDX-License-Identifier: Apache-2.0
"""Losses on projected points, forward and backward: DRWR's repulsion through a grid against all pairs, and 2Dpm's.

    python benchmarks/projection_bench.py [--device cuda] [--threads 1] [--json FILE]

Times are medians of steps taken in turns; forms by all pairs are timed once, and left out above 8,000 points. The
difference is that of the losses, relative; the cosine that of the gradients by the projected points, all views at once.
Memory is the growth of the peak by one step in a process of its own.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import torch

from recon_core.bench.measure import Step, compare, describe, own_process_mb, peak_growth_mb, seconds
from recon_core.cameras import orbit, pinhole
from recon_core.io.atomic import write_json
from recon_core.losses.match2d import mask_samples, match2d
from recon_core.losses.projection import PRESETS, drwr_pair, drwr_unary
from recon_core.renderers.splat import optical_depth, splat_mask

VIEWS, SAMPLES = 4, 5000


class Case(NamedTuple):
    """N points in four views of S x S pixels."""

    points: int
    size: int


# The papers' pairs of resolution and number of points; the second is the one with a figure to reach.
CASES = (Case(2000, 32), Case(8000, 64), Case(16000, 128))
ALL_PAIRS_LIMIT = 8000
FIGURE_CASE, FIGURE_MS, FIGURE_COSINE = Case(8000, 64), 60.0, 0.999


class Scene(NamedTuple):
    """Points that need gradients, and the masks of a shape that they fit roughly."""

    uv_px: torch.Tensor
    depth: torch.Tensor
    masks: torch.Tensor
    samples_px: torch.Tensor


def make_scene(case: Case, device: torch.device) -> Scene:
    """A table of two boxes: its masks, and its points moved by 2 % of its diagonal."""
    generator = torch.Generator().manual_seed(0)
    local = torch.rand(case.points, 3, generator=generator) - 0.5
    top = torch.rand(case.points, 1, generator=generator) < 0.5
    offset, extent = torch.tensor([0.0, 0.0, 0.25]), torch.tensor([[0.6, 0.6, 0.05], [0.12, 0.12, 0.5]])
    xyz = torch.where(top, local * extent[0] + offset, local * extent[1])
    cameras = pinhole(orbit(torch.arange(VIEWS) * 90.0 + 20, torch.full((VIEWS,), 20.0)), case.size)
    uv_px, depth = cameras.project(xyz.expand(VIEWS, -1, 3))
    coverage = splat_mask(uv_px, depth, optical_depth(torch.ones_like(depth), case.size, 6.0), case.size, 0.7)
    moved = xyz + 0.02 * torch.randn(xyz.shape, generator=generator)
    uv_px, depth = cameras.project(moved.expand(VIEWS, -1, 3))
    masks = coverage.to(device)
    samples = mask_samples(masks, SAMPLES)
    return Scene(uv_px.to(device).requires_grad_(), depth.to(device), masks, samples)


def loss_of(name: str, scene: Scene, preset: str) -> torch.Tensor:
    """One loss per view."""
    uv_px, depth, masks, samples_px = scene
    if name == "unary":
        return drwr_unary(uv_px, depth, masks, PRESETS[preset])
    if name.startswith("match2d"):
        search = "tree" if name == "match2d tree" else "blocks"
        return match2d(uv_px, depth, samples_px, masks.shape[-1], search=search)
    return drwr_pair(uv_px, depth, masks, PRESETS[preset], exact=name == "pair exact")


def make_step(name: str, case: Case, device: torch.device, preset: str = "stable") -> Step:
    """One loss, forward and backward."""
    scene = make_scene(case, device)

    def step() -> None:
        scene.uv_px.grad = None
        loss_of(name, scene, preset).sum().backward()

    return step


def agreement(case: Case, device: torch.device, preset: str) -> tuple[float, float]:
    """Largest relative difference of the repulsion's losses, and the cosine of their gradients, by grid and exact."""
    scene = make_scene(case, device)
    losses = [loss_of(name, scene, preset) for name in ("pair", "pair exact")]
    gradients = [torch.autograd.grad(loss.sum(), scene.uv_px)[0].flatten().double() for loss in losses]
    difference = float(((losses[0] - losses[1]).abs() / losses[1]).detach().max())
    return difference, float(torch.cosine_similarity(*gradients, dim=0))


def measure(case: Case, device: torch.device, repeats: int) -> dict[str, float]:
    """Milliseconds of every loss; how well both forms of the repulsion agree."""
    tree = ["match2d tree"] if device.type == "cpu" else []
    fast = {name: make_step(name, case, device) for name in ("unary", "pair", *tree)}
    row = {name: 1e3 * median for name, median in compare(fast, device, repeats).items()}
    with_exact = case.points <= ALL_PAIRS_LIMIT
    if with_exact:
        for name in ("pair exact", "match2d blocks"):
            row[name] = 1e3 * seconds(make_step(name, case, device), device)
        for preset in PRESETS:
            row[f"{preset} difference"], row[f"{preset} cosine"] = agreement(case, device, preset)
    for name in ("pair", "pair exact") if with_exact else ("pair",):
        arguments = ["--memory", name, "--case", f"{case.points},{case.size}", "--device", device]
        row[f"{name} MB"] = own_process_mb(__file__, arguments)
    return row


def report(case: Case, row: dict[str, float]) -> None:
    """Print one case."""
    print(f"\nN={case.points}, {VIEWS} views of {case.size}x{case.size}")
    for name in ("unary", "pair", "pair exact", "match2d tree", "match2d blocks"):
        memory = f"{row[f'{name} MB']:9.1f} MB" if f"{name} MB" in row else ""
        if name in row:
            print(f"  {name:<15} {row[name]:9.1f} ms {memory}")
    if "pair exact" not in row:
        return
    for preset in PRESETS:
        difference, cosine = row[f"{preset} difference"], row[f"{preset} cosine"]
        print(f"  pair, {preset:<7}: loss differs by {difference:.1e}, gradient cosine {cosine:.6f}")
    print(f"  pair exact / pair: {row['pair exact'] / row['pair']:.0f} times the time")
    if case == FIGURE_CASE:
        reached = row["pair"] < FIGURE_MS and row["stable cosine"] > FIGURE_COSINE
        wanted = f"pair under {FIGURE_MS:.0f} ms with a cosine over {FIGURE_COSINE}"
        print(f"  figure ({wanted}): {'reached' if reached else 'not reached'}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--cases", type=int, default=len(CASES), help="how many of the cases, from the smallest"
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.memory:
        case = Case(*map(int, arguments.case.split(",")))
        step, warmup = (make_step(arguments.memory, one, device) for one in (case, Case(16, 32)))
        print(json.dumps(peak_growth_mb(step, warmup, device)))
        return
    print(f"projection losses forward + backward, {describe(device)}")
    rows = {}
    for case in CASES[: arguments.cases]:
        rows[f"N={case.points} S={case.size}"] = row = measure(case, device, arguments.repeats)
        report(case, row)
    if arguments.json:
        write_json(arguments.json, {"device": describe(device), "views": VIEWS, "cases": rows})


if __name__ == "__main__":
    main()
