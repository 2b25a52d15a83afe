# SPDX-License-Identifier: Apache-2.0
"""The verb `recon bundled`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(bundled)


def bundled(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything that is made.")] = Path("bundled"),
    objects: Annotated[int, typer.Option("--objects", min=20, help="Objects of each category.")] = 250,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", help="Only these; may be given several times. [default: all eight]"),
    ] = None,
    views: Annotated[int, typer.Option("--views", min=4, help="Renders of each.")] = 8,
    meshes: Annotated[
        list[Path] | None,
        typer.Option("--meshes", help="Folder of own meshes, CATEGORY/FILE; may be given several times."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Blender processes; 0: one per core.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Training steps. [default: the recipe's]")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    size: Annotated[
        int, typer.Option("--size", min=32, help="Width and height of the renders in pixels.")
    ] = 128,
) -> None:
    """Make the shipped model anew: objects of eight categories, renders, training, scores, ONNX. Hours on a CPU."""
    from .bundled import CATEGORIES, BundledOptions, run_bundled

    own, names = tuple(meshes or ()), tuple(category or CATEGORIES)
    typer.echo(run_bundled(BundledOptions(out, objects, views, jobs, size, steps, device, own, names)))
