# SPDX-License-Identifier: Apache-2.0
"""NeRF and nerfstudio scenes: poses, lenses, masks, frames of other sizes and positions; nothing outside is read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import ious_of, run_import
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_dataset import make_tiny_dataset

from recon_core.data.dataset import Dataset
from recon_core.data.formats import transforms
from recon_core.data.formats.base import ImportOptions
from recon_core.data.formats.frame import object_from_source
from recon_core.data.formats.object_folder import write_object
from recon_core.errors import DatasetError

# The scene stands somewhere, at some size; +Z is up, and the object faces +X there.
CENTER, SCALE = np.array([0.7, -1.2, 0.4]), 3.0
WIDTH, HEIGHT, FOCAL = 96, 64, 150.0
VIEWS = 8


def scene_from_shapenet(xyz: np.ndarray) -> np.ndarray:
    """(x, y, z) -> scale (x, -z, y) + centre."""
    return np.stack((xyz[..., 0], -xyz[..., 2], xyz[..., 1]), -1) * SCALE + CENTER


def poses() -> list[np.ndarray]:
    """Camera-to-world matrices, OpenGL axes, that look at the object from around it."""
    result = []
    for index in range(VIEWS):
        azimuth, elevation = 0.4 + index * 2 * np.pi / VIEWS, 0.5 * np.sin(index) + 0.2
        back = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack((right, np.cross(back, right), back), 1)
        matrix[:3, 3] = CENTER + 3.2 * SCALE * back + 0.05 * SCALE * right
        result.append(matrix)
    return result


def seen_from(pose: np.ndarray, k1: float = 0.0) -> foreign.View:
    """The view cropped from a square one of the larger side; k1 bends rays as OpenCV's model does."""

    def rays(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = (u - 0.5) * WIDTH / FOCAL, (v - 0.5) * WIDTH / FOCAL
        for _ in range(30 if k1 else 0):  # the ray of a distorted position, by fixed point iteration
            r2 = x * x + y * y
            x, y = (u - 0.5) * WIDTH / FOCAL / (1 + k1 * r2), (v - 0.5) * WIDTH / FOCAL / (1 + k1 * r2)
        direction = np.stack((x, -y, -np.ones_like(x)), -1) @ pose[:3, :3].T
        return foreign.blender_to_shapenet((pose[:3, 3] - CENTER) / SCALE), foreign.blender_to_shapenet(
            direction
        )

    view = foreign.see(foreign.make_solid(), WIDTH, rays)
    rows = slice((WIDTH - HEIGHT) // 2, (WIDTH + HEIGHT) // 2)
    return foreign.View(view.rgb[rows], view.mask[rows], view.part[rows], view.depth[rows])


def write_scene(root: Path, k1: float = 0.0, masks: bool = False) -> Path:
    """A nerfstudio scene; with `masks` the images are opaque and masks stand beside them."""
    frames = []
    for index, pose in enumerate(poses()):
        view = seen_from(pose, k1)
        frame = {"file_path": f"images/{index:03d}.png", "transform_matrix": pose.tolist()}
        foreign.save(root / frame["file_path"], view.on_white if masks else view.rgba)
        if masks:
            frame["mask_path"] = f"masks/{index:03d}.png"
            foreign.save(root / frame["mask_path"], view.mask)
        frames.append(frame)
    document = {"camera_model": "OPENCV", "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    document |= {"w": WIDTH, "h": HEIGHT, "k1": k1, "frames": frames}
    (root / "transforms.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "toy")


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "toy"))


def truth(root: Path, name: str) -> np.ndarray:
    """True points in the object frame, through the matrix that the importer recorded."""
    matrix = np.array(foreign.transforms_of(root, name)["recon"]["object_from_source"])
    xyz = scene_from_shapenet(foreign.sample(foreign.make_solid(), 6000)[0])
    return xyz @ matrix[:3, :3].T + matrix[:3, 3]


def test_points_fill_the_masks(pristine: Path, tmp_path: Path) -> None:
    """The masks say where the object is and how large: centre near 0, diagonal near 1."""
    run_import("transforms", pristine, tmp_path / "out", "--category", "chair", "--up", "Z", "--front", "X")
    xyz = truth(tmp_path / "out", "chair/toy")
    ious = ious_of(tmp_path / "out", "chair/toy", xyz)
    assert min(ious) > 0.9, ious
    low, high = xyz.min(0), xyz.max(0)
    assert np.abs(low + high).max() / 2 < 0.06
    assert 0.8 < np.linalg.norm(high - low) < 1.1
    assert np.linalg.norm(xyz, axis=1).max() < 0.56
    assert xyz[xyz[:, 2] > 0.3][:, 1].mean() > 0.1  # --front X: the back is at +Y
    transforms = foreign.transforms_of(tmp_path / "out", "chair/toy")
    assert (transforms["w"], transforms["h"]) == (WIDTH, WIDTH)  # padded to a square


def test_given_centre_and_scale(pristine: Path, tmp_path: Path) -> None:
    """Exact, and recorded both ways."""
    run_import(
        "transforms",
        pristine,
        tmp_path / "out",
        "--center",
        *CENTER,
        "--scale",
        1 / SCALE,
        "--up",
        "Z",
        "--front",
        "X",
    )
    matrix = np.array(foreign.transforms_of(tmp_path / "out", "object/toy")["recon"]["object_from_source"])
    back = np.array(foreign.transforms_of(tmp_path / "out", "object/toy")["recon"]["source_from_object"])
    np.testing.assert_allclose(matrix @ [*CENTER, 1], [0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(matrix @ back, np.eye(4), atol=1e-9)
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.9


def test_smaller_square_images(pristine: Path, tmp_path: Path) -> None:
    """--size pads first, then resamples, and the cameras follow."""
    run_import("transforms", pristine, tmp_path / "out", "--size", 64)
    assert Dataset.open(tmp_path / "out").mask("object/toy", 0).shape == (64, 64)
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.87


def test_masks_beside_opaque_images(tmp_path: Path) -> None:
    """mask_path instead of transparency."""
    run_import("transforms", write_scene(tmp_path / "toy", masks=True), tmp_path / "out")
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.9


def test_lens_distortion_is_taken_out(tmp_path: Path) -> None:
    """Bent images become a pinhole's: close to those that were never bent, which the bent ones are not."""
    k1 = 8.0
    run_import("transforms", write_scene(tmp_path / "toy", k1=k1), tmp_path / "out")
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.9
    top = (WIDTH - HEIGHT) // 2
    found = Dataset.open(tmp_path / "out").mask("object/toy", 2)[top : top + HEIGHT] >= 128
    straight, bent = (seen_from(poses()[2], k).mask >= 128 for k in (0.0, k1))
    assert (bent != straight).sum() > 20
    assert (found != straight).sum() < 0.25 * (bent != straight).sum()


def test_synthetic_nerf(source: Path, tmp_path: Path) -> None:
    """transforms_train.json, an angle for the lens, no endings, no size, '..' nowhere."""
    document = json.loads((source / "transforms.json").read_text())
    angle = 2 * np.arctan(WIDTH / 2 / FOCAL)
    for frame in document["frames"]:
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
    (source / "transforms.json").unlink()
    short = {"camera_angle_x": angle, "frames": document["frames"]}
    (source / "transforms_train.json").write_text(json.dumps(short))
    run_import("transforms", source, tmp_path / "out")
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.9


def test_images_may_have_been_scaled_down(source: Path, tmp_path: Path) -> None:
    """Intrinsics for twice the size are halved."""
    document = json.loads((source / "transforms.json").read_text())
    for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
        document[key] *= 2
    (source / "transforms.json").write_text(json.dumps(document))
    run_import("transforms", source, tmp_path / "out")
    assert min(ious_of(tmp_path / "out", "object/toy", truth(tmp_path / "out", "object/toy"))) > 0.9


def test_a_native_object_is_a_scene(tmp_path: Path) -> None:
    """Folders of category and object are walked; cameras, masks and depth come out as they went in."""
    native = make_tiny_dataset(tmp_path / "native", objects=2, views=3, size=48)
    result = run_import("transforms", native, tmp_path / "out", "--normalise", "source")
    assert "left out in 2 objects: part and normal images" in result.output
    before, after = Dataset.open(native), Dataset.open(tmp_path / "out")
    assert after.objects() == before.objects()
    for name in before.objects():
        np.testing.assert_allclose(
            after.cameras(name).world_to_cam, before.cameras(name).world_to_cam, atol=1e-9
        )
        np.testing.assert_array_equal(after.mask(name, 1), before.mask(name, 1))
        np.testing.assert_allclose(after.depth(name, 1), before.depth(name, 1), atol=1e-4)


def edit(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change the document."""

    def apply(root: Path) -> None:
        document = json.loads((root / "transforms.json").read_text())
        change(document)
        (root / "transforms.json").write_text(json.dumps(document))

    return apply


def in_frame(**values: object) -> Callable[[Path], None]:
    """Change one frame."""
    return edit(lambda document: document["frames"][1].update(values))


def _secret(root: Path) -> None:
    foreign.save(root.parent / "secret.png", np.full((HEIGHT, WIDTH, 4), 128, np.uint8))
    in_frame(file_path="../secret.png")(root)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "path leads out": (_secret, "'../secret.png' must stay inside this folder"),
    "absolute path": (in_frame(file_path="/etc/passwd"), "must stay inside this folder"),
    "drive": (in_frame(file_path="C:\\a.png"), "must stay inside this folder"),
    "mask leads out": (in_frame(mask_path="a/../../b.png"), "must stay inside this folder"),
    "no path": (in_frame(file_path=None), "must stay inside this folder"),
    "missing": (in_frame(file_path="images/none.png"), "none.png is missing"),
    "not json": (lambda root: (root / "transforms.json").write_text("{"), "is not valid JSON"),
    "deep json": (lambda root: (root / "transforms.json").write_text("[" * 100_000), "is not valid JSON"),
    "no frames": (edit(lambda document: document.update(frames=[])), "a list of frames"),
    "frame is text": (edit(lambda document: document.update(frames=["a"])), "a list of frames"),
    "fisheye": (edit(lambda document: document.update(camera_model="OPENCV_FISHEYE")), "are not supported"),
    "rational lens": (edit(lambda document: document.update(k4=0.1)), "k4 is not supported"),
    "silly lens": (edit(lambda document: document.update(k1=1e9)), "lens distortion must be numbers"),
    "changing lens": (in_frame(k1=0.3), "k1 is not supported"),
    "no focal": (edit(lambda document: document.pop("fl_x")), "no usable cameras"),
    "negative focal": (edit(lambda document: document.update(fl_x=-5, fl_y=-5)), "must be above 0"),
    "zero size": (edit(lambda document: document.update(w=0)), "above 0"),
    "aspect": (edit(lambda document: document.update(h=WIDTH)), "its images have 96x64"),
    "pose": (in_frame(transform_matrix=[[1, 0], [0, 1]]), "no usable cameras"),
    "pose with a scale": (in_frame(transform_matrix=np.diag([2.0, 2, 2, 1]).tolist()), "it holds a scale"),
    "endless image": (edit(lambda document: document.update(w=1e400)), "inf x 64 pixels"),
    "pose is text": (in_frame(transform_matrix="identity"), "no usable cameras"),
    "opaque": (
        lambda root: foreign.save(root / "images/001.png", np.full((HEIGHT, WIDTH, 3), 9, np.uint8)),
        "neither transparency nor a mask_path",
    ),
    "other size": (
        lambda root: Image.new("RGBA", (30, 20), (9, 9, 9, 200)).save(root / "images/001.png"),
        "pixels, the views before",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_scene_is_skipped(source: Path, tmp_path: Path, fault: str) -> None:
    """One line says why; nothing was written."""
    break_it, message = FAULTS[fault]
    break_it(source)
    result = run_import("transforms", source, tmp_path / "out", "--normalise", "source", status=1)
    assert message in result.output, result.output
    assert not (tmp_path / "out" / "object").exists() or not list((tmp_path / "out" / "object").iterdir())


def test_parallel_cameras_need_a_scale(source: Path, tmp_path: Path) -> None:
    """One view says nothing about distance."""
    result = run_import("transforms", source, tmp_path / "out", "--views", 1, status=1)
    assert "Give --center and --scale" in result.output


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.lists(st.floats(-2, 2), max_size=3),
    st.just({}),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_documents_are_dataset_errors(pristine: Path, tmp_path: Path, data) -> None:
    """Any value in any place of the document: a scene or a DatasetError."""
    target = tmp_path / "toy"
    if not target.exists():
        shutil.copytree(pristine, target)
    document = json.loads((pristine / "transforms.json").read_text())
    document["frames"] = document["frames"][:2]
    keys = ["camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "p2", "camera_angle_x", "frames"]
    keys += ["integer_depth_scale", "is_fisheye"]
    for _ in range(data.draw(st.integers(1, 2))):
        where = document if data.draw(st.booleans()) or not document.get("frames") else document["frames"]
        if where is document:
            where[data.draw(st.sampled_from(keys))] = data.draw(VALUES)
        elif isinstance(where, list) and isinstance(where[0], dict):
            key = data.draw(
                st.sampled_from(["file_path", "mask_path", "transform_matrix", "fl_x", "w", "k1", "recon"])
            )
            where[0][key] = data.draw(VALUES)
    (target / "transforms.json").write_text(json.dumps(document))
    options = ImportOptions(target, tmp_path / "out")
    for entry in transforms.entries(options):
        try:
            found = entry.load()
            matrix = object_from_source(options, transforms.INFO, found)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            write_object(tmp_path / "out", entry, found, matrix)
        except DatasetError:
            pass
