# SPDX-License-Identifier: Apache-2.0
"""The verb `recon worker`. Parse, call, print."""

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(worker)


def worker() -> None:
    """Reconstruct and train for another program, which sends JSON lines (docs/worker.md); ends with its input."""
    from .worker.server import main

    raise typer.Exit(main())
