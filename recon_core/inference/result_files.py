# SPDX-License-Identifier: Apache-2.0
"""Names of the files that stand for one result: cloud, preview, mask and JSON, beside one another."""

import os
from collections.abc import Sequence
from pathlib import Path

# The mask that was used has the result's name and this ending.
MASK_ENDING = ".mask.png"


def distinct_stems(image_paths: Sequence[Path], out_dir: Path) -> list[str]:
    """A name for each image's results: its stem, numbered when taken; results never replace an input image."""
    inputs = {path.resolve() for path in image_paths}
    taken: set[str] = set()
    stems = []
    for path in image_paths:
        candidates = [path.stem] + [f"{path.stem}_{number}" for number in range(2, len(image_paths) + 2)]
        candidates += [f"{path.stem}_cloud_{number}" for number in range(1, 2 * len(image_paths) + 2)]
        free = (
            name
            for name in candidates
            if name.lower() not in taken
            and not inputs & {(out_dir / f"{name}{ending}").resolve() for ending in (".png", MASK_ENDING)}
        )
        stem = next(free)
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def relative_path(path: Path, folder: Path) -> str:
    """The path as it is found from a folder, so that both can be moved together; absolute on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return str(path.resolve())
