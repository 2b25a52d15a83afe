# SPDX-License-Identifier: Apache-2.0
"""What the add-on makes of an image with an exported model equals what `recon reconstruct` makes of it with the run."""

from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import make_tiny_dataset

from blender_addon import pipeline
from blender_addon.jobs import Job
from recon_core.canonical_frame import write_canonical
from recon_core.inference.reconstruct import reconstruct_image
from recon_core.io.images import read_image, write_png
from recon_core.methods.run import load_run
from recon_core.training.start import TrainRequest, start_training

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

TURN = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
SMALL = (
    *("model.points=200", "model.width=8", "model.features=64", "model.hidden=64", "optim.objects=2"),
    *("optim.views=2", "optim.steps=4", "data.mask_size=32", "pose.hypotheses=3"),
    "pose.bootstrap={templates: 2, azimuths: 8, elevations_deg: [10], points: 60, first_iterations: 9, iterations: 9}",
)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["splat_full", "splat_unposed"])
def test_equals_reconstruct(recipe: str, tmp_path: Path):
    import tiny_model

    from recon_core.inference.export import export_run

    data = make_tiny_dataset(tmp_path / "data", objects=4, views=3)
    small = SMALL if recipe == "splat_unposed" else SMALL[:-2]
    folder = start_training(TrainRequest(data, recipe, tmp_path / "run", small, device="cpu", threads=1)).run
    if recipe == "splat_unposed":
        write_canonical(
            folder, {"rotation": TURN, "split": "val"}, load_run(folder, "cpu").card["steps"], "data"
        )
    model = export_run(folder, tmp_path / "model.onnx").model
    write_png(tmp_path / "photo.png", tiny_model.photo(700, 500))
    expected = reconstruct_image(tmp_path / "photo.png", load_run(folder, "cpu"))
    rgba = read_image(tmp_path / "photo.png").rgba
    idle = Job("", lambda job: None, lambda result: None)
    found = pipeline.reconstruct(pipeline.Request(rgba, "AUTO", None, model), idle)
    np.testing.assert_array_equal(found.crop, expected.crop)
    np.testing.assert_allclose(found.cloud.xyz, expected.cloud.xyz, atol=1e-3)
    colors, wanted = found.cloud.colors, expected.cloud.colors
    assert colors is not None
    assert wanted is not None
    if recipe == "splat_full":
        assert np.abs(colors.astype(int) - wanted).max() <= 1
        assert found.cloud.parts == expected.part_names
    else:
        assert found.camera is not None
        assert expected.camera is not None
        # Points beside the mask may lie equally near to two pixels of its rim.
        assert (colors == wanted).all(1).mean() > 0.9
        np.testing.assert_allclose(found.camera.world_to_cam, expected.camera.world_to_cam[0], atol=1e-3)
        np.testing.assert_allclose(found.camera.focal_px, expected.camera.fx.item(), rtol=1e-3)
        np.testing.assert_allclose(found.camera.cx, expected.camera.cx.item(), atol=0.2)
