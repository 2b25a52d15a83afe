# SPDX-License-Identifier: Apache-2.0
"""The verbs of `recon` that exchange data sets with others: import, export-dataset. Parse, call, print."""

from pathlib import Path
from typing import Annotated, cast

import typer

from .cli_options import Quiet

Numbers = tuple[float, float, float]
FORMAT_HELP = (
    "dpc, dpc-tfrecord, dpc-pickle, dvr, drc, r2n2, ssl-tfrecord, shapenet-part, transforms or images."
)


def import_dataset(
    kind: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMAT_HELP)],
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder of the foreign data set (or a TFRecord file).")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Dataset folder to write, or to continue.")],
    category: Annotated[
        str | None,
        typer.Option("--category", help="Category of all objects. [default: from the folders' names]"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Import this many objects only; 0: all.")] = 0,
    views: Annotated[
        int, typer.Option("--views", min=0, help="Take the first views of each object; 0: all.")
    ] = 0,
    size: Annotated[
        int,
        typer.Option("--size", min=0, max=4096, help="Width and height to write in pixels; 0: as in SRC."),
    ] = 0,
    up: Annotated[str | None, typer.Option("--up", help="Up axis of SRC. [default: the format's]")] = None,
    front: Annotated[
        str | None, typer.Option("--front", help="Front axis of SRC. [default: the format's]")
    ] = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            "--normalise",
            help="source: keep centre and size; points: box of the points; cameras: from masks and cameras. "
            "[default: the format's]",
        ),
    ] = None,
    center: Annotated[
        Numbers | None,
        typer.Option("--center", help="Centre of the object in SRC's frame, instead of --normalise."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option("--scale", min=1e-9, help="Object units per unit of SRC, instead of --normalise."),
    ] = None,
    keep_frame: Annotated[
        bool,
        typer.Option(
            "--keep-frame", help="images: keep the pictures as they are, do not crop around the object."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported, and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Import a foreign data set into a dataset folder. Exit status: 0 all imported, 3 some skipped, 1 none.

    Complete objects are skipped, so after Ctrl-C the same command continues. What could not be used is named in
    DST/skipped.jsonl.
    """
    from .data.formats import import_dataset as run
    from .data.formats.base import ImportOptions, Normalise

    options = ImportOptions(
        source.resolve(), target, category, limit, views, size, up, front, cast(Normalise | None, normalise),
        center, scale, keep_frame, dry_run, quiet,
    )  # fmt: skip
    result = run(kind, options)
    typer.echo(f"{target}: {result}")
    raise typer.Exit(result.exit_status)


def export_dataset(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write.")],
    kind: Annotated[str, typer.Option("--format", help="Layout to write: dvr.")] = "dvr",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Export this many objects only; 0: all.")] = 0,
    synsets: Annotated[
        bool,
        typer.Option("--synsets/--names", help="Name classes by ShapeNet's numbers, or as the dataset does."),
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Write a dataset in another project's layout. Exit status: 0 all exported, 3 some skipped, 1 none."""
    from .data.formats.export_dvr import export_dvr
    from .errors import InputError

    if kind != "dvr":
        raise InputError(f"There is no export format {kind!r}; there is dvr.")
    result = export_dvr(dataset, target, limit, synsets, quiet)
    typer.echo(f"{target}: {result}")
    raise typer.Exit(result.exit_status)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command("import")(import_dataset)
    app.command("export-dataset")(export_dataset)
