# SPDX-License-Identifier: Apache-2.0
"""The extension's zip, built and validated by Blender's own tool."""

import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import build_extension

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("bpy") is None, reason="the bpy wheel is not installed"
)


def test_zip_is_valid_and_holds_what_runs(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"model")
    (tmp_path / "m.json").write_text(json.dumps({"version": 1}))
    out = tmp_path / "dist"
    arguments = ["--no-wheels", "--output", str(out), "--model", str(tmp_path / "m.onnx")]
    assert build_extension.main(arguments) == 0
    (path,) = out.iterdir()
    names = set(zipfile.ZipFile(path).namelist())
    expected = {
        "__init__.py",
        "blender_manifest.toml",
        "LICENSE",
        "models/default.onnx",
        "models/default.json",
    }
    assert expected | {"render_scripts/render_views.py"} <= names
    assert not [name for name in names if "__pycache__" in name or "torch" in name]
    assert b'platforms = ["linux-x64"]' in zipfile.ZipFile(path).read("blender_manifest.toml")


def test_legacy_zip_is_an_old_style_addon(tmp_path):
    assert build_extension.main(["--no-wheels", "--legacy", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    names = set(zipfile.ZipFile(path).namelist())
    assert "recon/__init__.py" in names
    assert "recon/blender_manifest.toml" not in names


def test_missing_card_is_one_sentence(tmp_path, capsys):
    (tmp_path / "m.onnx").write_bytes(b"model")
    arguments = ["--no-wheels", "--output", str(tmp_path), "--model", str(tmp_path / "m.onnx")]
    assert build_extension.main(arguments) == 1
    assert "m.json does not exist" in capsys.readouterr().err


def test_versions_agree():
    import re

    import blender_addon

    assert ".".join(map(str, blender_addon.bl_info["version"])) == build_extension.version()
    manifest = (build_extension.ADDON / "blender_manifest.toml").read_text()
    described = re.search(r'^tagline = "(.*)"', manifest, re.MULTILINE)
    assert described is not None
    assert described[1] == blender_addon.bl_info["description"]
