# SPDX-License-Identifier: Apache-2.0
"""Reading what render_views wrote."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# The objects of the fixture `shapes`.
KEYS = [f"chair/chair_0_0000{index}" for index in range(3)]


def transforms_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def image(folder: Path, kind: str, view: int) -> np.ndarray:
    return np.asarray(Image.open(folder / kind / f"{view:03d}.png"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
