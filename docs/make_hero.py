# SPDX-License-Identifier: Apache-2.0
"""The README's picture: input image, mask, and the reconstructed cloud from three sides, a row per image.

    python docs/make_hero.py RECONSTRUCTIONS [--images examples] [--out docs/images/hero.png]

RECONSTRUCTIONS is the folder that `recon reconstruct` wrote: for each NAME.json there, NAME.ply is drawn, and the
image that it names is read from --images. The mask is found anew, as `recon reconstruct` finds it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from recon_core.inference.foreground import find_mask
from recon_core.io.atomic import atomic_path
from recon_core.io.images import read_image
from recon_core.io.ply import read_ply
from recon_core.pointcloud import PointCloud
from recon_core.visual import color_labels, draw_cloud, grid, to_rgb

TILE_PX = 208
# The first is about where the example images were taken from.
AZIMUTHS_DEG = (35, 155, 275)
ELEVATION_DEG = 18


def main(argv: list[str]) -> int:
    """Draw one row for each reconstruction of the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("reconstructions", type=Path, help="folder that `recon reconstruct` wrote")
    parser.add_argument("--images", type=Path, default=root / "examples", help="folder of the input images")
    parser.add_argument("--out", type=Path, default=root / "docs" / "images" / "hero.png")
    options = parser.parse_args(argv)
    records = sorted(options.reconstructions.glob("*.json"))
    if not records:
        print(f"{options.reconstructions} has no reconstructions (*.json).", file=sys.stderr)
        return 1
    rows = [row(path, options.images) for path in records]
    headings = ["input", "mask", *(f"cloud, azimuth {angle}°" for angle in AZIMUTHS_DEG), "parts"]
    with atomic_path(options.out) as temporary:
        Image.fromarray(grid(rows, headings[: len(rows[0])], gap=6)).save(temporary, "PNG", optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


def row(record_path: Path, images: Path) -> list[np.ndarray]:
    """Pictures (T,T,3) uint8 of one reconstruction: input, mask, cloud from three sides, parts where known."""
    record = json.loads(record_path.read_text(encoding="utf-8"))
    image = read_image(images / record["image"]["file"])
    mask, _ = find_mask(image)
    cloud = read_ply(record_path.with_name(record["files"]["cloud"]))
    pictures = [fitted(to_rgb(image.rgba)), fitted(to_rgb(mask))]
    pictures += [side(cloud, cloud.colors, azimuth) for azimuth in AZIMUTHS_DEG]
    if cloud.labels is not None:
        pictures.append(side(cloud, color_labels(cloud.labels), AZIMUTHS_DEG[0]))
    return pictures


def side(cloud: PointCloud, colors: np.ndarray | None, azimuth_deg: float) -> np.ndarray:
    """The cloud seen from one azimuth (T,T,3) uint8."""
    return draw_cloud(cloud.xyz, colors, azimuth_deg, ELEVATION_DEG, TILE_PX)


def fitted(rgb: np.ndarray, tile_px: int = TILE_PX) -> np.ndarray:
    """A picture (H,W,3) scaled to fit a tile (T,T,3), on white."""
    scale = tile_px / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    tile = Image.new("RGB", (tile_px, tile_px), (255, 255, 255))
    corner = ((tile_px - size[0]) // 2, (tile_px - size[1]) // 2)
    tile.paste(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS), corner)
    return np.asarray(tile)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
