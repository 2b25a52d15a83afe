# SPDX-License-Identifier: Apache-2.0
"""The wheel: everything it needs is inside, and it makes, renders and trains away from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_dataset import make_tiny_dataset

from recon_core.blender import probe_wheel

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow
RECON = "import sys; from recon_core.cli import main; sys.argv[0] = 'recon'; main()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, as pip would place them."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def recon(installed: Path, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder that knows nothing of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RECON, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_everything_is_inside(wheel: Path, installed: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (("render_scripts", "**/*.py"), ("configs", "*.yaml"), ("examples", "*.png")):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern)}
        assert files
        assert {f"recon_core/_bundled/{name}" for name in files} <= names
    assert {
        "recon_core/evaluation/report.html",
        "recon_core/viewer/viewer.js",
        "recon_core/viewer/style.css",
    } <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "recon_core").rglob("*.py")}
    assert modules <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE-APACHE", "LICENSE-GPL"}
    metadata = next(installed.glob("*.dist-info/METADATA")).read_text()
    assert "License-Expression: Apache-2.0 AND GPL-3.0-or-later" in metadata
    assert "Requires-Dist: bpy<4.6,>=4.5.15; (python_version == '3.11') and extra == 'blender'" in metadata
    entry_points = next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert "recon = recon_core.cli:main" in entry_points


def test_it_makes_and_renders_shapes_elsewhere(installed: Path, tmp_path: Path) -> None:
    made = recon(installed, tmp_path, "shapes", "--count", "1", "--output", "meshes", "--quiet")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "meshes" / "chair" / "chair_0_00000" / "model.glb").is_file()
    if not probe_wheel().usable:
        pytest.skip("the bpy wheel is not usable in this Python: nothing rendered")
    options = [
        "--output",
        "data",
        "--views",
        "2",
        "--size",
        "32",
        "--jobs",
        "1",
        "--blender",
        "wheel",
        "--quiet",
    ]
    rendered = recon(installed, tmp_path, "render", "meshes", *options)
    assert rendered.returncode == 0, rendered.stderr
    assert json.loads((tmp_path / "data" / "dataset.json").read_text())["categories"] == ["chair"]


def test_it_finds_its_recipes_elsewhere(installed: Path, tmp_path: Path) -> None:
    data = make_tiny_dataset(tmp_path / "data", objects=4, views=4, size=32)
    planned = recon(installed, tmp_path, "train", "splat", "--data", data, "--out", "run", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert not (tmp_path / "run").exists()
