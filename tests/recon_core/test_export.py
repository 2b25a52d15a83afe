# SPDX-License-Identifier: Apache-2.0
"""The exported file gives what `recon reconstruct` gives, from crops of any size, and its card describes it."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_dataset import make_tiny_dataset
from two_categories import CATEGORIES, make_two_categories
from typer.testing import CliRunner

from recon_core import cli
from recon_core.canonical_frame import write_canonical
from recon_core.data.augment import compose_input
from recon_core.data.crop import crop_square
from recon_core.errors import CheckpointError, ConfigError, MissingDependency
from recon_core.geometry.mirror import between_opinions
from recon_core.geometry.solid import solid_points
from recon_core.inference.export import export_run
from recon_core.inference.onnx_model import halfway, solid_points_fixed
from recon_core.inference.reconstruct import reconstruct_image
from recon_core.io.images import write_png
from recon_core.io.weights import load_tensors, save_tensors
from recon_core.methods.recipe import load_recipe
from recon_core.methods.run import load_run
from recon_core.models.pose import six_to_matrix
from recon_core.pointcloud import Points
from recon_core.training.checkpoints import latest_checkpoint
from recon_core.training.start import TrainRequest, start_training

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

RECIPES = ("splat", "splat_full", "splat_parts", "splat_unposed", "told")
SMALL = (
    "model.points=200", "model.width=8", "model.features=64", "model.hidden=64", "optim.objects=2",
    "optim.views=2", "optim.steps=4", "data.mask_size=32",
)  # fmt: skip
QUICK_SEARCH = (
    "pose.hypotheses=3",
    "pose.bootstrap={templates: 2, azimuths: 8, elevations_deg: [10], points: 60, first_iterations: 9, iterations: 9}",
)
# Two categories, told from the input, and from where it was seen.
TOLD = (
    "model.heads=[xyz, opacity, color, parts, category]", "pose.student={hypotheses: 3}",
    'terms=[{"kind": "splat_mask"}, {"kind": "category"}]',
)  # fmt: skip
TURN = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A run of each recipe, a few steps long, whose opacities are scattered so that points are faint and solid."""
    root = tmp_path_factory.mktemp("export")
    data = make_tiny_dataset(root / "data", objects=4, views=3)
    several = make_two_categories(root / "several", objects=4, views=3)
    found = {}
    for recipe in RECIPES:
        search = QUICK_SEARCH if recipe == "splat_unposed" else ()
        own, name = (several, "splat_full") if recipe == "told" else (data, recipe)
        request = TrainRequest(
            own, name, root / recipe, (*SMALL, *search, *(TOLD if recipe == "told" else ())), device="cpu", threads=1
        )  # fmt: skip
        found[recipe] = start_training(request).run
        scatter(found[recipe])
    steps = load_run(found["splat_unposed"], "cpu").card["steps"]
    write_canonical(found["splat_unposed"], {"rotation": TURN, "split": "val"}, steps, "data")
    return found


def scatter(run: Path) -> None:
    """Give the network more to disagree about: opacities from 0 to 1, heads that depend on the image."""
    path = latest_checkpoint(run) / "weights.safetensors"
    tensors = load_tensors(path)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if name.startswith("decoder.heads.") and name.endswith("weight"):
            tensors[name] = tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        if name == "decoder.heads.opacity.bias":
            tensors[name] = -1 + 3 * torch.randn(tensor.shape, generator=generator)
    save_tensors(path, tensors)


@pytest.fixture(scope="module")
def models(runs, tmp_path_factory) -> dict[str, Path]:
    """The exported file of each run."""
    folder = tmp_path_factory.mktemp("models")
    return {recipe: export_run(run, folder / f"{recipe}.onnx").model for recipe, run in runs.items()}


