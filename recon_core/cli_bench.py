# SPDX-License-Identifier: Apache-2.0
"""The verbs `recon bench ...`, which measure. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Device, Quiet

app = typer.Typer(help="Measure the renderers on this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def renderers(
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Image sizes in pixels. [default: 32,64,128,256]")
    ] = None,
    points: Annotated[
        str | None, typer.Option("--points", help="Points per view. [default: 1000,2000,... 32000]")
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option("--faces", help="Faces per mesh: 20 times a power of 4. [default: 1280,5120,20480]"),
    ] = None,
    only: Annotated[
        str, typer.Option("--only", help="Renderers or families, e.g. splat,plane mask. [default: all]")
    ] = "",
    views: Annotated[
        int, typer.Option("--batch", min=1, help="Views of a call; the brute force renders one.")
    ] = 8,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns, of which the median counts.")] = 5,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")] = 1,
    device: Device = "cpu",
    full: Annotated[
        bool, typer.Option("--full", help="Every size with every count, not a cross of two lines.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure peak memory, each in a process of its own.")
    ] = True,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the JSON file, the table and the plot.")
    ] = Path("outputs/bench"),
    quiet: Quiet = False,
) -> None:
    """Time and memory of every renderer beside its brute force, and how they grow: a few minutes on a CPU.

    Numbers are separated by commas. What would take more than 3 seconds a call, or half the free memory, is left out.
    """
    from .bench.report import write_report
    from .bench.run import BenchOptions, run
    from .methods.run import pick_device

    options = BenchOptions(
        sizes=_numbers(sizes, "--sizes"),
        points=_numbers(points, "--points"),
        faces=_numbers(faces, "--faces"),
        only=tuple(name.strip() for name in only.split(",") if name.strip()),
        views=views,
        repeats=repeats,
        threads=threads,
        device=pick_device(device),
        full=full,
        memory=memory,
        quiet=quiet,
    )
    text, files = write_report(run(options), options, out)
    typer.echo("\n".join([text, "", *files]))


def _numbers(text: str | None, name: str) -> tuple[int, ...] | None:
    """Whole numbers between commas; raises InputError for anything else."""
    from .errors import InputError

    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise InputError(
            f"{name} takes whole numbers separated by commas, such as 32,64; got {text!r}."
        ) from None


def register(root: typer.Typer) -> None:
    """Add the group to the command line."""
    root.add_typer(app, name="bench")
