# SPDX-License-Identifier: Apache-2.0
"""Box, strokes and a user's ONNX model: what they change, and what is refused in which words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from recon_core.errors import ConfigError, InputError, MissingDependency
from recon_core.inference import segmenter as segmenter_module
from recon_core.inference.components import keep_touching
from recon_core.inference.first_guess import BACKGROUND, OBJECT
from recon_core.inference.foreground import find_mask
from recon_core.inference.hints import MaskHints, Region, check_hints, corners_of
from recon_core.inference.reconstruct import reconstruct_all
from recon_core.inference.scribbles import read_scribbles
from recon_core.inference.segmenter import load_segmenter
from recon_core.io.images import LoadedImage, write_png

H, W = 110, 150


def _two_things() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H,W,3) of two blobs in a garden, red left and blue right, and the mask of each."""
    rng = np.random.default_rng(2)
    noise = gaussian_filter(rng.normal(0, 1, (H, W)), 3)
    rgb = np.array([90, 115, 80]) + (noise / noise.std())[..., None] * [18, 24, 14]
    left, right = np.zeros((2, H, W), bool)
    left[35:80, 20:60], right[30:75, 95:130] = True, True
    rgb[left], rgb[right] = (170, 60, 50), (50, 60, 170)
    rgb = gaussian_filter(rgb, (0.6, 0.6, 0)) + rng.normal(0, 2, (H, W, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), left, right


def _loaded(rgb: np.ndarray) -> LoadedImage:
    return LoadedImage(np.dstack((rgb, np.full(rgb.shape[:2], 255, np.uint8))), False)


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(((mask > 127) & truth).sum() / ((mask > 127) | truth).sum())


def _strokes(path: Path, canvas: np.ndarray, colors=((0, 255, 0), (255, 0, 0))) -> Path:
    """A stroke on the right thing, strokes on the left one and on the garden, saved on a canvas (H,W,3 or 4)."""
    picture = canvas.copy()
    opaque = (255,) * (canvas.shape[2] - 3)
    picture[50:54, 100:125] = (*colors[0], *opaque)
    picture[55:58, 25:55] = picture[8:11, 10:140] = (*colors[1], *opaque)
    write_png(path, picture)
    return path


def test_a_box_chooses_between_two_things():
    rgb, left, right = _two_things()
    for box, truth in (((17, 32, 46, 51), left), ((92, 27, 41, 51), right)):
        mask, source = find_mask(_loaded(rgb), hints=MaskHints(box_px=box))
        assert _iou(mask, truth) > 0.9
        assert source == "graph cut in the given box"


def test_nothing_outside_the_box_whatever_the_method():
    rgb, left, _ = _two_things()
    rgb[~left] = (200, 205, 210)
    alpha = LoadedImage(np.dstack((rgb, left * np.uint8(255))), True)
    box = (15, 30, 30, 60)  # cuts the thing
    expected = np.zeros((H, W), bool)
    expected[30:90, 15:45] = left[30:90, 15:45]
    for image, method in (
        (alpha, "auto"),
        (alpha, "alpha"),
        (_loaded(rgb), "auto"),
        (_loaded(rgb), "border"),
    ):
        mask, source = find_mask(image, method=method, hints=MaskHints(box_px=box))
        assert source.endswith("in the given box")
        assert _iou(mask, expected) > 0.9
        assert not mask[:, 45:].any()


@pytest.mark.parametrize("canvas", ["transparent", "grey", "photograph"])
@pytest.mark.parametrize("size", [1, 2])
def test_strokes_on_any_canvas(tmp_path, canvas, size):
    rgb, _, right = _two_things()
    start = {
        "transparent": np.zeros((H, W, 4), np.uint8),
        "grey": np.full((H, W, 3), 128, np.uint8),
        "photograph": rgb,
    }[canvas]
    path = _strokes(tmp_path / "strokes.png", start)
    if size == 2:
        picture = Image.open(path)
        picture.resize((2 * W, 2 * H), Image.Resampling.NEAREST).save(path)
    mask, source = find_mask(_loaded(rgb), hints=MaskHints(scribbles=path))
    assert _iou(mask, right) > 0.9
    assert source == "graph cut from the strokes of strokes.png"


def test_white_and_black_are_object_and_background(tmp_path):
    rgb, _, right = _two_things()
    path = _strokes(tmp_path / "s.png", np.zeros((H, W, 4), np.uint8), ((255, 255, 255), (0, 0, 0)))
    strokes = read_scribbles(path, rgb)
    assert strokes[52, 110] == OBJECT
    assert strokes[56, 30] == strokes[9, 80] == BACKGROUND
    assert (strokes != 0).sum() == 4 * 25 + 3 * 30 + 3 * 130
    assert _iou(find_mask(_loaded(rgb), hints=MaskHints(scribbles=path))[0], right) > 0.9


def test_strokes_are_obeyed_and_go_with_a_box(tmp_path):
    rgb = _two_things()[0]
    picture = np.zeros((H, W, 4), np.uint8)
    picture[40:60, 95:105] = (255, 0, 0, 255)  # part of the right thing is not wanted
    picture[50:54, 110:125] = (0, 255, 0, 255)
    write_png(tmp_path / "s.png", picture)
    hints = MaskHints((92, 27, 41, 51), tmp_path / "s.png")
    mask, source = find_mask(_loaded(rgb), hints=hints)
    assert not mask[41:59, 96:104].any()
    assert (mask[50:54, 110:125] == 255).all()
    assert source.endswith("s.png in the given box")


def test_thin_strokes_survive_shrinking():
    strokes = np.zeros((600, 900), np.int8)
    strokes[300, 100:800], strokes[10:590, 50] = OBJECT, BACKGROUND
    known = Region(slice(None), slice(None), np.zeros((600, 900), bool), strokes).known((60, 90))
    assert known is not None
    assert (known[30, 10:80] == OBJECT).all()
    assert (known[1:59, 5] == BACKGROUND).all()
    assert (known != 0).sum() == 70 + 58


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-300, 300)] * 4))
def test_any_box_is_cut_to_the_image_or_refused(box):
    inside = [min(box[k] + box[k + 2], size) - max(box[k], 0) for k, size in ((0, W), (1, H))]
    if min(inside) < 6:
        with pytest.raises(InputError, match="--box"):
            corners_of((box[0], box[1], min(box[2], 1), box[3]), W, H, "photo.png")
        return
    if min(inside) < 8:  # what rounding to whole pixels decides
        return
    left, top, right, bottom = corners_of(box, W, H, "photo.png")
    assert 0 <= left < right <= W
    assert 0 <= top < bottom <= H
    assert left <= max(box[0], 0) + 1e-9
    assert right >= min(box[0] + box[2], W) - 1e-9