def outputs(model: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime gives for an image (H,W,4)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": image[None]}), strict=True))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A blotchy ellipse off the centre, with a soft rim, before transparent noise (H,W,4)."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:height, :width]
    reach = np.hypot((u - 0.45 * width) / (0.3 * width), (v - 0.52 * height) / (0.4 * height))
    blotches = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3)).repeat(9, 0).repeat(9, 1)
    alpha = np.clip((1.03 - reach) * 600, 0, 255)
    return np.dstack((blotches[:height, :width], alpha)).astype(np.uint8)


@pytest.mark.parametrize("recipe", RECIPES)
def test_result_equals_reconstruct(runs, models, recipe, tmp_path):
    """The same crop to both: points, opacity, colours, labels and pose agree, replaced points included."""
    run = load_run(runs[recipe], "cpu")
    for seed, (height, width) in enumerate([(64, 64), (180, 130), (90, 600)]):
        path = tmp_path / f"{seed}.png"
        write_png(path, picture(height, width, seed))
        expected = reconstruct_image(path, run)
        found = outputs(models[recipe], expected.crop)
        np.testing.assert_allclose(found["xyz"], expected.cloud.xyz, atol=1e-4)
        np.testing.assert_allclose(found["opacity"], expected.cloud.opacity, atol=1e-4)
        assert found["opacity"].min() >= 0.1
        if recipe in ("splat_full", "told"):
            levels = found["color"] * 255
            np.testing.assert_allclose(levels, expected.cloud.colors, atol=0.5 + 255e-3)
            own = found["parts"][:, : len(expected.part_names)]
            certain = np.sort(own, 1)
            certain = certain[:, -1] - certain[:, -2] > 1e-4
            assert certain.sum() > 150
            labels = own.argmax(1) + 1
            np.testing.assert_array_equal(labels[certain], expected.cloud.labels[certain])
            np.testing.assert_allclose(found["parts"].sum(1), 1, atol=1e-5)
        if recipe == "told":
            best = int(found["category"].argmax())
            assert expected.category == list(CATEGORIES)[best]
            np.testing.assert_allclose(found["category"][best], expected.category_probability, atol=1e-4)
        if recipe in ("splat_unposed", "told"):
            turned = expected.camera.world_to_cam[0, :3, :3].numpy()
            np.testing.assert_allclose(found["rotation"], turned, atol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_file_equals_torch_on_any_input(runs, models, recipe):
    """Noise, an empty and a full mask: the same numbers as predict's to 1e-4."""
    run = load_run(runs[recipe], "cpu")
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (64, 64, 4)).astype(np.uint8)
    turn = np.array(TURN) if recipe == "splat_unposed" else np.eye(3)
    for alpha in (noise[..., 3], 0, 255):
        crop = np.dstack((noise[..., :3], np.broadcast_to(alpha, (64, 64)))).astype(np.uint8)
        expected, found = run.predict(crop[None]), outputs(models[recipe], crop)
        np.testing.assert_allclose(found["xyz"], expected.points.xyz[0].numpy() @ turn.T, atol=1e-4)
        np.testing.assert_allclose(found["opacity"], expected.points.opacity[0].numpy(), atol=1e-4)
        if expected.points.color is not None:
            np.testing.assert_allclose(found["color"], expected.points.color[0].numpy(), atol=1e-4)
            probabilities = expected.points.part_logits[0].softmax(-1).numpy()
            np.testing.assert_allclose(found["parts"], probabilities, atol=1e-4)
        if expected.rotation is not None:
            np.testing.assert_allclose(found["rotation"], expected.rotation[0].numpy() @ turn.T, atol=1e-4)
        if recipe == "told":
            for name, value in {"rotations": expected.hypotheses, "rotation_scores": expected.scores}.items():
                np.testing.assert_allclose(found[name], value[0].numpy(), atol=1e-4)
            np.testing.assert_allclose(found["category"], expected.category[0].numpy(), atol=1e-4)
            best = found["rotation_scores"].argmax()
            np.testing.assert_array_equal(found["rotation"], found["rotations"][best])


