# SPDX-License-Identifier: Apache-2.0
"""Labels of known shapes: frames, votes and files, with a model that knows the answer, blurred."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
import typer
from typer.testing import CliRunner

from recon_core import cli_label
from recon_core.errors import CheckpointError, ConfigError, InputError
from recon_core.geometry.sampling import sample_mesh
from recon_core.geometry.search import turns_about_z
from recon_core.io.glb import read_glb
from recon_core.io.ply import read_ply, write_ply
from recon_core.labelling import label, verb
from recon_core.labelling.frame import best_heading, object_from_file
from recon_core.labelling.label import LabelOptions, label_object
from recon_core.labelling.source import labelled_surface, read_source, source_of_cloud, votes_of_faces
from recon_core.labelling.views import render_crops, viewpoints
from recon_core.labelling.votes import smoothed, view_weights, vote
from recon_core.meshing.surface import Surface
from recon_core.methods.run import Prediction
from recon_core.pointcloud import PointCloud, Points

# Where boxes touch, two parts are at one place: such points, one in twenty, can have either label.
MOST = 0.93
PARTS = ["back", "seat", "leg"]
# A chair of boxes that touch: centre and size of each, and its part.
BOXES = [
    ((0, 0.22, 0.34), (0.5, 0.06, 0.6), 1),
    ((0, 0, 0), (0.5, 0.5, 0.08), 2),
    *(((x, y, -0.27), (0.06, 0.06, 0.46), 3) for x in (-0.2, 0.2) for y in (-0.2, 0.2)),
]


def _boxes() -> list[trimesh.Trimesh]:
    place = trimesh.transformations.translation_matrix
    return [trimesh.creation.box(size, place(centre)) for centre, size, _ in BOXES]


def _chair(count: int = 4000) -> PointCloud:
    """Points evenly on the boxes, with part labels and normals, in the object frame."""
    rng = np.random.default_rng(0)
    solids = _boxes()
    area = np.array([solid.area for solid in solids])
    xyz, normals, labels = [], [], []
    for solid, share, (_, _, part) in zip(solids, area / area.sum(), BOXES):
        points, face, _ = sample_mesh(solid.vertices, solid.faces, round(share * count), rng)
        xyz.append(points)
        normals.append(solid.face_normals[face])
        labels.append(np.full(len(points), part))
    points = np.concatenate(xyz)
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) / np.linalg.norm(high - low)
    return PointCloud(points, None, np.concatenate(labels), np.concatenate(normals))


@dataclass
class KnowingRun:
    """A run that predicts the labelled chair with noise, whatever it is shown."""

    truth: PointCloud
    noise: float = 0.005
    parts: Any = None
    category: Any = None
    learnt: bool = False
    folder: Path = Path("run")
    input_size: int = 32
    margin: float = 1.15

    @property
    def pose_is_learnt(self) -> bool:
        """As LoadedRun's."""
        return self.learnt

    @property
    def card(self) -> dict[str, Any]:
        """Two categories, of which the chair has three parts."""
        return {
            "categories": ["lamp", "chair"],
            "parts": self.parts or {"lamp": ["foot", "shade"], "chair": PARTS},
        }

    def predict(self, crops: np.ndarray) -> Prediction:
        """Noisy clouds, one per crop."""
        assert crops.shape[1:] == (32, 32, 4)
        rng = np.random.default_rng(1)
        pick = rng.permutation(len(self.truth))[:2000]
        xyz = self.truth.xyz[pick] + self.noise * rng.standard_normal((len(crops), 2000, 3))
        assert self.truth.labels is not None
        logits = torch.from_numpy(4.0 * np.eye(3)[self.truth.labels[pick] - 1]).expand(len(crops), -1, -1)
        category = (
            torch.tensor([[0.2, 0.8]]).expand(len(crops), 2) if self.category is None else self.category
        )
        return Prediction(Points(torch.from_numpy(xyz).float(), part_logits=logits), None, category=category)


def _run(**options: Any) -> Any:
    return KnowingRun(_chair(), **options)


def _agreement(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found == truth).mean())


@pytest.fixture(scope="module")
def chair() -> PointCloud:
    """The chair that is asked about: other points than those predicted."""
    return _chair(1500)


def test_a_cloud_gets_its_parts_back(chair):
    found = label_object(source_of_cloud(chair, "chair"), _run(), LabelOptions(views=2))
    assert found.category == "chair"
    assert found.category_probability == pytest.approx(0.8)
    assert found.part_names == tuple(PARTS)
    assert _agreement(found.labels, chair.labels) > MOST
    assert found.confidence.min() >= 1 / 3 - 1e-6
    assert found.share_far == 0