def test_what_excludes_each_other(tmp_path):
    image, box = _loaded(_two_things()[0]), MaskHints(box_px=(0, 0, 20, 20))
    with pytest.raises(ConfigError, match=r"--mask m\.png already says"):
        find_mask(image, "m.png", hints=box)
    with pytest.raises(ConfigError, match="exclude each other"):
        find_mask(image, hints=MaskHints(scribbles=Path("s.png"), segmenter=Path("m.onnx")))
    with pytest.raises(ConfigError, match="for graph cuts"):
        find_mask(image, method="border", hints=MaskHints(scribbles=Path("s.png")))
    with pytest.raises(ConfigError, match="replaces --foreground grabcut"):
        find_mask(image, method="grabcut", hints=MaskHints(segmenter=Path("m.onnx")))
    with pytest.raises(ConfigError, match="--box belongs to one image, but 2"):
        list(reconstruct_all(["a.png", "b.png"], None, tmp_path, hints=box))  # type: ignore[arg-type]
    check_hints(MaskHints(segmenter=Path("m.onnx")), None, images=2)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((200, 5, 50, 50), "less than 8 x 8"),
        ((5, 5, 0, 50), "last two positive"),
        ((5, 5, float("nan"), 5), "in pixels"),
    ],
)
def test_bad_boxes_are_refused(box, words):
    with pytest.raises(InputError, match=words):
        find_mask(_loaded(_two_things()[0]), name="photo.png", hints=MaskHints(box_px=box))


def test_bad_scribbles_are_refused(tmp_path):
    rgb = _two_things()[0]
    path = tmp_path / "s.png"
    for picture, words in (
        (np.zeros((H, W, 4), np.uint8), "has no strokes"),
        (np.full((H, W, 3), 128, np.uint8), "has no strokes"),
        (rgb, "has no strokes"),
        (np.zeros((50, 50, 4), np.uint8), "same aspect ratio"),
    ):
        write_png(path, picture)
        with pytest.raises(InputError, match=words):
            read_scribbles(path, rgb)


def test_components_that_touch_strokes():
    mask, seeds = np.zeros((2, 20, 20), bool)
    mask[2:6, 2:6], mask[10:16, 10:16] = True, True
    seeds[3, 3] = seeds[19, 19] = True
    assert keep_touching(mask, seeds).sum() == 16
    assert not keep_touching(mask, np.zeros((20, 20), bool)).any()


# --- a user's own model --------------------------------------------------------------------------------------


