# SPDX-License-Identifier: Apache-2.0
"""Which pixels are the object: by alpha channel, mask file, plain background colour, graph cuts or a user's model.

A box or strokes (hints.py) say where it is. Every estimate ends as coverage, with a few words on where it came from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ConfigError, InputError
from ..io.images import LoadedImage, read_image
from .components import keep_main_components, keep_touching
from .first_guess import OBJECT
from .hints import MaskHints, Region, check_hints, region_of

METHODS = ("auto", "alpha", "border", "grabcut")
# An object takes between these shares of the picture; outside them the mask is no use to a model.
MIN_SHARE, MAX_SHARE = 0.001, 0.98
# Parts that hang apart (a leg behind a gap) are kept when they have this share of the largest one's area.
KEEP_SHARE = 0.02
# In a cluttered picture what hangs apart is more likely another thing; less so in a box.
KEEP_SHARE_CLUTTER, KEEP_SHARE_BOX = 0.15, 0.05
# Estimation runs on a copy with at most this many pixels along the longer side.
BORDER_SIDE, GRABCUT_SIDE = 448, 224
_GRAPH_CUT, _DOUBTFUL = "graph cut (estimated, check it)", "graph cut (doubtful: give --box or --scribbles)"
_FIX = (
    "Give a mask with --mask FILE, or an image with a transparent background, or say where it is with --box"
)


def find_mask(
    image: LoadedImage,
    mask_path: str | Path | None = None,
    method: str = "auto",
    name: str = "The image",
    *,
    hints: MaskHints | None = None,
) -> tuple[np.ndarray, str]:
    """Coverage (H,W) uint8 of the object and a few words on where it came from.

    A mask file wins over everything; then `method`: "alpha" (the file's transparency), "border" (a plain
    background, by its colour at the border), "grabcut" (estimated from colours), or "auto": the first that applies.
    hints: a box, strokes or a model that segments. Raises InputError, beginning with `name`, when none finds an
    object or the mask is empty or full, ConfigError for what excludes each other.
    """
    check_method(method, hints)
    hints = hints or MaskHints()
    check_hints(hints, mask_path)
    if mask_path is not None:
        mask, source = _from_file(Path(mask_path), (image.rgba.shape[0], image.rgba.shape[1]))
        return _checked(mask, f"The mask {mask_path}"), source
    mask, source = _with_hints(image, method, hints, name) if hints else _estimate(image, method, name)
    return _checked(mask, f"{name}: the foreground found by {source}"), source


def mask_record(mask: np.ndarray, source: str) -> dict[str, Any]:
    """What a result's JSON file says of the mask (H,W) uint8 that find_mask found."""
    share = round(float((mask > 127).mean()), 5)
    return {"source": source, "doubtful": source == _DOUBTFUL, "share": share}


def check_method(method: str, hints: MaskHints | None = None) -> None:
    """Raise ConfigError unless `method` is one of METHODS and goes with the hints."""
    if method not in METHODS:
        raise ConfigError(f"Unknown foreground method {method!r}. Expected one of: {', '.join(METHODS)}.")
    if hints is None:
        return
    if hints.segmenter is not None and method != "auto":
        raise ConfigError(f"--segmenter replaces --foreground {method}: give the one or the other.")
    if hints.scribbles is not None and method in ("alpha", "border"):
        raise ConfigError(f"--scribbles are for graph cuts; leave out --foreground {method}.")


def _estimate(image: LoadedImage, method: str, name: str) -> tuple[np.ndarray, str]:
    transparent = has_real_transparency(image)
    if method == "alpha" and not transparent:
        state = "is opaque everywhere" if image.has_alpha else "does not exist"
        raise InputError(f"{name}: the alpha channel {state}. {_FIX}, or use --foreground auto.")
    if transparent and method in ("auto", "alpha"):
        return image.rgba[..., 3], "alpha channel"
    rgb = _over_white(image.rgba)
    if method in ("auto", "border"):
        mask = _plain(rgb)
        if mask is not None:
            return mask, "border colour (plain background)"
        if method == "border":
            raise InputError(
                f"{name}: the background at the border is not plain. {_FIX}, or try --foreground grabcut."
            )
    mask, doubtful = _unaided(rgb)
    return mask, _DOUBTFUL if doubtful else _GRAPH_CUT


def _with_hints(image: LoadedImage, method: str, hints: MaskHints, name: str) -> tuple[np.ndarray, str]:
    """Look at the box's surroundings only, by the method that fits or the user's model; nothing outside the box."""
    region = region_of(hints, image.rgba[..., :3], name)
    window = (region.rows, region.columns)
    view = LoadedImage(image.rgba[window], image.has_alpha, image.note)
    if hints.segmenter is not None:
        from .segmenter import load_segmenter

        part = load_segmenter(hints.segmenter).mask(_over_white(view.rgba))
        source = f"segmenter {hints.segmenter.name}"
    elif region.strokes is not None:
        part = _graph_cut(_over_white(view.rgba), region)
        source = f"graph cut from the strokes of {hints.scribbles.name if hints.scribbles else 'a picture'}"
    else:
        part, source = _in_box(view, method, region, name)
    mask = np.zeros(image.rgba.shape[:2], np.uint8)
    mask[window] = np.where(region.outside, 0, part)
    return mask, source + (" in the given box" if hints.box_px is not None else "")


