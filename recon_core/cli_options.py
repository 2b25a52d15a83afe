# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs share, declared once: def verb(..., device: Device = "auto", quiet: Quiet = False)."""

from pathlib import Path
from typing import Annotated

import typer

DATASET = Path("dataset")

Run = Annotated[Path, typer.Argument(help="Run folder of `recon train`, or one of its checkpoints.")]
Data = Annotated[Path, typer.Option("--data", help="Dataset folder (from `recon render`).")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
ResultsAsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]

# Of the verbs that do everything from making objects to scoring a model.
Everything = Annotated[Path, typer.Option("--out", help="Folder for everything that is made.")]
Renders = Annotated[int, typer.Option("--views", min=4, help="Renders of each.")]
RenderSize = Annotated[int, typer.Option("--size", min=32, help="Width and height of the renders in pixels.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training steps. [default: the recipe's]")]