@pytest.mark.parametrize(("headings", "turn_deg"), [(4, 90), (8, 225)])
def test_unknown_heading_size_and_place(chair, headings, turn_deg):
    turn = turns_about_z(360)[turn_deg]
    moved = PointCloud(chair.xyz @ turn.T * 30 + [5, -7, 100])
    found = label_object(source_of_cloud(moved, "moved"), _run(), LabelOptions(headings=headings, views=2))
    assert (found.heading_deg + turn_deg) % 360 == 0
    assert _agreement(found.labels, chair.labels) > MOST
    assert not found.other_headings_deg
    wrong = label_object(source_of_cloud(moved, "moved"), _run(), LabelOptions(views=2))
    assert _agreement(wrong.labels, chair.labels) < 0.9


def test_axes_of_the_file(chair):
    moved = PointCloud(np.stack((chair.xyz[:, 1], chair.xyz[:, 2], chair.xyz[:, 0]), 1))
    found = label_object(source_of_cloud(moved, "axes"), _run(), LabelOptions(up="Y", front="-X", views=2))
    assert _agreement(found.labels, chair.labels) > MOST


def test_symmetric_headings_are_told():
    post, again = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3000, 3)) * [0.3, 0.3, 1]
    start = object_from_file(post, "Z", "-Y")
    _, heading, others = best_heading(post, start, start.apply(again)[None], 4)
    assert sorted([heading, *others]) == [0, 90, 180, 270]


def test_category_decides_which_parts_count(chair):
    run = _run()
    found = label_object(source_of_cloud(chair, "chair"), run, LabelOptions(category="lamp", views=1))
    assert found.part_names == ("foot", "shade")
    assert found.labels.max() == 2
    assert found.category_probability is None
    with pytest.raises(InputError, match="knows lamp, chair"):
        label_object(source_of_cloud(chair, "chair"), run, LabelOptions(category="boat"))


def test_models_that_cannot_label_are_refused(chair, tmp_path):
    source = source_of_cloud(chair, "chair")
    with pytest.raises(CheckpointError, match="trained without cameras"):
        label_object(source, _run(learnt=True, folder=tmp_path), LabelOptions(views=1))
    with pytest.raises(CheckpointError, match="no parts"):
        label_object(source, _run(parts={"lamp": []}), LabelOptions(views=1))
    for options in (LabelOptions(views=0), LabelOptions(headings=100)):
        with pytest.raises(ConfigError, match="expected a number"):
            label_object(source, _run(), options)


def test_votes_against_brute_force():
    rng = np.random.default_rng(3)
    xyz, clouds = rng.uniform(-0.1, 0.1, (7, 3)), rng.uniform(-0.1, 0.1, (2, 5, 3))
    shares = rng.dirichlet(np.ones(3), (2, 5))
    weights = view_weights(xyz, clouds)
    expected = np.zeros((7, 3))
    for n, point in enumerate(xyz):
        for cloud, share, weight in zip(clouds, shares, weights):
            distance = [float(np.linalg.norm(point - other)) for other in cloud]
            kernel = [np.exp(-(d**2) / (2 * 0.02**2)) for d in distance]
            near = max(max(kernel), np.exp(-0.5 * 9))
            expected[n] += weight * near * sum(k * s for k, s in zip(kernel, share)) / sum(kernel)
    found, nearest = vote(xyz, clouds, shares)
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-6)
    brute = np.linalg.norm(xyz[:, None, None] - clouds[None], axis=-1).min((1, 2))
    np.testing.assert_allclose(nearest, brute)


def test_a_bad_view_is_outvoted():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-0.3, 0.3, (200, 3))
    truth = (xyz[:, 0] > 0).astype(int)
    good = np.eye(2)[truth]
    clouds = np.stack((xyz, rng.uniform(-0.5, 0.5, (200, 3)) * [0.1, 0.1, 1]))
    votes, _ = vote(xyz, clouds, np.stack((good, 1 - good)))
    assert (votes.argmax(1) == truth).all()
    assert view_weights(xyz, clouds)[1] < 0.05


def test_smoothing_removes_specks_and_keeps_sums():
    y, x = np.mgrid[0:1:30j, 0:1:30j]
    xyz = np.stack((x, y, 0 * x), -1).reshape(-1, 3)
    truth = (xyz[:, 0] > 0.5).astype(int)
    noisy = truth.copy()
    noisy[np.random.default_rng(0).permutation(900)[:60]] ^= 1
    votes = smoothed(xyz, np.tile([0.0, 0, 1], (900, 1)), np.eye(2)[noisy])
    np.testing.assert_allclose(votes.sum(1), 1)
    assert _agreement(votes.argmax(1), truth) > 0.98 > _agreement(noisy, truth)