def _in_box(view: LoadedImage, method: str, region: Region, name: str) -> tuple[np.ndarray, str]:
    """As without a box, but a graph cut knows what is outside."""
    if method in ("alpha", "border") or (method == "auto" and has_real_transparency(view)):
        return _estimate(view, method, name)
    rgb = _over_white(view.rgba)
    mask = _plain(rgb) if method == "auto" else None
    if mask is not None:
        return mask, "border colour (plain background)"
    return _graph_cut(rgb, region), "graph cut"


def _plain(rgb: np.ndarray) -> np.ndarray | None:
    from .plain_background import mask_by_border_color

    return _at_scale(mask_by_border_color, rgb, BORDER_SIDE)


def _graph_cut(rgb: np.ndarray, region: Region) -> np.ndarray:
    """Coverage (H,W) uint8 by graph cuts from what is known."""
    from .grabcut import mask_by_graph_cut
    from .unaided import mask_unaided

    def estimate(small: np.ndarray) -> np.ndarray | None:
        known = region.known((small.shape[0], small.shape[1]))
        if known is None:  # a box around everything
            return mask_unaided(small)[0]
        mask = mask_by_graph_cut(small, known)
        return None if mask is None else _kept(mask, known)

    mask = _at_scale(estimate, rgb, GRABCUT_SIDE, 0.0)
    return np.zeros(rgb.shape[:2], np.uint8) if mask is None else mask


def _unaided(rgb: np.ndarray) -> tuple[np.ndarray, bool]:
    """Coverage (H,W) uint8 by graph cuts from nothing, and whether it is doubtful."""
    from .unaided import mask_unaided

    doubtful = True

    def estimate(small: np.ndarray) -> np.ndarray | None:
        nonlocal doubtful
        mask, doubtful = mask_unaided(small)
        return mask

    mask = _at_scale(estimate, rgb, GRABCUT_SIDE, KEEP_SHARE_CLUTTER)
    return np.zeros(rgb.shape[:2], np.uint8) if mask is None else mask, doubtful


def _kept(mask: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What of a mask hangs together with the object's strokes, or else is large."""
    seeds = known == OBJECT
    return keep_touching(mask, seeds) if seeds.any() else keep_main_components(mask, KEEP_SHARE_BOX)


def has_real_transparency(image: LoadedImage) -> bool:
    """Whether the alpha channel separates something: at least 0.1 % of the pixels are nearly transparent."""
    return image.has_alpha and float((image.rgba[..., 3] < 32).mean()) >= 0.001


def _over_white(rgba: np.ndarray) -> np.ndarray:
    if (rgba[..., 3] == 255).all():
        return rgba[..., :3]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _at_scale(
    estimate: Callable[[np.ndarray], np.ndarray | None], rgb: np.ndarray, side: int, keep: float = KEEP_SHARE
) -> np.ndarray | None:
    """Run an estimator on a copy no larger than `side` and bring its mask (bool) back to (H,W) uint8."""
    height, width = rgb.shape[:2]
    scale = min(1.0, side / max(height, width))
    small = rgb
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    mask = estimate(small) if min(small.shape[:2]) >= 8 else None
    if mask is None:
        return None
    return _resized((keep_main_components(mask, keep) * 255).astype(np.uint8), (height, width))


def _resized(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if mask.shape == shape:
        return mask
    return np.asarray(Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _from_file(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Read a mask file: its transparency, else brightness; a colour cut-out by its own plain background."""
    loaded = read_image(path)
    mask, how = _mask_of_picture(loaded, path)
    source = f"mask file {path.name}{how}"
    if mask.shape != shape:
        source += f", resized from {mask.shape[1]} x {mask.shape[0]}"
        if abs(mask.shape[1] * shape[0] / (mask.shape[0] * shape[1]) - 1) > 0.03:
            source += " (its aspect ratio differs from the image's: is it the mask of this image?)"
    return _resized(mask, shape), source


def _mask_of_picture(loaded: LoadedImage, path: Path) -> tuple[np.ndarray, str]:
    if has_real_transparency(loaded):
        return loaded.rgba[..., 3], " (its alpha channel)"
    rgb = loaded.rgba[..., :3].astype(np.int16)
    grey = rgb.max(-1) - rgb.min(-1) <= 24
    if grey.mean() > 0.995:
        return rgb.mean(-1).round().astype(np.uint8), ""
    mask = _plain(loaded.rgba[..., :3])
    if mask is None:
        raise InputError(
            f"The mask {path} is a colour picture without a plain background. Expected white for the object "
            "on black, or a cut-out with an alpha channel."
        )
    return mask, " (a cut-out; its background by border colour)"


def _checked(mask: np.ndarray, name: str) -> np.ndarray:
    share = float((mask > 127).mean())
    if share < MIN_SHARE:
        raise InputError(f"{name} is empty ({share:.2%} of the pixels). Expected an object in it. {_FIX}.")
    if share > MAX_SHARE:
        raise InputError(f"{name} is full ({share:.1%} of the pixels). Expected some background. {_FIX}.")
    return mask
