# SPDX-License-Identifier: Apache-2.0
"""The verb `recon calibrate`: parse, call, print."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from .cli_options import DATASET, Data, Device, Quiet, Run


def register(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(calibrate)


def calibrate(
    run: Run,
    data: Data = DATASET,
    split: Annotated[
        str, typer.Option("--split", help="Objects to fit to: val, or train; keep test for measuring.")
    ] = "val",
    views: Annotated[
        int, typer.Option("--views", min=1, help="Images of each object that are predicted from.")
    ] = 4,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find out how far a model's points are to be trusted, so that `recon reconstruct` can say it of each point.

    Predicts the objects of a split, measures the distance of every point from the true surface, and writes
    RUN/confidence.json: what spread, visibility and spacing of points say about that distance. About 0.2 s an image.
    """
    from .confidence.calibrate import as_text, calibrate_run

    done = calibrate_run(run, data, split, views=views, device=device, progress=not (as_json or quiet))
    if as_json:
        fits = {name: asdict(one) for name, one in done.fits.items()}
        typer.echo(json.dumps({"file": str(done.path), "found": done.found, "fits": fits}, indent=1))
        return
    typer.echo(as_text(done))
