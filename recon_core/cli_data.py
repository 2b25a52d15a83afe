# SPDX-License-Identifier: Apache-2.0
"""The verbs of `recon` that make and check data: shapes, render, check. Parse, call, print."""

import re
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from .cli_options import Quiet

RANGE_OPTIONS = ("--lens", "--distance")
NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


class RangeCommand(TyperCommand):
    """A verb whose --lens and --distance take one number or two, which the command line's library cannot say."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Join two numbers that follow such an option to FROM..TO."""
        return super().parse_args(ctx, join_ranges(args))


def join_ranges(arguments: list[str]) -> list[str]:
    """Arguments with "--lens FROM TO" (and --distance) written "--lens=FROM..TO", as render_views takes it."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in RANGE_OPTIONS and len(rest) > 1 and all(NUMBER.fullmatch(one) for one in rest[:2]):
            word = f"{word}={rest.pop(0)}..{rest.pop(0)}"
        joined.append(word)
    return joined


def shapes(
    output: Annotated[Path, typer.Option("--output", help="Folder; objects go to OUTPUT/CATEGORY/NAME.")],
    category: Annotated[
        list[str],
        typer.Option(
            "--category",
            help="airplane, bed, bench, cabinet, car, chair, lamp, sofa or table; may be given several times.",
        ),
    ] = ["chair"],  # noqa: B006
    count: Annotated[int, typer.Option("--count", min=1, help="Objects per category.")] = 200,
    start: Annotated[int, typer.Option("--start", min=0, help="Index of the first object.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Object = f(category, seed, index).")] = 0,
    stylised: Annotated[
        float,
        typer.Option(
            "--stylised",
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of objects (0 to 1) as simple model kits have them: other proportions, thicker parts, toy "
            "cars. The others stay as they are without it.",
        ),
    ] = 0.0,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Processes at a time; 0: one per core.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Make objects again that are already there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make procedural, part-labelled objects: GLB, points and a description of each."""
    from .shapes import ShapesOptions, make_shapes

    options = ShapesOptions(output, tuple(category), count, start, seed, jobs, force, quiet, stylised)
    result = make_shapes(options)
    typer.echo(f"{result.made} made, {result.skipped} already there in {output}")