def _model(path: Path, shape, *, kind="float", outputs=("logits",), metadata=None, last=False) -> Path:
    """An ONNX file whose output is red minus green of its normalised input, a mask of red things."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, types = onnx.helper, {"float": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}
    weight = np.array([40.0, -40.0, 0.0], np.float32).reshape((1, 3, 1, 1) if not last else (1, 1, 1, 3))
    nodes = [
        helper.make_node("Cast", ["picture"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "weight"], ["parts"]),
        helper.make_node("ReduceSum", ["parts", "axis"], [outputs[0]], keepdims=1),
        *(helper.make_node("Identity", [outputs[0]], [name]) for name in outputs[1:]),
    ]
    constants = [
        onnx.numpy_helper.from_array(weight, "weight"),
        onnx.numpy_helper.from_array(np.array([3 if last else 1]), "axis"),
    ]
    inputs = [helper.make_tensor_value_info("picture", types[kind], shape)]
    results = [helper.make_tensor_value_info(name, types["float"], None) for name in outputs]
    model = helper.make_model(
        helper.make_graph(nodes, "red", inputs, results, constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


PLAIN = {"mean": "0,0,0", "std": "1,1,1"}


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 3, 64, 96), {"metadata": PLAIN}),
        (("n", 3, "h", "w"), {"metadata": PLAIN, "outputs": ("final", "side")}),
        ((1, 48, 48, 3), {"metadata": PLAIN, "last": True}),
        ((1, 3, 64, 64), {"kind": "uint8"}),
    ],
)
def test_a_users_model_of_any_layout(tmp_path, shape, options):
    rgb, left, _ = _two_things()
    path = _model(tmp_path / "red.onnx", shape, **options)
    mask, source = find_mask(_loaded(rgb), hints=MaskHints(segmenter=path))
    assert source == "segmenter red.onnx"
    assert _iou(mask, left) > 0.85
    mask, source = find_mask(_loaded(rgb), hints=MaskHints((15, 30, 20, 60), None, path))
    assert source == "segmenter red.onnx in the given box"
    assert not mask[:, 36:].any()


def test_normalisation_is_the_models_else_imagenets(tmp_path):
    rgb = np.full((32, 32, 3), 128, np.uint8)
    usual = load_segmenter(_model(tmp_path / "a.onnx", (1, 3, 32, 32)))
    np.testing.assert_allclose(
        usual._input(rgb)[0, :, 0, 0], (128 / 255 - np.array(usual.mean)) / usual.std, rtol=1e-6
    )
    assert usual.mean == (0.485, 0.456, 0.406)
    own = load_segmenter(_model(tmp_path / "b.onnx", (1, 3, 32, 32), metadata={"mean": "0.5, 0.5, 0.5"}))
    assert own.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 1, 64, 64), {"metadata": PLAIN}, "has the shape"),
        ((3, 64, 64), {}, "has the shape"),
        ((2, 3, 64, 64), {}, "has the shape"),
        ((1, 3, 5, 64), {}, "sides from 8"),
        ((1, 3, 64, 64), {"metadata": {"std": "0,1,1"}}, "metadata 'std'"),
        ((1, 3, 64, 64), {"metadata": {"mean": "half"}}, "metadata 'mean'"),
    ],
)
def test_models_that_do_not_fit_are_refused(tmp_path, shape, options, words):
    path = _model(tmp_path / "m.onnx", shape, **options)
    with pytest.raises(InputError, match=words):
        load_segmenter(path)


def test_files_that_are_no_models_are_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="does not exist"):
        load_segmenter(tmp_path / "none.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not an ONNX model"):
        load_segmenter(tmp_path / "junk.onnx")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[[[0.0, 1.0], [0.25, 0.5]]]]), [[0, 1], [0.25, 0.5]]),  # shares stay
        (np.array([[[[-50.0, 50.0], [0.0, 0.0]]]]), [[0, 1], [0.5, 0.5]]),  # logits
        (np.array([[[255, 0], [0, 51]]], np.uint8), [[1, 0], [0, 0.2]]),
        (np.array([[[[3.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [60.0, 0.0]]]]), [[0.047426, 0.5], [1, 0.5]]),
    ],
)
def test_outputs_become_shares(values, expected):
    np.testing.assert_allclose(segmenter_module._as_share(values, Path("m.onnx")), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((1, 5, 8, 8)), "shape"),
        (np.zeros((1, 10)), "shape"),
        (np.full((1, 1, 4, 4), np.nan), "finite"),
    ],
)
def test_outputs_that_are_no_mask_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        segmenter_module._as_share(values, Path("m.onnx"))


def test_without_onnxruntime_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"recon3d\[onnx\]"):
        load_segmenter(tmp_path / "m.onnx")
