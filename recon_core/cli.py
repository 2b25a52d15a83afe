# SPDX-License-Identifier: Apache-2.0
"""The verbs of `recon`: parse, call, print. No logic here; heavy modules are imported inside each verb."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import (
    __version__,
    cli_bench,
    cli_bundled,
    cli_confidence,
    cli_data,
    cli_import,
    cli_label,
    cli_leaderboard,
    cli_mask,
    cli_mesh,
    cli_place,
    cli_refine,
    cli_report,
    cli_worker,
)
from .cli_options import (
    DATASET,
    Data,
    Device,
    DryRun,
    Everything,
    Renders,
    RenderSize,
    ResultsAsJson,
    Run,
    Steps,
)
from .errors import ReconError

app = typer.Typer(
    name="recon",
    help="Reconstruct 3D objects from single images with models trained on your own renders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


for _verb in (cli_data.shapes, cli_data.check):
    app.command()(_verb)
app.command(cls=cli_data.RangeCommand)(cli_data.render)
cli_import.register(app)
cli_bench.register(app)
cli_bundled.register(app)
cli_mesh.register(app)
cli_label.register(app)
cli_confidence.register(app)
cli_report.register(app)
cli_place.register(app)
cli_refine.register(app)
cli_worker.register(app)
cli_leaderboard.register(app)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look whether this machine can run everything; exit status 1, with what to do, when it cannot."""
    from . import doctor as examination

    checks = examination.examine()
    colours = {"ok": "green", "missing": "red", "low": "yellow"}
    report = (
        examination.as_json(checks)
        if as_json
        else examination.as_text(checks, lambda text, state: typer.style(text, fg=colours.get(state)))
    )
    typer.echo(report)
    raise typer.Exit(0 if examination.succeeded(checks) else 1)


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe: a YAML file, or the name of a shipped one (splat, ...).")
    ] = None,
    data: Data = DATASET,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder. [default: outputs/DATA/RECIPE/TIME]")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a value of the recipe: --set optim.lr=0.001")
    ] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Go on with this run folder.")] = None,
    device: Device = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads. [default: all]")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Train a model from masks (and colours and parts) of rendered views. Ctrl-C saves before it stops."""
    from .training.start import TrainRequest, describe, start_training

    request = TrainRequest(data, recipe, out, tuple(overrides or ()), resume, device, threads)
    if dry_run:
        typer.echo(describe(request))
        return
    finished = start_training(request)
    typer.echo(f"{'Stopped' if finished.interrupted else 'Finished'} at step {finished.step}: {finished.run}")
    if finished.interrupted:
        going_on = f"Go on with: recon train --data {data} --resume {finished.run}"
        typer.echo(going_on if finished.step else "Nothing was trained yet: start again.")
        raise typer.Exit(130)


@app.command("eval")
def evaluate(
    run: Run,
    data: Data = DATASET,
    split: Annotated[
        str, typer.Option("--split", help="Objects to evaluate on: train, val or test.")
    ] = "test",
    views: Annotated[
        int | None, typer.Option("--views", help="Use only the first N views of each object as inputs.")
    ] = None,
    points: Annotated[
        int | None, typer.Option("--points", help="True points per object. [default: 4096]")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol", help="Score by a protocol too: native, dpc, drwr, dibr, ssl, differ, capnet."
        ),
    ] = None,
    baselines: Annotated[
        Path | None,
        typer.Option("--baselines", help="Dataset whose training split the baselines use. [default: DATA]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write. [default: RUN/evaluation/SPLIT]")
    ] = None,
    device: Device = "auto",
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json instead of the table.")] = False,
) -> None:
    """Score a run on objects it never saw, beside two baselines and the noise floor; write an HTML report."""
    from .evaluation.evaluate import evaluate_run
    from .evaluation.table import as_table

    result = evaluate_run(
        run,
        data,
        split,
        views=views,
        points=points,
        protocols=protocol or (),
        baselines=baselines,
        device=device,
        report=report,
        out=out,
        progress=not as_json,
    )
    typer.echo(json.dumps(result, indent=1) if as_json else as_table(result))
    if not as_json:
        typer.echo("\n" + "\n".join(f"{name}: {path}" for name, path in result["files"].items()))


@app.command()
def reconstruct(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP images of one object each.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the PLY, preview and JSON files.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder of `recon train`. [default: the shipped model]")
    ] = None,
    mask: cli_mask.Mask = None,
    foreground: cli_mask.Foreground = "auto",
    confidence: Annotated[
        str,
        typer.Option(
            "--confidence", help="Say which points to trust: none, fast (40 ms an image) or full (0.1 s)."
        ),
    ] = "fast",
    box: cli_mask.Box = None,
    scribbles: cli_mask.Scribbles = None,
    segmenter: cli_mask.Segmenter = None,
    refine: Annotated[
        bool,
        typer.Option(
            "--refine",
            help="Fit the cloud and its pose to the mask, as `recon refine` does (1 to 2 s an image).",
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Show all results on a page, OUT/report.html.")
    ] = False,
    device: Device = "auto",
    as_json: ResultsAsJson = False,
) -> None:
    """Turn images into coloured, part-labelled point clouds. Exit status 3 when some images failed, 1 when all did."""
    from .inference.report import reconstruct_and_report
    from .resources import shipped_run

    run = run or shipped_run()
    hints = cli_mask.hints_from(box, scribbles, segmenter)
    raise typer.Exit(
        reconstruct_and_report(
            images, run, out, mask, foreground, device, as_json, confidence, hints, report, refine
        )
    )


@app.command()
def demo(
    out: Everything = Path("demo"),
    objects: Annotated[int, typer.Option("--objects", min=20, help="Chairs to make.")] = 150,
    views: Renders = 8,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Blender processes.")] = 2,
    steps: Steps = None,
    device: Device = "auto",
    size: RenderSize = 128,
) -> None:
    """Make chairs, render them in Blender, train, score and reconstruct: about 10 minutes on 2 cores."""
    from .demo import DemoOptions, run_demo

    typer.echo(run_demo(DemoOptions(out, objects, views, jobs, steps, device, size)))


def main() -> None:
    """Run the command line; a ReconError becomes one line on stderr and its exit status."""
    # Threads that spin while they wait halve the speed of a machine that others use too; torch is not loaded yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except ReconError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
