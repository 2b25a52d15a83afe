# SPDX-License-Identifier: Apache-2.0
"""The verb `recon mesh`: surfaces from clouds. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import DryRun, Quiet, ResultsAsJson


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(mesh)


def mesh(
    clouds: Annotated[Path, typer.Argument(help="PLY cloud, or a folder of them.")],
    out: Annotated[
        Path, typer.Option("--out", help="MESH.glb or MESH.ply; a folder when a folder is given.")
    ],
    method: Annotated[
        str,
        typer.Option("--method", help="poisson (needs open3d), density, or auto: poisson where it can be."),
    ] = "auto",
    smooth: Annotated[
        int | None,
        typer.Option("--smooth", min=0, help="Rounds of smoothing. [default: 8 density, 2 poisson]"),
    ] = None,
    target_faces: Annotated[
        int | None, typer.Option("--target-faces", min=100, help="At most so many faces (needs open3d).")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            help="Density: cells along the longest side, 16 to 512. [default: by points]",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option("--depth", help="Poisson: depth of the octree, 5 to 10. [default: by points]"),
    ] = None,
    trim: Annotated[
        float | None,
        typer.Option(
            "--trim",
            help="Cut off surface farther than this from any point, in spacings. [default: stays closed]",
        ),
    ] = None,
    parts: Annotated[
        str | None, typer.Option("--parts", help="Names of the labels 1, 2, ...: back,seat,leg,arm.")
    ] = None,
    part_materials: Annotated[
        bool, typer.Option("--part-materials/--one-material", help="One material for each part in the GLB.")
    ] = True,
    as_json: ResultsAsJson = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Make closed surfaces of clouds, with colours and parts. Exit status 3 when some clouds failed, 1 when all did."""
    from .meshing import verb
    from .meshing.mesh_cloud import MeshOptions

    options = MeshOptions(method, smooth, target_faces, resolution, depth, trim)  # type: ignore[arg-type]
    names = None if parts is None else tuple(name.strip() for name in parts.split(",") if name.strip())
    request = verb.MeshRequest(clouds, out, options, names, part_materials, as_json, quiet)
    if dry_run:
        typer.echo(verb.describe(request))
        return
    raise typer.Exit(verb.run(request))
