# SPDX-License-Identifier: Apache-2.0
"""The verb `recon place`: the camera under which an object covers a photograph's mask. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from . import cli_mask


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(place)


def place(
    object_file: Annotated[
        Path,
        typer.Argument(
            metavar="OBJECT", help="Cloud (PLY) or mesh (GLB, glTF, OBJ, PLY, STL, OFF) to place."
        ),
    ],
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP image that shows it.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the JSON file and the picture.")],
    mask: cli_mask.Mask = None,
    foreground: cli_mask.Foreground = "auto",
    box: cli_mask.Box = None,
    scribbles: cli_mask.Scribbles = None,
    segmenter: cli_mask.Segmenter = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="JSON of `recon reconstruct` or `recon place` to begin from as well."),
    ] = None,
    focal_mm: Annotated[
        float | None, typer.Option("--focal-mm", help="Focal length in mm. [default: looked for]")
    ] = None,
    sensor_mm: Annotated[
        float, typer.Option("--sensor-mm", help="Width of the sensor that --focal-mm belongs to, in mm.")
    ] = 36.0,
    up: Annotated[
        bool, typer.Option("--up", help="The object stands upright in the photograph; its +Z is up.")
    ] = False,
    roll: Annotated[
        float, typer.Option("--roll", help="With --up: how far it may lean to a side, in degrees.")
    ] = 5.0,
    ground: Annotated[
        bool, typer.Option("--ground", help="As --up; the camera is above the plane it stands on.")
    ] = False,
    elevation: Annotated[
        tuple[float, float] | None,
        typer.Option("--elevation", help="Least and greatest elevation of the camera, in degrees."),
    ] = None,
    cropped: Annotated[
        bool,
        typer.Option("--cropped", help="The image is cut out of a larger one, its centre is not the lens's."),
    ] = False,
    margin: Annotated[
        float, typer.Option("--margin", help="Tell other views whose cost is within this of the best's.")
    ] = 0.02,
    colors: Annotated[
        bool, typer.Option("--colors/--no-colors", help="Compare colours, not outlines alone.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which points of the object take part.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the camera (pose, distance, focal length) under which an object covers a photograph's mask."""
    from .placing import verb
    from .placing.place import PlaceOptions

    options = PlaceOptions(
        focal_mm, sensor_mm, up, roll, ground, elevation, cropped, margin, use_colors=colors, seed=seed
    )
    hints = cli_mask.hints_from(box, scribbles, segmenter)
    verb.run(verb.PlaceRequest(object_file, image, out, options, mask, foreground, start, hints), as_json)
