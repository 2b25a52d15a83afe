# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the object: nothing, one colour, or crops of pictures."""

from pathlib import Path

import bpy
import numpy as np

from .normalise import mark_kept
from .passes import decode_srgb

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".hdr"}
MAX_PIXELS = 64_000_000


class Background:
    """Backgrounds of a run; raises ValueError for a colour or picture that cannot be used."""

    def __init__(self, text: str) -> None:
        self.color = _color(text)
        self.paths = [] if text == "transparent" or self.color is not None else _pictures(Path(text))
        self._pixels: dict[Path, np.ndarray] = {}

    def linear(self, rng: np.random.Generator, size: int) -> np.ndarray | None:
        """Linear RGB (3,) or (size,size,3), None for transparent; `rng` picks picture and crop."""
        if not self.paths:
            return self.color
        pixels = self._load(self.paths[int(rng.integers(len(self.paths)))])
        side = max(1, int(min(pixels.shape[:2]) * rng.uniform(0.5, 1.0)))
        top = int(rng.integers(pixels.shape[0] - side + 1))
        left = int(rng.integers(pixels.shape[1] - side + 1))
        pick = ((np.arange(size) + 0.5) * side / size).astype(int)
        return pixels[top + pick][:, left + pick]

    def _load(self, path: Path) -> np.ndarray:
        if path not in self._pixels:
            # One picture at a time: folders of them would fill the memory.
            self._pixels = {path: _read_picture(path)}
        return self._pixels[path]


def _color(text: str) -> np.ndarray | None:
    words = text.split(",")
    if len(words) != 3:
        return None
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        return None
    if not ((values >= 0) & (values <= 255)).all():
        raise ValueError(f"--background {text}: colours are three numbers in 0..255")
    return decode_srgb(values / 255.0)


def _pictures(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in files if file.suffix.lower() in PICTURES and file.is_file()]
    if not files:
        raise ValueError(
            f"--background {path}: neither transparent, R,G,B nor a picture or folder of pictures"
        )
    return files


def _read_picture(path: Path) -> np.ndarray:
    """Linear RGB (H,W,3) of a picture, row 0 on top, read by Blender."""
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError as error:
        raise ValueError(f"--background {path}: Blender cannot read it") from error
    mark_kept(image)
    width, height = image.size
    try:
        if not 0 < width * height <= MAX_PIXELS:
            raise ValueError(f"--background {path}: {width} x {height} pixels cannot be used")
        flat = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(flat)
        pixels = flat.reshape(height, width, image.channels)[::-1]
        rgb = pixels[..., :3] if image.channels >= 3 else np.repeat(pixels[..., :1], 3, -1)
        return rgb.astype(np.float64) if image.is_float else decode_srgb(rgb.astype(np.float64))
    finally:
        bpy.data.images.remove(image)
