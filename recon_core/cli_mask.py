# SPDX-License-Identifier: Apache-2.0
"""Options of every verb that takes a photograph and has to find the object in it: mask, box, strokes, a user's model.

def verb(..., mask: Mask = None, foreground: Foreground = "auto",
         box: Box = None, scribbles: Scribbles = None, segmenter: Segmenter = None) -> None:
    hints = hints_from(box, scribbles, segmenter)  # for find_mask(..., hints=hints)
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .inference.hints import MaskHints

Mask = Annotated[Path | None, typer.Option("--mask", help="Mask of the (one) image: white is the object.")]
Foreground = Annotated[
    str, typer.Option("--foreground", help="How to find the object: auto, alpha, border or grabcut.")
]
Box = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option("--box", help="The object is in this box of the image: left, top, width, height in pixels."),
]
Scribbles = Annotated[
    Path | None,
    typer.Option(
        "--scribbles", help="PNG with strokes: green or white on the object, red or black on the background."
    ),
]
Segmenter = Annotated[
    Path | None,
    typer.Option("--segmenter", help="ONNX model of your own that turns an image into a mask."),
]


def hints_from(
    box: tuple[float, float, float, float] | None, scribbles: Path | None, segmenter: Path | None
) -> "MaskHints":
    """What the three options say together."""
    from .inference.hints import MaskHints

    return MaskHints(box, scribbles, segmenter)
