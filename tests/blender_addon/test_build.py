# SPDX-License-Identifier: Apache-2.0
"""The extension's zip, built and validated by Blender's own tool."""

import ast
import hashlib
import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import pytest
import tiny_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import build_extension

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("bpy") is None, reason="the bpy wheel is not installed"
)


def test_zip_is_valid_and_holds_what_runs(tmp_path):
    tiny_model.write_model(tmp_path / "m.onnx")
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
    with zipfile.ZipFile(path) as archive:
        assert b'platforms = ["linux-x64"]' in archive.read("blender_manifest.toml")
        assert archive.read("models/default.onnx") == (tmp_path / "m.onnx").read_bytes()
        assert archive.read("models/default.json") == (tmp_path / "m.json").read_bytes()


def test_zip_brings_the_wheel_of_the_python_asked_for(tmp_path, monkeypatch):
    run = build_extension.subprocess.run

    def fake(
        command, **options
    ):  # pip names wheels so; Blender's own tool, which reads the names, is the real one
        if "download" not in command:
            return run(command, **options)
        python, folder = (command[command.index(name) + 1] for name in ("--python-version", "--dest"))
        tag = "cp" + python.replace(".", "")
        (Path(folder) / f"onnxruntime-1.31.1-{tag}-{tag}-manylinux_2_28_x86_64.whl").write_bytes(b"wheel")
        return run([sys.executable, "-c", ""], **options)

    monkeypatch.setattr(build_extension.subprocess, "run", fake)
    assert build_extension.main(["--python", "3.13", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("-linux-x64-py313.zip")
    wheel = "wheels/onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path) as archive:
        assert wheel in archive.namelist()
        assert f'wheels = ["./{wheel}"]'.encode() in archive.read("blender_manifest.toml")


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


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "changed or cut off"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "not a model's card"),
        (lambda path: tiny_model.write_card(path, input={}), "lacks what the add-on needs"),
    ],
)
def test_a_model_that_would_be_refused_is_not_bundled(tmp_path, capsys, spoil, said):
    spoil(tiny_model.write_model(tmp_path / "m.onnx"))
    arguments = ["--no-wheels", "--output", str(tmp_path / "dist"), "--model", str(tmp_path / "m.onnx")]
    assert build_extension.main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "dist").iterdir())


def test_half_precision_keeps_card_and_model_together(tmp_path):
    model = tiny_model.write_model(tmp_path / "m.onnx")
    build_extension.copy_model(model, tmp_path / "models", half=True)  # loads what it has written
    card = json.loads((tmp_path / "models" / "default.json").read_text())
    data = (tmp_path / "models" / "default.onnx").read_bytes()
    assert (card["weights"], card["bytes"]) == ("float16", len(data))
    assert card["sha256"] == hashlib.sha256(data).hexdigest()
    assert card["categories"] == ["box"]


def test_nothing_needs_the_network():
    """No module that could reach one is imported, so bpy.app.online_access has nothing to allow or forbid."""
    networked = {
        "socket",
        "ssl",
        "urllib",
        "http",
        "ftplib",
        "smtplib",
        "requests",
        "xmlrpc",
        "socketserver",
        "asyncio",
    }
    for path in build_extension.ADDON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.split(".")[0] for name in names} & networked, path
    manifest = (build_extension.ADDON / "blender_manifest.toml").read_text()
    assert "network" not in manifest  # a permission that nobody uses


def test_versions_agree():
    import re

    import blender_addon

    assert ".".join(map(str, blender_addon.bl_info["version"])) == build_extension.version()
    manifest = (build_extension.ADDON / "blender_manifest.toml").read_text()
    described = re.search(r'^tagline = "(.*)"', manifest, re.MULTILINE)
    assert described is not None
    assert described[1] == blender_addon.bl_info["description"]
