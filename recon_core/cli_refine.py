# SPDX-License-Identifier: Apache-2.0
"""The verb `recon refine`: a cloud moved until it fits its image. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from . import cli_mask


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(refine)


def refine(
    source: Annotated[Path, typer.Argument(help="RESULT.json of `recon reconstruct`, or a PLY cloud.")],
    images: Annotated[list[Path], typer.Argument(help="The image, or several of the same object.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the PLY, preview and JSON files.")],
    mask: Annotated[
        list[Path] | None,
        typer.Option("--mask", help="Mask of an image: white is the object. Once per image."),
    ] = None,
    camera: Annotated[
        list[Path] | None,
        typer.Option(
            "--camera",
            help="JSON with an image's camera (of `recon place`, or a transforms.json). Once per image. "
            "[default: the pose in RESULT.json]",
        ),
    ] = None,
    pose: Annotated[
        str,
        typer.Option("--pose", help="fit: cameras move too; keep; auto: fit, but keep those of --camera."),
    ] = "auto",
    symmetry: Annotated[
        str,
        typer.Option(
            "--symmetry", help="Left and right move alike: auto (if the cloud is symmetric), on, off."
        ),
    ] = "auto",
    colors: Annotated[
        str,
        typer.Option(
            "--colors",
            help="fit: points take the colours that the images show of them, and tell those that no image shows; "
            "keep; auto: fit, unless there are no colours to take.",
        ),
    ] = "auto",
    steps: Annotated[int, typer.Option("--steps", min=1, help="At most so many steps.")] = 120,
    foreground: cli_mask.Foreground = "auto",
    box: cli_mask.Box = None,
    scribbles: cli_mask.Scribbles = None,
    segmenter: cli_mask.Segmenter = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Fit a cloud, and its pose, to the object's outline and colours in one image or several; what is unseen stays."""
    from .refining import verb

    request = verb.RefineRequest(
        source, tuple(images), out, tuple(mask or ()), tuple(camera or ()), foreground,
        pose, symmetry, steps, cli_mask.hints_from(box, scribbles, segmenter), colors,  # type: ignore[arg-type]
    )  # fmt: skip
    raise typer.Exit(verb.run(request, as_json, quiet))
