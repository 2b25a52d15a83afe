# SPDX-License-Identifier: Apache-2.0
"""The verb `recon label`: part labels for a mesh or cloud. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Device


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(label)


def label(
    object_file: Annotated[
        Path, typer.Argument(metavar="OBJECT", help="Cloud (PLY) or mesh (GLB, glTF, OBJ, PLY, STL, OFF).")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="FILE.ply, or FILE.glb for a mesh; picture and JSON go beside it.")
    ],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run folder of a model with parts. [default: the shipped model]"),
    ] = None,
    up: Annotated[
        str, typer.Option("--up", help="Axis that is up once the file is read: X, Y, Z, -X, -Y or -Z.")
    ] = "Z",
    front: Annotated[str, typer.Option("--front", help="Axis that its front looks along.")] = "-Y",
    headings: Annotated[
        int,
        typer.Option(
            "--headings",
            help="Front not known: turns about the up axis to try, such as 4, 8 or 16. [1: known]",
        ),
    ] = 1,
    category: Annotated[
        str | None, typer.Option("--category", help="What it is. [default: what the model says]")
    ] = None,
    views: Annotated[int, typer.Option("--views", help="Sides from which the model is shown it.")] = 8,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Label the parts of a mesh's faces or a cloud's points, as a model trained with parts sees them."""
    from .labelling import verb
    from .labelling.label import LabelOptions
    from .resources import shipped_run

    options = LabelOptions(up, front, headings, category, views)
    record = verb.label_file(verb.LabelRequest(object_file, run or shipped_run(), out, options, device))
    verb.report(record, out, as_json)