def test_crops_show_the_object_upright(chair):
    colors = np.tile(np.array([200, 40, 40], np.uint8), (len(chair), 1))
    crops = render_crops(chair.xyz, colors, chair.normals, 4, 48, 1.15)
    assert crops.shape == (4, 48, 48, 4)
    for crop in crops:
        rows = np.flatnonzero((crop[..., 3] > 127).any(1))
        columns = np.flatnonzero((crop[..., 3] > 127).any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(48 / 1.15, abs=2)
        inside = crop[crop[..., 3] > 250]
        assert (inside[:, 0] > inside[:, 1] + 40).all()
    # The back's board is at the rear: from behind it hides the seat, from the front the seat is seen below it.
    assert viewpoints(4)[0].tolist() == [45, 135, 225, 315]


def test_face_labels_are_kept_exactly():
    cube = trimesh.creation.box((1, 1, 1))
    surface = Surface(np.asarray(cube.vertices, float), np.asarray(cube.faces, np.int64))
    labels = np.arange(12, dtype=np.uint8) % 3 + 1
    labelled = labelled_surface(surface, labels, ("a", "b", "c"))
    np.testing.assert_array_equal(labelled.face_labels(), labels)
    np.testing.assert_array_equal(labelled.vertices[labelled.faces], surface.vertices[surface.faces])


def test_faces_without_points_take_the_nearest():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [5, 5, 5.001], [5, 5.001, 5]], float)
    surface = Surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    points = PointCloud(np.array([[0.2, 0.2, 0], [0.3, 0.3, 0], [4, 4, 4]]))
    source = SimpleNamespace(surface=surface, face=np.array([0, 0, 0]), points=points)
    votes = votes_of_faces(source, np.array([[1.0, 0], [1, 0], [0, 1]]))  # type: ignore[arg-type]
    np.testing.assert_allclose(votes, [[2 / 3, 1 / 3], [0, 1]])


# --- files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch, chair) -> Path:
    """A folder with the chair as cloud and as mesh; loading any run gives the knowing one."""
    monkeypatch.setattr(verb, "load_run", lambda folder, device: _run())
    write_ply(tmp_path / "in.ply", PointCloud(chair.xyz, comments={"unit": "none"}))
    trimesh.util.concatenate(_boxes()).apply_transform(
        trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))  # glTF is +Y up
    ).export(tmp_path / "in.glb")
    return tmp_path


def _command(*words: object) -> Any:
    app = typer.Typer()
    cli_label.register(app)
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def test_command_on_a_cloud(files, chair):
    result = _command(files / "in.ply", "--run", "r", "--out", files / "new" / "out.ply", "--views", 1)
    assert result.exit_code == 0, result.output
    assert "in.ply: chair (80%), cloud: back" in result.output
    cloud = read_ply(files / "new" / "out.ply")
    assert _agreement(cloud.labels, chair.labels) > MOST
    assert cloud.confidence is not None
    assert cloud.comments["parts"] == "back seat leg"
    record = json.loads((files / "new" / "out.json").read_text())
    assert sum(part["share"] for part in record["parts"].values()) == pytest.approx(1, abs=1e-3)
    assert record["parts"]["leg"]["count"] == (cloud.labels == 3).sum()
    assert (files / "new" / "out.png").stat().st_size > 2000


def test_command_on_a_mesh(files):
    result = _command(files / "in.glb", "--run", "r", "--out", files / "out.glb", "--views", 1, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.output)
    assert record["labelled"] == "faces"
    # Areas of the boxes of each part over that of all.
    area = np.array([sum(s.area for s, (_, _, p) in zip(_boxes(), BOXES) if p == part) for part in (1, 2, 3)])
    shares = [record["parts"][name]["share"] for name in PARTS]
    np.testing.assert_allclose(shares, area / area.sum(), atol=0.05)
    scene = trimesh.load(files / "out.glb")
    assert sorted(solid.visual.material.name for solid in scene.geometry.values()) == ["back", "leg", "seat"]
    before, after = (read_glb(files / name).vertices[0].numpy() for name in ("in.glb", "out.glb"))
    np.testing.assert_allclose(after.min(0), before.min(0), atol=1e-5)
    np.testing.assert_allclose(after.max(0), before.max(0), atol=1e-5)
    assert read_source(files / "out.ply").kind == "mesh"


@pytest.mark.parametrize(
    ("source", "out", "words"),
    [
        ("in.ply", "out.glb", "is a cloud"),
        ("in.ply", "in.ply", "own file"),
        ("in.glb", "in.ply", "own file"),
        ("in.glb", "out.obj", "ends in .glb"),
        ("none.ply", "out.ply", "cannot be read"),
    ],
)
def test_bad_requests_are_refused(files, source, out, words):
    result = _command(files / source, "--run", "r", "--out", files / out)
    assert words in str(result.exception)
    assert isinstance(result.exception, (ConfigError, InputError))


def test_too_few_points(tmp_path):
    with pytest.raises(InputError, match="at least 50"):
        source_of_cloud(PointCloud(np.zeros((49, 3))), "few")
    with pytest.raises(InputError, match="no extent"):
        label.object_from_file(np.zeros((60, 3)), "Z", "-Y")
