# SPDX-License-Identifier: Apache-2.0
"""3D-R2N2's renders: cameras from rendering_metadata.txt, against a pinhole by its published matrices."""

from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import MIN_IOU, ious_of, object_from_shapenet, recon, run_import

from recon_core.data.dataset import Dataset

SIZE = 137


def metadata(index: int) -> np.ndarray:
    """Azimuth, elevation, rotation, distance ratio, field of view."""
    rng = np.random.default_rng([3, index])
    ones = np.ones(3)
    return np.stack(
        (rng.uniform(0, 360, 3), rng.uniform(25, 30, 3), 0 * ones, rng.uniform(0.9, 1, 3), 25 * ones), 1
    )


def r2n2_view(solid: foreign.Solid, azimuth: float, elevation: float, ratio: float) -> foreign.View:
    """The world is turned by -azimuth about Blender's Z and tilted, then seen from (1.75 ratio, 0, 0)."""
    a, e = -np.radians(azimuth), -np.radians(elevation)
    ca, sa, ce, se = np.cos(a), np.sin(a), np.cos(e), np.sin(e)
    turn = np.array([[ca * ce, sa * ce, -se], [-sa, ca, 0], [ca * se, sa * se, ce]])

    def rays(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        focal = 35 / 32
        direction = np.stack((-np.ones_like(u), (u - 0.5) / focal, -(v - 0.5) / focal), -1)
        origin = np.array([1.75 * ratio, 0, 0])
        return foreign.blender_to_shapenet(origin @ turn), foreign.blender_to_shapenet(direction @ turn)

    return foreign.see(solid, SIZE, rays)


def write_r2n2(root: Path) -> Path:
    """ShapeNetRendering/<synset>/<model>/rendering/."""
    for index in range(2):
        folder = root / "ShapeNetRendering" / foreign.CHAIR / f"model_{index}" / "rendering"
        for view, (azimuth, elevation, _, ratio, _) in enumerate(metadata(index)):
            seen = r2n2_view(foreign.make_solid(index), azimuth, elevation, ratio)
            foreign.save(folder / f"{view:02d}.png", seen.rgba)
        lines = [" ".join(f"{value:.10g}" for value in row) + "\n" for row in metadata(index)]
        (folder / "rendering_metadata.txt").write_text("".join(lines))
        (folder / "renderings.txt").write_text("00.png\n01.png\n02.png\n")
    return root


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_r2n2(tmp_path_factory.mktemp("r2n2") / "in")


def test_points_fill_the_masks(pristine: Path, tmp_path: Path) -> None:
    """There are no points in this layout, so the true ones are brought by the test."""
    run_import("r2n2", pristine, tmp_path / "out")
    for index in range(2):
        xyz = object_from_shapenet(foreign.sample(foreign.make_solid(index), 6000)[0])
        ious = ious_of(tmp_path / "out", f"chair/model_{index}", xyz)
        assert len(ious) == 3
        assert min(ious) >= MIN_IOU, ious
        # A camera on the other side does not pass.
        assert np.mean(ious_of(tmp_path / "out", f"chair/model_{index}", xyz * [1, -1, 1])) < 0.8
    assert recon("check", tmp_path / "out").exit_code == 0
    assert Dataset.open(tmp_path / "out").mask("chair/model_0", 0).shape == (SIZE, SIZE)


FAULTS = {
    "gone": (lambda path: path.unlink(), "cannot be read"),
    "empty": (lambda path: path.write_text(""), "is empty"),
    "short": (lambda path: path.write_text("1 2 0 0.9 25\n"), "has 1 lines, there is a 02.png"),
    "words": (lambda path: path.write_text("a b c d e\n" * 3), "is not 'azimuth elevation"),
    "columns": (lambda path: path.write_text("1 2\n" * 3), "is not 'azimuth elevation"),
    "rolled": (lambda path: path.write_text("1 2 9 0.9 25\n" * 3), "in-plane rotations"),
    "no distance": (lambda path: path.write_text("1 2 0 0 25\n" * 3), "is not 'azimuth elevation"),
    "no alpha": (
        lambda path: foreign.save(path.with_name("01.png"), np.zeros((SIZE, SIZE, 3), np.uint8)),
        "no alpha channel",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_object_is_skipped(tmp_path: Path, pristine: Path, fault: str) -> None:
    """One line says why."""
    import shutil

    source = Path(shutil.copytree(pristine, tmp_path / "in"))
    break_it, message = FAULTS[fault]
    break_it(
        source / "ShapeNetRendering" / foreign.CHAIR / "model_0" / "rendering" / "rendering_metadata.txt"
    )
    result = run_import("r2n2", source, tmp_path / "out", status=3)
    assert message in result.output
