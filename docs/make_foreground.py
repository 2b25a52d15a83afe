# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/foreground.md: one image before a made-up room, cut out without help, with a box, with strokes.

    python docs/make_foreground.py OUT.png [IMAGE.png with transparency]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from recon_core.inference.foreground import find_mask
from recon_core.inference.hints import MaskHints
from recon_core.inference.preview import show_mask
from recon_core.io.atomic import atomic_path
from recon_core.io.images import LoadedImage, read_image, write_png
from recon_core.visual import grid

WIDTH, HEIGHT, SIDE = 300, 240, 190
OBJECT, BACKGROUND = (0, 255, 0, 255), (255, 0, 0, 255)


def main() -> None:
    """Draw the four pictures, and print the IoU of each mask with the truth."""
    source = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parents[1] / "examples" / "chair_1.png"
    rgb, truth = scene(read_image(source).rgba)
    image = LoadedImage(np.dstack((rgb, np.full(rgb.shape[:2], 255, np.uint8))), False)
    box = box_around(truth)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "strokes.png"
        strokes = drawn_strokes(truth)
        write_png(path, strokes)
        wishes = {"no help": MaskHints(), "--box": MaskHints(box), "--scribbles": MaskHints(None, path)}
        pictures, texts = [rgb], ["image"]
        for text, hints in wishes.items():
            mask, how = find_mask(image, method="grabcut", hints=hints)
            found = mask > 127
            print(text, how, f"IoU {(found & truth).sum() / (found | truth).sum():.3f}")
            shown = show_mask(rgb, mask)
            pictures.append(with_hints(shown, hints, strokes))
            texts.append(text)
    with atomic_path(Path(sys.argv[1])) as temporary:
        Image.fromarray(grid([pictures], texts)).quantize(96).save(temporary, "PNG", optimize=True)


def scene(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The object (H,W,4) before a wall with a picture and a striped floor; and its mask (HEIGHT,WIDTH) bool."""
    rows, columns = np.nonzero(rgba[..., 3] > 127)
    cut = Image.fromarray(rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    scale = SIDE / max(cut.size)
    cut = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.LANCZOS)
    random = np.random.default_rng(0)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    room = np.where((v < 165)[..., None], (196, 188, 172), (150, 118, 92)).astype(float)
    room[165:] += 10 * np.sign(np.sin(u[165:] / 9))[..., None]
    room[30:95, 25:85], room[36:89, 31:79] = (70, 60, 55), (120, 150, 170)
    room = gaussian_filter(room, (1, 1, 0)) + 3 * random.standard_normal((HEIGHT, WIDTH, 1))
    canvas = Image.fromarray(np.clip(room, 0, 255).astype(np.uint8))
    mask = Image.new("L", canvas.size)
    corner = ((WIDTH - cut.width) // 2 + 15, HEIGHT - cut.height - 18)
    canvas.paste(cut, corner, cut)
    mask.paste(cut.getchannel("A"), corner)
    noisy = np.asarray(canvas) + 2 * random.standard_normal((HEIGHT, WIDTH, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), np.asarray(mask) > 127


def box_around(truth: np.ndarray, slack: int = 5) -> tuple[float, float, float, float]:
    """A box a little larger than the object."""
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    left, top = columns[0] - slack, rows[0] - slack
    return float(left), float(top), float(np.ptp(columns) + 2 * slack), float(np.ptp(rows) + 2 * slack)


def drawn_strokes(truth: np.ndarray) -> np.ndarray:
    """Strokes (H,W,4) as a hand would draw them: across the object, and beside it."""
    picture = np.zeros((*truth.shape, 4), np.uint8)
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    for share in (0.2, 0.5, 0.62, 0.85):
        row = rows[int(share * (len(rows) - 1))]
        inside = np.flatnonzero(truth[row])
        outside = np.setdiff1d(np.arange(columns[0] - 40, columns[-1] + 40), inside)
        keep = truth[row - 1 : row + 2].all(0)
        picture[row - 1 : row + 2, inside[keep[inside]]] = OBJECT
        empty = ~truth[row - 4 : row + 5].any(0)
        picture[row - 1 : row + 2, outside[empty[outside]]] = BACKGROUND
    return picture


def with_hints(picture: np.ndarray, hints: MaskHints, strokes: np.ndarray) -> np.ndarray:
    """The picture with the box and the strokes drawn on it."""
    canvas = Image.fromarray(picture)
    if hints.scribbles is not None:
        canvas.paste(Image.fromarray(strokes), mask=Image.fromarray(strokes[..., 3]))
    if hints.box_px is not None:
        left, top, width, height = hints.box_px
        ImageDraw.Draw(canvas).rectangle((left, top, left + width, top + height), outline=(40, 90, 220), width=2)
    return np.asarray(canvas)


if __name__ == "__main__":
    main()