@pytest.fixture(scope="module")
def first_part(tmp_path_factory) -> Path:
    """A graph that ends with the composed input."""
    from onnx import TensorProto, helper

    from recon_core.inference.onnx_builder import IR_VERSION, OPSET, Graph
    from recon_core.inference.onnx_input import add_input

    graph = Graph()
    name = add_input(graph, "image", 64, 0.5)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 4])
    result = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 64, 64])
    made = helper.make_graph(graph.nodes, "input", [image], [result], graph.initializers)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )  # fmt: skip
    path = tmp_path_factory.mktemp("input") / "input.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "shape",
    [(64, 64), (1, 1), (37, 37), (90, 90), (128, 128), (300, 300), (61, 200), (500, 400), (1000, 1000)],
)
def test_crops_of_any_size_are_resized_as_in_training(first_part, shape):
    """One grey level in few pixels at most; exact at the model's own size."""
    image = picture(*shape) if min(shape) > 9 else np.full((*shape, 4), 200, np.uint8)
    (found,) = outputs(first_part, image).values()
    crop = image if shape == (64, 64) else crop_square(image, (shape[1] / 2, shape[0] / 2, max(shape)), 64)
    expected = compose_input(torch.from_numpy(crop)[None].permute(0, 3, 1, 2).float() / 255).numpy()
    apart = np.abs(found - expected)
    assert apart.max() <= 2.01 / 255
    assert apart.mean() < 1e-4
    if shape == (64, 64):
        assert apart.max() < 1e-6


def test_a_larger_crop_gives_the_same_cloud(runs, models):
    """Fed a crop of 300 pixels, the file does what crop_square and predict do."""
    run, image = load_run(runs["splat_full"], "cpu"), picture(300, 300)
    crop = crop_square(image, (150.0, 150.0, 300.0), 64)
    expected = run.predict(crop[None]).points
    found = outputs(models["splat_full"], image)
    np.testing.assert_allclose(found["xyz"], expected.xyz[0].numpy(), atol=1e-3)
    np.testing.assert_allclose(found["color"], expected.color[0].numpy(), atol=1e-3)


@pytest.mark.parametrize("solid", [0, 1, 2, 3, 100, 299, 300])
def test_fixed_shapes_replace_the_same_points(solid, generator):
    """Whatever the number of solid points, from none to all."""
    opacity = torch.full((1, 300), 0.05)
    opacity[0, torch.randperm(300, generator=generator)[:solid]] = 0.6
    points = Points(
        torch.rand(1, 300, 3, generator=generator) - 0.5,
        opacity,
        torch.rand(1, 300, 3, generator=generator),
        torch.randn(1, 300, 2, generator=generator),
    )
    expected, found = solid_points(replace(points)), solid_points_fixed(replace(points))
    for name in ("xyz", "opacity", "color", "part_logits"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=0)


def test_rotations_halfway_as_by_singular_values(generator):
    """Near, far and opposite pairs."""
    first = six_to_matrix(torch.randn(200, 6, generator=generator))
    second = six_to_matrix(torch.randn(200, 6, generator=generator))
    near = six_to_matrix(first[:, [1, 0]].flatten(1) + 0.2 * torch.randn(200, 6, generator=generator))
    for other in (second, near, first):
        # At the border of "opposite" the two ways may decide differently.
        clear = ((first * other).sum((1, 2)).abs()) > 1e-4
        difference = (halfway(first, other) - between_opinions(first, other))[clear]
        assert difference.abs().max() < 1e-4


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("dpc", "dpc"),
        ("capnet", "points"),
        ("differ", "differ"),
        ("resnet18", "points"),
        ("{kind: conv, blocks: 1}", "{kind: points, pairs: 0.8}"),
    ],
)
@pytest.mark.slow
def test_every_network_of_points_exports(runs, tmp_path, encoder, decoder):
    """Random weights of the other encoders and decoders: torch and ONNX Runtime agree."""
    sizes = [f"model.{name}" for name in ("width=8", "features=32", "hidden=32", "points=64")]
    heads = "[xyz, opacity]" if "points" in decoder else "[xyz]"
    chosen = [f"model.encoder={encoder}", f"model.decoder={decoder}", f"model.heads={heads}"]
    run = load_run(runs["splat"], "cpu")
    run.config = load_recipe("splat", [*sizes, *chosen])
    torch.manual_seed(0)
    run.network = run.config.network(4).eval()
    from recon_core.inference.export import _frame, build_model

    path = tmp_path / "model.onnx"
    path.write_bytes(build_model(run, _frame(run))[0])
    crop = picture(64, 64)
    expected = run.predict(crop[None]).points.xyz[0].numpy()
    np.testing.assert_allclose(outputs(path, crop)["xyz"], expected, atol=1e-4)


