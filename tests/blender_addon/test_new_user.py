# SPDX-License-Identifier: Apache-2.0
"""A new user with only the zip and Blender: a fresh user folder, nothing of this checkout within reach."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_model

from blender_addon.png import write_png

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import build_extension

pytestmark = [pytest.mark.blender, pytest.mark.slow]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    pytest.importorskip("onnx")
    return tiny_model.write_model(tmp_path_factory.mktemp("model") / "tiny.onnx", with_color=False)


def build(folder: Path, model: Path, *options: str) -> Path:
    """The zip with ONNX Runtime for this platform; skips where pip reaches no index."""
    folder.mkdir()
    try:
        options_found = build_extension.parse(["--model", str(model), "--output", str(folder), *options])
        return (build_extension.build_legacy if options_found.legacy else build_extension.build)(
            "linux-x64", options_found
        )
    except build_extension.BuildError as error:
        if "pip found no" in str(error):
            pytest.skip(f"ONNX Runtime cannot be downloaded here: {str(error)[-160:]}")
        raise


def packages_of_the_wheel(folder: Path) -> Path:
    """A folder with bpy and numpy alone: this environment holds the checkout and ONNX Runtime, too."""
    folder.mkdir()
    site = Path(importlib.util.find_spec("bpy").origin).parents[1]  # type: ignore[union-attr, arg-type]
    for name in ("bpy", "numpy", "numpy.libs"):
        if (site / name).exists():
            (folder / name).symlink_to(site / name)
    return folder


def session(tmp_path: Path, command: list[str], archive: Path, legacy: bool, packages: list[Path]) -> dict:
    """Run new_user.py, copied out of the checkout, with a home of its own; what it reported."""
    user, temporary = tmp_path / "user", tmp_path / "temporary"
    user.mkdir()
    temporary.mkdir()
    write_png(tmp_path / "chair.png", tiny_model.photo())
    script = shutil.copy(Path(__file__).with_name("new_user.py"), tmp_path)
    arguments = {
        "zip": str(archive),
        "legacy": legacy,
        "image": str(tmp_path / "chair.png"),
        "report": str(tmp_path / "report.json"),
        "packages": [str(path) for path in packages],
    }
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BLENDER"))
    }
    environment |= {
        "HOME": str(user),
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": "1",
        "BLENDER_USER_RESOURCES": str(user),
    }
    environment |= {
        f"BLENDER_USER_{kind}": str(user / kind.lower()) for kind in ("CONFIG", "SCRIPTS", "DATAFILES")
    }
    environment["BLENDER_USER_EXTENSIONS"] = str(user / "extensions")
    done = subprocess.run(
        [*command, script, "--", str(tmp_path / "arguments.json")],
        capture_output=True, text=True, timeout=400, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    report = tmp_path / "report.json"
    assert report.is_file(), f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    left = sorted(str(path.relative_to(temporary)) for path in temporary.rglob("*") if "recon" in path.name)
    return {**json.loads(report.read_text()), "temporary": left, "user": str(user)}


def check(seen: dict) -> None:
    """Everything that a new user can expect."""
    assert seen["error"] == "", seen["error"]
    assert not seen["checkout's blender_addon"]
    assert not seen["checkout's recon_core"]
    assert not seen["checkout's render_scripts"]
    for path in (seen["folder"], seen["runtime"]):
        assert path.startswith(seen["user"]), path  # from the zip, not from anywhere else
    for found in (seen["first"], seen["after_reload"]):
        assert (found["engine"], found["model_source"]) == ("BUILT_IN", "BUNDLED")
        assert found["points"] == 600
        assert found["parts"] == list(tiny_model.PARTS)
        assert found["camera"]
        assert found["color_by"] == "DISTANCE"
        record = found["record"]
        assert record["image"].startswith("chair")
        assert record["color"] == "looked up in the photo"
        assert "RMS distance" in record["alignment"]
        assert 0 < record["comparison"]["chamfer"] < 1
    assert seen["reloaded"]
    assert seen["registered"] == seen["after_reload"]["registered"] == seen["after_ten"]
    assert "RECON_PT_image" in seen["registered"]
    assert seen["left_when_off"] == seen["after_removal"] == []
    assert not seen["files_after_removal"]
    assert seen["connections"] == 0
    assert seen["temporary"] == []


def test_blender_3(tmp_path, model):
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("no blender on PATH")
    archive = build(tmp_path / "dist", model, "--legacy")
    command = [blender, "--background", "--factory-startup", "--python"]
    seen = session(tmp_path, command, archive, True, [])
    print(
        f"first reconstruction {seen.get('first', {}).get('seconds')} s, zip {archive.stat().st_size / 1e6:.1f} MB"
    )
    check(seen)


def test_extension(tmp_path, model):
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy wheel is not installed")
    archive = build(tmp_path / "dist", model)
    # -S: no site-packages, so that neither the checkout nor this environment's ONNX Runtime are found.
    packages = packages_of_the_wheel(tmp_path / "packages")
    seen = session(tmp_path, [sys.executable, "-I", "-S"], archive, False, [packages])
    print(
        f"first reconstruction {seen.get('first', {}).get('seconds')} s, zip {archive.stat().st_size / 1e6:.1f} MB"
    )
    check(seen)
