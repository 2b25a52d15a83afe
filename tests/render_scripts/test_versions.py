# SPDX-License-Identifier: Apache-2.0
"""The bpy wheel, the Blender on PATH and those of RECON_TEST_BPY make the same dataset within tolerance."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import other_blenders
import pytest
from conftest import MAIN_OPTIONS, SCRIPT, Run, render  # pyright: ignore[reportAttributeAccessIssue]
from mesh_sources import BAD
from PIL import Image

from recon_core.io.ply import read_ply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEYS = [f"chair/chair_0_0000{index}" for index in range(3)]


@pytest.fixture(scope="session", params=["executable", *other_blenders.params()])
def other_command(request: pytest.FixtureRequest) -> list[str]:
    """Command line of another Blender, ready for arguments of render_views."""
    if isinstance(request.param, Path):
        return [other_blenders.required(request.param), str(SCRIPT)]
    return request.getfixturevalue("blender_command")


@pytest.fixture(scope="session")
def other_dataset(other_command: list[str], shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chairs of `dataset`, rendered by the other Blender."""
    folder = tmp_path_factory.mktemp("other") / "chairs"
    run = render(shapes, "--output", folder, *MAIN_OPTIONS, program=other_command)
    assert run.status == 0, run.errors
    assert len(run.of("object")) == 3
    return folder


