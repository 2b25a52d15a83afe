# SPDX-License-Identifier: Apache-2.0
"""The verb of `recon` that compares recipes: leaderboard. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import DATASET, Data, DryRun

PROTOCOL_HELP = "How clouds are scored: native, dpc, drwr, dibr, ssl, differ, capnet."


def leaderboard(
    data: Data = DATASET,
    budget: Annotated[
        str | None, typer.Option("--budget", help="CPU time of every training: 90s, 10m or 1.5h.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of every training, instead of --budget.")
    ] = None,
    recipes: Annotated[
        str | None,
        typer.Option(
            "--recipes", help="Names or files, separated by commas. [default: all shipped that fit]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where everything goes. [default: outputs/leaderboard/DATA]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of every recipe: mean and spread.")] = 1,
    size: Annotated[
        int, typer.Option("--size", help="Width of every model's input: 64, 128 or 256 px.")
    ] = 64,
    protocol: Annotated[str, typer.Option("--protocol", help=PROTOCOL_HELP)] = "native",
    split: Annotated[str, typer.Option("--split", help="Objects to score on: test or val.")] = "test",
    views: Annotated[
        int | None, typer.Option("--views", min=1, help="Score from the first N views of each object only.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of every training.")] = 1,
    device: Annotated[str, typer.Option("--device", help="cpu; with --steps also cuda or cuda:N.")] = "cpu",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value of every recipe: --set model.points=2000"),
    ] = None,
    dry_run: DryRun = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train several recipes for the same CPU time (or steps) and rank them: table, curves, picture grid.

    Finished runs are kept, so after Ctrl-C the same command goes on; more recipes or seeds can be added later. Exit
    status: 0 all finished, 3 some failed, 1 none finished.
    """
    from .leaderboard.board import describe, run_leaderboard
    from .leaderboard.plan import Options, parse_budget

    options = Options(
        data=data,
        out=out or Path("outputs") / "leaderboard" / data.resolve().name,
        budget_s=None if budget is None else parse_budget(budget),
        steps=steps,
        recipes=tuple(name.strip() for name in (recipes or "").split(",") if name.strip()),
        overrides=tuple(overrides or ()),
        seeds=seeds,
        size=size,
        protocol=protocol,
        split=split,
        views=views,
        threads=threads,
        device=device,
        quiet=quiet,
    )
    if dry_run:
        typer.echo(describe(options))
        return
    try:
        result = run_leaderboard(options)
    except KeyboardInterrupt:
        typer.echo(
            f"Finished runs and checkpoints are kept in {options.out}; the same command goes on.", err=True
        )
        raise
    typer.echo(result.text)
    typer.echo("\n" + "\n".join(f"{name}: {path}" for name, path in result.files.items()))
    raise typer.Exit(result.exit_status)


def register(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command("leaderboard")(leaderboard)
