# SPDX-License-Identifier: Apache-2.0
"""A tiny dataset of two categories whose part lists differ in names and length."""

import json
import shutil
from pathlib import Path

from tiny_dataset import PARTS, make_tiny_dataset

CATEGORIES = {"chair": PARTS, "ball": ["shell", "core"]}


def make_two_categories(root: Path, objects: int = 4, views: int = 4, size: int = 32) -> Path:
    """Chairs with four parts and "balls" with two: the same solids, whose part ids are halved."""
    root = make_tiny_dataset(root, objects, views, size)
    other = make_tiny_dataset(
        root.parent / f"{root.name}_other", objects, views, size, category="ball", seed=1
    )
    shutil.move(other / "ball", root / "ball")
    for split in ("train", "val", "test"):
        names = [(one / "splits" / f"{split}.txt").read_text().split() for one in (root, other)]
        (root / "splits" / f"{split}.txt").write_text("\n".join(names[0] + names[1]) + "\n")
    shutil.rmtree(other)
    for folder in sorted((root / "ball").iterdir()):
        _relabel(folder)
    meta = json.loads((root / "dataset.json").read_text())
    meta |= {"categories": list(CATEGORIES), "parts": CATEGORIES}
    (root / "dataset.json").write_text(json.dumps(meta))
    return root


def _relabel(folder: Path) -> None:
    """Give an object the part list of balls: ids 1, 2 become 1 and 3, 4 become 2."""
    import numpy as np
    from PIL import Image

    from recon_core.io.ply import read_ply, write_ply

    path = folder / "transforms.json"
    transforms = json.loads(path.read_text())
    transforms["recon"]["parts"] = CATEGORIES["ball"]
    path.write_text(json.dumps(transforms))
    cloud = read_ply(folder / "points.ply")
    assert cloud.labels is not None
    cloud.labels = (cloud.labels + 1) // 2
    write_ply(folder / "points.ply", cloud)
    for image in sorted((folder / "parts").iterdir()):
        old = Image.open(image)
        new = Image.fromarray((np.asarray(old) + 1) // 2, mode="P")
        new.putpalette(old.getpalette() or [])
        new.save(image)