def both(dataset: Path, other: Path, kind: str, view: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same image of every object by the two Blenders."""
    paths = [f"{key}/{kind}/{view:03d}.png" for key in KEYS]
    return [(np.asarray(Image.open(dataset / path)), np.asarray(Image.open(other / path))) for path in paths]


def test_cameras_and_frames_agree(dataset: Path, other_dataset: Path) -> None:
    for key in KEYS:
        one, other = (
            json.loads((root / key / "transforms.json").read_text()) for root in (dataset, other_dataset)
        )
        for first, second in zip(one["frames"], other["frames"], strict=True):
            np.testing.assert_allclose(first["transform_matrix"], second["transform_matrix"], atol=1e-12)
            assert first["recon"]["light"] == second["recon"]["light"]
        names = ("object_from_source", "source_from_object")
        for name in names:
            np.testing.assert_allclose(one["recon"].pop(name), other["recon"].pop(name), rtol=1e-5, atol=1e-6)
        assert one["recon"] == other["recon"]


@pytest.mark.parametrize("view", range(4))
def test_exact_passes_agree(dataset: Path, other_dataset: Path, view: int) -> None:
    """Foreground, parts (but for coinciding faces) and depth (but for grazing edges) pixel by pixel."""
    for first, second in both(dataset, other_dataset, "parts", view):
        assert (first != second).sum() <= 0.002 * first.size
        assert ((first > 0) != (second > 0)).sum() <= 2
    for first, second in both(dataset, other_dataset, "depth", view):
        differ = np.abs(first.astype(int) - second.astype(int)) > 2
        assert differ.sum() <= 4


@pytest.mark.parametrize("view", range(4))
def test_averaged_passes_agree(dataset: Path, other_dataset: Path, view: int) -> None:
    """Samples differ between versions: masks at the outline alone, colours by noise."""
    for first, second in both(dataset, other_dataset, "masks", view):
        difference = np.abs(first.astype(int) - second.astype(int))
        assert difference.mean() < 1.5
        assert (difference > 128).sum() <= 0.002 * first.size
    for first, second in both(dataset, other_dataset, "images", view):
        inside = (first[..., 3] == 255) & (second[..., 3] == 255)
        difference = first[inside][:, :3].astype(float) - second[inside][:, :3]
        assert np.abs(difference.mean(0)).max() < 8
        assert np.abs(difference).mean() < 12
    for first, second in both(dataset, other_dataset, "normals", view):
        inside = first.any(-1) & second.any(-1)
        assert np.median(np.abs(first[inside].astype(int) - second[inside].astype(int)).max(-1)) <= 1


def test_points_agree(dataset: Path, other_dataset: Path) -> None:
    for key in KEYS:
        one, other = (read_ply(root / key / "points.ply") for root in (dataset, other_dataset))
        np.testing.assert_allclose(one.xyz, other.xyz, atol=1e-5)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_odd_and_bad_sources_on_the_other_blender(
    odd_run: tuple[Run, Path], odd_sources: Path, other_command: list[str], tmp_path: Path
) -> None:
    """Every importer of the other Blender: the same sources fail, with the same kind of message; others agree."""
    options = [
        "--views",
        "2",
        "--size",
        "48",
        "--samples",
        "2",
        "--cameras",
        "turntable",
        "--azimuth",
        "20",
        "120",
    ]
    run = render(odd_sources, "--output", tmp_path, *options, "--light", "fixed", program=other_command)
    assert run.status == 3
    messages = {entry["object"].removeprefix("bad/"): entry["error"] for entry in run.of("failed")}
    assert set(messages) == set(BAD)
    for name, pattern in BAD.items():
        assert re.search(pattern, messages[name]), (name, messages[name])
    expected = {entry["object"] for entry in odd_run[0].of("object")}
    assert {entry["object"] for entry in run.of("object")} == expected
    for key in expected:
        first, second = (
            np.asarray(Image.open(root / key / "depth" / "001.png")) for root in (odd_run[1], tmp_path)
        )
        assert ((first > 0) != (second > 0)).sum() <= 2, key
        assert (root_has_parts(odd_run[1] / key)) == root_has_parts(tmp_path / key)
        colors = [read_ply(root / key / "points.ply").colors for root in (odd_run[1], tmp_path)]
        assert np.abs(colors[0].astype(int) - colors[1].astype(int)).max() <= 1, key


def root_has_parts(folder: Path) -> bool:
    return (folder / "parts").is_dir()


def test_np_bool_is_restored_on_blender_3(blender_command: list[str], shapes: Path) -> None:
    """Blender 3.4's glTF importer needs np.bool, which numpy 1.24 lacks; import_file must bring it back."""
    program = (
        "import sys, bpy, numpy as np\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "from pathlib import Path\n"
        "from render_scripts.import_mesh import import_file\n"
        "vars(np).pop('bool', None) if bpy.app.version < (4, 0, 0) else None\n"
        f"import_file(Path({str(shapes / KEYS[0] / 'model.glb')!r}))\n"
        "print('MESHES', sum(thing.type == 'MESH' for thing in bpy.context.scene.objects))\n"
    )
    command = [*blender_command[: blender_command.index("--python")], "--python-expr", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(re.search(r"MESHES (\d+)", done.stdout)[1]) > 1  # type: ignore[index]


def test_arguments_after_the_dashes_only(
    blender_command: list[str], odd_sources: Path, tmp_path: Path
) -> None:
    """Wrong use under Blender's own program ends with status 1 and one sentence too."""
    run = render(odd_sources / "chair" / "plain.glb", "--size", "3", program=blender_command, as_json=False)
    assert run.status == 1
    assert "render_views: argument --size" in run.errors


def test_curves_with_thickness_are_one_mesh(blender_command: list[str], tmp_path: Path) -> None:
    """Both listings of such a curve counted would weigh it twice; all layers of the made one crash Blender 3.4."""
    (tmp_path / "ring").mkdir()
    program = (
        "import bpy\n"
        "bpy.ops.wm.read_factory_settings(use_empty=True)\n"
        "bpy.ops.curve.primitive_bezier_circle_add(radius=1)\n"
        "bpy.context.object.data.bevel_depth = 0.1\n"
        "bpy.ops.mesh.primitive_cube_add(size=0.5)\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(tmp_path / 'ring' / 'ring.blend')!r})\n"
    )
    command = [*blender_command[: blender_command.index("--python")], "--python-expr", program]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    sources, options = str(tmp_path / "ring"), ["--views", "1", "--size", "32", "--samples", "1"]
    run = render(Path(sources), "--output", tmp_path / "d", *options, program=blender_command)
    assert run.status == 0, run.errors
    xyz = read_ply(tmp_path / "d" / "ring" / "ring" / "points.ply").xyz
    ring, cube = (2 * np.pi) * (2 * np.pi * 0.1), 6 * 0.5**2
    assert (np.hypot(xyz[:, 0], xyz[:, 1]) > 0.25).mean() == pytest.approx(ring / (ring + cube), abs=0.02)