def test_card_describes_the_file(models):
    """Everything that the brief of a card names, and a hash that fits."""
    card = json.loads(models["splat_full"].with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(models["splat_full"].read_bytes()).hexdigest()
    assert card["bytes"] == models["splat_full"].stat().st_size
    parts = card["parts"]["chair"]
    assert [part["name"] for part in parts] == ["back", "seat", "leg", "arm"]
    assert [part["id"] for part in parts] == [1, 2, 3, 4]
    assert len({tuple(part["color"]) for part in parts}) == 4
    assert card["categories"] == ["chair"]
    assert card["input"]["size"] == 64
    assert card["input"]["margin"] == pytest.approx(1.15)
    assert card["pose"] is None
    assert list(card["outputs"]) == ["xyz", "opacity", "color", "parts"]
    assert {"recipe", "steps", "frame", "data", "licence", "metrics"} <= set(card)
    limits = " ".join(card["limits"])
    assert "Knows only: chair." in limits
    assert "64 x 64 pixels" in limits
    assert "no camera pose" in limits
    assert "no parts" not in limits  # it predicts them
    told = json.loads(models["told"].with_suffix(".json").read_text())
    names = {category: [part["name"] for part in parts] for category, parts in told["parts"].items()}
    assert names == CATEGORIES
    assert told["pose"] == {"learnt": False, "distance": 2.0}
    assert told["frame"].startswith("object")
    assert list(told["outputs"])[4:] == ["rotation", "rotations", "rotation_scores", "category"]
    assert not any("Does not say" in limit or "Orientation" in limit for limit in told["limits"])
    unposed = json.loads(models["splat_unposed"].with_suffix(".json").read_text())
    assert unposed["pose"] == {"learnt": True, "distance": 2.0}
    assert unposed["frame"].startswith("object")
    assert "rotation" in unposed["outputs"]


def test_weights_are_in_the_one_file(models):
    """No external data; the file passes ONNX's own check."""
    model = onnx.load(models["splat"], load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert all(one.data_location == onnx.TensorProto.DEFAULT for one in model.graph.initializer)
    assert model.opset_import[0].version == 18


def test_without_the_extra_it_says_what_to_install(runs, tmp_path, monkeypatch):
    """One sentence with the pip line; nothing is written."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependency, match=r"pip install 'recon3d\[onnx\]'"):
        export_run(runs["splat"], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused(runs, tmp_path, monkeypatch):
    """Another ending, no run, an operation outside the table."""
    with pytest.raises(ConfigError, match=r"must end in \.onnx"):
        export_run(runs["splat"], tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        export_run(tmp_path / "nothing", tmp_path / "m.onnx")
    from recon_core.inference import onnx_rules

    monkeypatch.delitem(onnx_rules.RULES, "convolution")
    with pytest.raises(ConfigError, match="'convolution'"):
        export_run(runs["splat"], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_command_line(runs, tmp_path, monkeypatch, capsys):
    """`recon export` writes both files; a mistake is one line and an exit status."""
    out = tmp_path / "sub" / "m.onnx"
    done = CliRunner().invoke(cli.app, ["export", str(runs["splat"]), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "200 points" in done.output
    assert {path.name for path in out.parent.iterdir()} == {"m.onnx", "m.json"}
    monkeypatch.setattr(sys, "argv", ["recon", "export", str(tmp_path), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: The run folder")