def render(
    meshes: Annotated[
        list[Path], typer.Argument(metavar="MESHES...", help="Mesh files, or folders of them.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DATASET", help="Dataset folder to write.")],
    views: Annotated[int, typer.Option("--views", min=1, help="Views per object.")] = 24,
    size: Annotated[int, typer.Option("--size", min=8, max=4096, help="Width and height in pixels.")] = 128,
    passes: Annotated[
        str, typer.Option("--passes", help="Images to write, separated by commas.")
    ] = "rgb,mask,parts,depth,normals",
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Samples per pixel; 1: masks without anti-aliasing.")
    ] = 16,
    light: Annotated[
        str,
        typer.Option(
            "--light",
            help="random: drawn per object; fixed: same suns; studio: suns on the camera; photo: sun, overcast, "
            "lamps, window or flash per object, soft and hard, warm and cold.",
        ),
    ] = "random",
    materials: Annotated[
        str,
        typer.Option(
            "--materials",
            help="keep the source's; random: colours, roughness and metal drawn per object or part; mixed: half of "
            "the objects keep theirs.",
        ),
    ] = "keep",
    ground: Annotated[
        float,
        typer.Option(
            "--ground",
            metavar="SHARE",
            help="Share of objects (0 to 1) on a ground: out of the picture, it hides the sky below and throws back "
            "light and shadow.",
        ),
    ] = 0.0,
    background: Annotated[
        str, typer.Option("--background", help="transparent, an sRGB colour R,G,B in 0..255, or a picture.")
    ] = "transparent",
    device: Annotated[str, typer.Option("--device", help="Where Cycles renders: cpu or gpu.")] = "cpu",
    cameras: Annotated[
        str, typer.Option("--cameras", help="uniform, fibonacci, turntable, or a JSON file of cameras.")
    ] = "uniform",
    distance: Annotated[
        str,
        typer.Option(
            "--distance",
            metavar="D|FROM TO|auto",
            help="Distance from the object's centre in object units: one, drawn per view, or auto: where the object "
            "fills the frame as with the defaults, whatever the lens.",
        ),
    ] = "2.0",
    lens: Annotated[
        str,
        typer.Option(
            "--lens",
            metavar="MM|FROM TO",
            help="Focal length in mm, on a 32 mm sensor; a range is drawn per view, even in its logarithm.",
        ),
    ] = "60.0",
    roll: Annotated[
        float,
        typer.Option("--roll", metavar="DEG", help="Camera roll, drawn per view within this, either way."),
    ] = 0.0,
    azimuth: Annotated[
        tuple[float, float], typer.Option("--azimuth", help="Degrees; 0 sees the front, 90 stands at +X.")
    ] = (0.0, 360.0),
    elevation: Annotated[
        tuple[float, float], typer.Option("--elevation", help="Degrees above the horizon.")
    ] = (-20.0, 40.0),
    up: Annotated[str, typer.Option("--up", help="Up axis of the sources, as Blender imports them.")] = "Z",
    front: Annotated[str, typer.Option("--front", help="Front axis of the sources.")] = "-Y",
    axes: Annotated[Path | None, typer.Option("--axes", help="JSON file: axes by file or object.")] = None,
    normalise: Annotated[
        str, typer.Option("--normalise", help="bbox: centre 0, diagonal 1; none: as in the source.")
    ] = "bbox",
    category: Annotated[
        str | None, typer.Option("--category", help="Category of all objects. [default: the folder names]")
    ] = None,
    parts: Annotated[
        Path | None, typer.Option("--parts", help="JSON file: part names and rules for material names.")
    ] = None,
    points: Annotated[int, typer.Option("--points", min=0, help="Surface samples in points.ply.")] = 16384,
    only: Annotated[Path | None, typer.Option("--only", help="File: objects to render, one a line.")] = None,
    shard: Annotated[
        str, typer.Option("--shard", metavar="I/N", help="Every N-th object from the I-th on, I < N.")
    ] = "0/1",
    seed: Annotated[int, typer.Option("--seed", help="Seed of cameras, lights and samples.")] = 0,
    blender: Annotated[
        str, typer.Option("--blender", help="auto ($BLENDER, the bpy wheel, PATH), wheel, or an executable.")
    ] = "auto",
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Blender processes; 0: one per core.")] = 0,
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Objects per process, then a fresh one.")] = 40,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds per object.")] = 600.0,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="New attempts after a crash or timeout.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip complete objects: always so.", show_default=False)
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Render complete objects again.")] = False,
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Leave objects alone that failed.jsonl names.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be rendered, and the disk it needs; stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Render meshes into a dataset folder. Exit status: 0 all rendered, 3 some failed, 1 none.

    Complete objects are skipped, so after Ctrl-C the same command continues. Objects that fail, crash Blender
    or take too long are named in DATASET/failed.jsonl.
    """
    from . import farm

    given = {
        "views": views, "size": size, "passes": passes, "samples": samples, "light": light,
        "background": background, "device": device, "cameras": cameras, "distance": distance, "lens": lens,
        "roll": roll, "materials": materials, "ground": ground,
        "azimuth": azimuth, "elevation": elevation, "up": up, "front": front, "axes": axes,
        "normalise": normalise, "category": category, "parts": parts, "points": points, "seed": seed,
        "force": force,
    }  # fmt: skip
    options = farm.FarmOptions(
        tuple(meshes), output, farm.render_arguments(given), farm.selection_arguments(only, shard), blender,
        jobs, chunk, timeout, retries, skip_failed, quiet,
    )  # fmt: skip
    if dry_run:
        typer.echo(farm.make_plan(options).sentence)
        return
    try:
        result = farm.render(options)
    except KeyboardInterrupt:
        typer.echo(f"Only whole objects were left in {output}; the same command continues.", err=True)
        raise
    typer.echo(f"{output}: {result}")
    if result.failed:
        typer.echo(f"What failed, and why, is in {output / 'failed.jsonl'}.", err=True)
    raise typer.Exit(result.exit_status)


def check(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder.")],
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Contact sheet PNG to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Look at this many objects, spread evenly; 0: all.")
    ] = 0,
) -> None:
    """Check that a dataset folder is whole and consistent. Exit status 1 when there are errors."""
    import torch

    from .data.check import check_dataset
    from .data.check_report import as_json as to_json
    from .data.check_report import as_text

    torch.set_num_threads(1)  # many small matrices: more threads only wait for each other
    report = check_dataset(dataset, limit)
    if sheet is not None:
        from .data.contact_sheet import write_contact_sheet

        write_contact_sheet(dataset, sheet)
    typer.echo(to_json(report) if as_json else as_text(report))
    if sheet is not None and not as_json:
        typer.echo(f"Contact sheet: {sheet}")
    raise typer.Exit(1 if report.errors else 0)
