# SPDX-License-Identifier: Apache-2.0
"""CAPNet masks and DIFFER features, forward and backward: factorised planes against their dense form, one run.

    python benchmarks/planes_bench.py [--device cuda] [--threads 1] [--json FILE]

Each pair is timed in turns (medians); memory is the growth of the peak by one step in a process of its own; the
difference is the largest one of images, and of gradients relative to the largest gradient.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import torch

from recon_core.bench.dense_planes import dense_features, dense_mask
from recon_core.bench.measure import Step, compare, describe, own_process_mb, peak_growth_mb
from recon_core.cameras import orbit, pinhole
from recon_core.io.atomic import write_json
from recon_core.renderers.feature_planes import plane_features, plane_mask

SIGMA_SQ_PX, RADIUS_PX, BETA = 0.5, 1.0, 100.0
FORMS = ("planes", "clean", "dense")


class Case(NamedTuple):
    """B images of S x S pixels with N points each."""

    batch: int
    points: int
    size: int


WARMUP = Case(1, 16, 8)
# The papers' size first; the dense form needs gigabytes for the others, so they have one image.
CASES = (Case(4, 1024, 64), Case(1, 1024, 64), Case(1, 4096, 64), Case(1, 2048, 128))


class Scene(NamedTuple):
    """Projected points of random chair-sized boxes, their colours, and targets."""

    uv_px: torch.Tensor
    depth: torch.Tensor
    color: torch.Tensor
    mask: torch.Tensor
    image: torch.Tensor


def make_scene(case: Case, device: torch.device) -> Scene:
    """Points that need gradients, projected by the default cameras."""
    generator = torch.Generator().manual_seed(0)
    extent = torch.rand(case.batch, 1, 3, generator=generator) * 0.3 + 0.2
    xyz = (torch.rand(case.batch, case.points, 3, generator=generator) - 0.5) * extent
    azimuth = torch.arange(case.batch) * 22.5
    uv_px, depth = pinhole(orbit(azimuth, torch.full_like(azimuth, 20.0)), case.size).project(xyz)
    color = torch.rand(xyz.shape, generator=generator)
    mask = torch.rand(case.batch, case.size, case.size, generator=generator)
    image = torch.rand(case.batch, case.size, case.size, 3, generator=generator)
    uv_px, depth, color = (t.to(device).requires_grad_() for t in (uv_px, depth, color))
    return Scene(uv_px, depth, color, mask.to(device), image.to(device))


def render(name: str, scene: Scene) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and image by the form of this name."""
    size = scene.mask.shape[-1]
    if name == "dense":
        mask = dense_mask(scene.uv_px, size, SIGMA_SQ_PX)
        return mask, dense_features(scene.uv_px, scene.depth, scene.color, size, RADIUS_PX, BETA)
    mask = plane_mask(scene.uv_px, scene.depth, size, SIGMA_SQ_PX)
    image = plane_features(
        scene.uv_px,
        scene.depth,
        scene.color,
        size,
        RADIUS_PX,
        BETA,
        mode="released" if name == "planes" else "clean",
    )
    return mask, image[1]


def gradients(name: str, scene: Scene) -> list[torch.Tensor]:
    """Mask, image, and the gradients of their squared errors by position, depth and colour."""
    mask, image = render(name, scene)
    loss = (mask - scene.mask).square().sum() + (image - scene.image).square().sum()
    return [
        mask.detach(),
        image.detach(),
        *torch.autograd.grad(loss, (scene.uv_px, scene.depth, scene.color)),
    ]


def make_step(name: str, case: Case, device: torch.device) -> Step:
    """Mask and colours of one scene, forward and backward."""
    scene = make_scene(case, device)
    return lambda: gradients(name, scene)


def milliseconds(case: Case, device: torch.device, repeats: int) -> dict[str, float]:
    """Median time of one call of each form."""
    times = compare({name: make_step(name, case, device) for name in FORMS}, device, repeats)
    return {name: seconds * 1e3 for name, seconds in times.items()}


def difference(case: Case, device: torch.device) -> tuple[float, float]:
    """Largest difference of the images, and of the gradients as a share of the largest gradient."""
    scene = make_scene(case, device)
    fast, dense = gradients("planes", scene), gradients("dense", scene)
    images = max(float((a - b).abs().max()) for a, b in zip(fast[:2], dense[:2]))
    slopes = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast[2:], dense[2:]))
    return images, slopes


def measure(case: Case, device: torch.device, repeats: int) -> dict[str, object]:
    """One row of the table."""
    times = milliseconds(case, device, repeats)
    options = ("--case", json.dumps(case), "--device", device)
    memory = {name: own_process_mb(__file__, ("--memory", name, *options)) for name in ("planes", "dense")}
    images, slopes = difference(case, device)
    return {
        "batch": case.batch, "points": case.points, "size": case.size,
        "planes_ms": times["planes"], "clean_ms": times["clean"], "dense_ms": times["dense"],
        "ratio": times["dense"] / times["planes"],
        "planes_mb": memory["planes"], "dense_mb": memory["dense"],
        "image_difference": images, "gradient_difference": slopes,
    }  # fmt: skip


HEADINGS = {
    "batch": ("B", ".0f"), "points": ("N", ".0f"), "size": ("size", ".0f"),
    "planes_ms": ("planes ms", ".1f"), "clean_ms": ("clean ms", ".1f"), "dense_ms": ("dense ms", ".0f"),
    "ratio": ("times", ".0f"), "planes_mb": ("planes MB", ".1f"), "dense_mb": ("dense MB", ".0f"),
    "image_difference": ("image diff", ".1e"), "gradient_difference": ("grad diff", ".1e"),
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.memory:
        case = Case(*arguments.case)
        step = make_step(arguments.memory, case, device)
        print(json.dumps(peak_growth_mb(step, make_step(arguments.memory, WARMUP, device), device)))
        return
    print(f"mask + RGB, forward + backward, {describe(device)}; planes: the released form, clean: ours")
    print(" ".join(f"{heading:>10}" for heading, _ in HEADINGS.values()))
    rows = []
    for case in CASES:
        rows.append(measure(case, device, arguments.repeats))
        print(" ".join(f"{rows[-1][key]:10{style}}" for key, (_, style) in HEADINGS.items()), flush=True)
    if arguments.json:
        write_json(arguments.json, {"device": describe(device), "rows": rows})


if __name__ == "__main__":
    main()
