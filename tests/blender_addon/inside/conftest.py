# SPDX-License-Identifier: Apache-2.0
"""Tests that run inside Blender: the bpy wheel, or an executable in the background (inside_blender.py)."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "blender_addon")]

import bpy  # noqa: E402

_status = 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The bpy wheel of 4.5 hangs at the interpreter's exit while anything is registered."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


@pytest.fixture(autouse=True)
def addon():
    """An empty file and the registered add-on; whatever a test leaves behind fails it."""
    import blender_addon
    from blender_addon import session

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    yield blender_addon
    blender_addon.unregister()
    assert not session.jobs.active
    assert not bpy.app.timers.is_registered(session.poll)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from tiny_model import write_model

    return write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def picture():
    """The test picture as an image of the file."""
    return new_image("chair.png")


def new_image(name: str, rgba=None):
    import numpy as np
    from tiny_model import photo

    rgba = photo() if rgba is None else rgba
    image = bpy.data.images.new(name, rgba.shape[1], rgba.shape[0], alpha=True)
    image.pixels.foreach_set((rgba[::-1] / 255).astype(np.float32).ravel())
    return image


@pytest.fixture
def settings(model: Path, picture):
    """The panel's settings, ready to reconstruct."""
    found = bpy.context.scene.recon
    found.image, found.model_source, found.model_path = picture, "FILE", str(model)
    return found


@pytest.fixture
def data(tmp_path: Path):
    """The settings of the section Data, small, in a folder of their own."""
    found = bpy.context.scene.recon_data
    found.folder, found.category = str(tmp_path / "my sets"), "Stool"
    found.views, found.size, found.samples = 3, 64, 1
    return found
