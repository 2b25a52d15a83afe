# SPDX-License-Identifier: Apache-2.0
"""The verbs `recon export`, `recon pack` and `recon worker`, through which others use a model: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Run


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("export")(export_model)
    app.command()(pack)
    app.command()(worker)


def export_model(
    run: Run,
    out: Annotated[
        Path, typer.Option("--out", help="The .onnx file; its card is written beside it as .json.")
    ],
    half: Annotated[
        bool, typer.Option("--half", help="Weights in half precision: half the bytes, the same speed.")
    ] = False,
) -> None:
    """Write a model as one ONNX file, with a JSON card: from a crop to coloured, labelled points, without torch."""
    from .inference.export import export_run

    made = export_run(run, out, half)
    outputs = ", ".join(made.content["outputs"])
    typer.echo(
        f"{made.model}: {made.content['bytes'] / 1e6:.1f} MB, {made.content['points']} points; {outputs}"
    )
    if half:
        mean, largest = (made.content["points_moved_by_half"][name] for name in ("mean", "largest"))
        typer.echo(
            f"half precision moves points by {mean:.1e} of the diagonal on average, {largest:.1e} at most"
        )
    typer.echo(f"{made.card}: its card")


def pack(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="Folder to write, or to replace.")],
    name: Annotated[str, typer.Option("--name", help="What the model is called.")] = "A model of ours",
    licence: Annotated[str, typer.Option("--licence", help="Under which licence it may be used.")] = (
        "that of the training data and of whoever trained it"
    ),
) -> None:
    """Put a model into a folder to hand on: half precision, ONNX, and a card with the scores of `recon eval`."""
    from .inference.pack import pack_run

    packed = pack_run(run, out, name, licence)
    typer.echo(f"{packed.folder}: {packed.bytes / 1e6:.1f} MB")


def worker() -> None:
    """Reconstruct and train for another program, which sends JSON lines (docs/worker.md); ends with its input."""
    from .worker.server import main

    raise typer.Exit(main())
