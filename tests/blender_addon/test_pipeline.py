# SPDX-License-Identifier: Apache-2.0
"""What the add-on makes of an image with an exported model equals what `recon reconstruct` makes of it with the run."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import make_tiny_dataset
from two_categories import CATEGORIES, make_two_categories

pytest.importorskip("bpy", reason="the bpy wheel, which brings mathutils, is not installed")
from blender_addon import engine_onnx, pipeline
from blender_addon.jobs import Job, UserError
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
PARTS = {"chair": ["back", "seat", "leg"], "ball": ["shell", "core"]}
TOLD = ("model.heads=[xyz, opacity, color, parts, category]", "pose.student={hypotheses: 3}")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["splat_full", "splat_unposed", "told"])
def test_equals_reconstruct(recipe: str, tmp_path: Path):
    import tiny_model

    from recon_core.inference.export import export_run

    make = make_two_categories if recipe == "told" else make_tiny_dataset
    data = make(tmp_path / "data", objects=4, views=3)
    small = SMALL if recipe == "splat_unposed" else SMALL[:-2] + (TOLD if recipe == "told" else ())
    request = TrainRequest(
        data, recipe.replace("told", "splat_full"), tmp_path / "run", small, device="cpu", threads=1
    )
    folder = start_training(request).run
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
    assert found.category == expected.category
    if recipe != "splat_unposed":
        assert np.abs(colors.astype(int) - wanted).max() <= 1
        assert found.cloud.parts == expected.part_names
        assert (found.cloud.labels == expected.cloud.labels).mean() > 0.99
    if recipe == "told":
        assert found.category in CATEGORIES
        assert found.cloud.parts == CATEGORIES[found.category]
        assert found.probability == pytest.approx(expected.category_probability, abs=1e-3)
    if recipe == "splat_unposed":
        # Points beside the mask may lie equally near to two pixels of its rim.
        assert (colors == wanted).all(1).mean() > 0.9
    if recipe != "splat_full":
        assert found.camera is not None
        assert expected.camera is not None
        np.testing.assert_allclose(found.camera.world_to_cam, expected.camera.world_to_cam[0], atol=1e-3)
        np.testing.assert_allclose(found.camera.focal_px, expected.camera.fx.item(), rtol=1e-3)
        np.testing.assert_allclose(found.camera.cx, expected.camera.cx.item(), atol=0.2)


@pytest.mark.parametrize(("scores", "category"), [((0.9, 0.1), "chair"), ((0.2, 0.8), "ball")])
def test_parts_are_those_of_the_category(scores, category, tmp_path: Path):
    """A model that says which category it sees: names, labels among them alone, confidence, and the words about it."""
    import tiny_model

    values = {"category": np.float32(scores)}
    path = tiny_model.write_model(tmp_path / "m.onnx", with_pose=False, more=values)
    legend = {one: [{"id": i, "name": n} for i, n in enumerate(names, 1)] for one, names in PARTS.items()}
    tiny_model.write_card(path, categories=list(PARTS), parts=legend)
    answer = engine_onnx.predict(engine_onnx.load_model(path), tiny_model.photo(32, 32))
    names, shares = PARTS[category], tiny_model.fixed_cloud()["parts"]
    assert (answer.category, answer.cloud.parts) == (category, names)
    assert answer.probability == pytest.approx(max(scores))
    own = shares[:, : len(names)]
    np.testing.assert_array_equal(answer.cloud.labels, own.argmax(1) + 1)
    assert answer.cloud.confidence is not None
    np.testing.assert_allclose(answer.cloud.confidence, own.max(1) / own.sum(1), atol=1e-6)
    assert answer.cloud.comments["category"] == category
    assert pipeline.category_text(category, 0.875) == f"{category} (88% sure)"
    engine_onnx.forget_models()
    tiny_model.write_card(path, categories=["chair"])  # fewer than the file has
    with pytest.raises(UserError, match="cannot be used") if category == "ball" else nullcontext():
        engine_onnx.predict(engine_onnx.load_model(path), tiny_model.photo(32, 32))


def test_parts_without_a_category_have_all_names():
    """Cards of one list and cards by category, of models that do not tell categories apart."""
    assert engine_onnx.part_names(PARTS, "") == ["back/shell", "seat/core", "leg"]
    assert engine_onnx.part_names({"": ["a"]}, "") == ["a"]
    assert engine_onnx.part_names({}, "chair") == []
