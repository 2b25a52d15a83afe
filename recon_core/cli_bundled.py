# SPDX-License-Identifier: Apache-2.0
"""The verb `recon bundled`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Device, Everything, Renders, RenderSize, Steps


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(bundled)


def bundled(
    out: Everything = Path("bundled"),
    objects: Annotated[int, typer.Option("--objects", min=20, help="Objects of each category.")] = 750,
    stylised: Annotated[
        int,
        typer.Option(
            "--stylised", min=0, help="More of each, as simple model kits have them: toy cars, thick legs."
        ),
    ] = 200,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", help="Only these; may be given several times. [default: all eight]"),
    ] = None,
    views: Renders = 8,
    meshes: Annotated[
        list[Path] | None,
        typer.Option("--meshes", help="Folder of own meshes, CATEGORY/FILE; may be given several times."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Blender processes; 0: one per core.")] = 0,
    steps: Steps = None,
    device: Device = "auto",
    size: RenderSize = 128,
) -> None:
    """Make the shipped model anew: objects of eight categories, renders, training, scores, ONNX. Hours on a CPU."""
    from .bundled import CATEGORIES, BundledOptions, run_bundled

    own, names = tuple(meshes or ()), tuple(category or CATEGORIES)
    typer.echo(
        run_bundled(BundledOptions(out, objects, views, jobs, size, steps, device, own, names, stylised))
    )
