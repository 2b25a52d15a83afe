# SPDX-License-Identifier: Apache-2.0
"""The verb `recon report`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(report)


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="JSON files that `recon reconstruct` or `recon refine` wrote, or folders of them."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The page, a file that ends in .html.")],
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="Folder of the photographs, where they are no longer where they were."),
    ] = None,
) -> None:
    """Show results on one HTML page: photograph, mask, clouds, parts, confidence, and a viewer. Fetches nothing.

    What `recon refine` and `recon place` made of a result is found beside it, or when it is given too. The page begins
    with the result whose outline fits its mask best.
    """
    from .report.page import write_report

    shown = write_report(results, out, photos)
    notes = [f"{one.name}: {note}" for one in shown for note in one.notes]
    typer.echo("\n".join([*notes, f"{len(shown)} result{'s' * (len(shown) != 1)}: {out}"]))
