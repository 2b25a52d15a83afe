# SPDX-License-Identifier: Apache-2.0
"""Procedural airplanes and cars: deterministic, closed, symmetric, plausible, labelled."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

SCRIPTS = Path(__file__).resolve().parents[2] / "render_scripts"
sys.path.insert(0, str(SCRIPTS))

from shape_checks import edges_are_paired  # noqa: E402
from shapes import airplane, car, objects, painting  # noqa: E402
from shapes.glb import glb_bytes  # noqa: E402
from shapes.mesh import Model, join  # noqa: E402
from shapes.rng import Rng  # noqa: E402
from shapes.skin import face_normals  # noqa: E402

CATEGORIES = ("airplane", "car")
COUNT = 40
MIRROR_TOLERANCE = {"airplane": 0.012, "car": 1e-6}  # of the diagonal; propeller blades have a pitch


@pytest.fixture(scope="module")
def models() -> dict[str, list[Model]]:
    return {name: [objects.build(name, 0, k) for k in range(COUNT)] for name in CATEGORIES}


def bounds(model: Model) -> tuple[np.ndarray, np.ndarray]:
    return join(part.mesh for part in model.parts).bounds()


def bounds_of(model: Model, label: str) -> tuple[np.ndarray, np.ndarray]:
    return join(part.mesh for part in model.parts if part.label == label).bounds()


@pytest.mark.parametrize("category", CATEGORIES)
def test_same_key_gives_same_file(category: str, models) -> None:
    for k in (0, 7, 23):
        first, second = models[category][k], objects.build(category, 0, k)
        assert glb_bytes(first, "x") == glb_bytes(second, "x")
        assert first.style == second.style
    assert glb_bytes(models[category][0], "x") != glb_bytes(objects.build(category, 1, 0), "x")


def test_part_names_are_those_of_the_annotation() -> None:
    assert objects.part_names("airplane") == ["body", "wing", "tail", "engine"]
    assert objects.part_names("car") == ["roof", "hood", "wheel", "body"]


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_object_has_all_parts(category: str, models) -> None:
    for model in models[category]:
        wanted = set(objects.part_names(category))
        if model.style["type"] == "glider":
            wanted.discard("engine")
        assert {part.label for part in model.parts} == wanted, model.style


@pytest.mark.parametrize("category", CATEGORIES)
def test_style_is_json_and_no_turn_is_a_symmetry(category: str, models) -> None:
    for model in models[category]:
        json.dumps(model.style)
        assert model.symmetry_order == 1


@pytest.mark.parametrize(
    "kind", [("airplane", k) for k in airplane.FAMILIES] + [("car", k) for k in car.KINDS]
)
def test_every_family_is_drawn(kind: tuple[str, str]) -> None:
    category, name = kind
    assert any(first_type(category, k) == name for k in range(150))


def first_type(category: str, index: int) -> str:
    rng = Rng(category, 0, index)
    weights = car.KINDS if category == "car" else {n: w for n, (w, _) in airplane.FAMILIES.items()}
    return rng.weighted(weights)


@pytest.mark.parametrize("category", CATEGORIES)
def test_meshes_are_finite_closed_and_outward(category: str, models) -> None:
    for model in models[category]:
        for part in model.parts:
            mesh = part.mesh
            assert np.isfinite(mesh.vertices).all()
            assert np.isfinite(mesh.uv).all()
            size = np.linalg.norm(np.subtract(*mesh.bounds()))
            area = np.linalg.norm(face_normals(mesh), axis=1)
            assert area.min() > 1e-9 * size**2, (model.style, part.label, part.material.kind)
            assert mesh.volume() > 0
            assert edges_are_paired(mesh.triangles()[0])


@pytest.mark.parametrize("category", CATEGORIES)
def test_left_and_right_agree(category: str, models) -> None:
    for model in models[category]:
        vertices = join(part.mesh for part in model.parts).vertices
        distance = cKDTree(vertices).query(vertices * [-1, 1, 1])[0]
        low, high = bounds(model)
        diagonal = np.linalg.norm(high - low)
        assert np.abs(low[0] + high[0]) < 1e-6 * diagonal + 0.01 * (category == "airplane")
        assert distance.max() < MIRROR_TOLERANCE[category] * diagonal, model.style


def test_car_sizes_and_places(models) -> None:
    for model in models["car"]:
        (low, high), kind = bounds(model), model.style["type"]
        width, length, height = high - low
        assert 1.6 < width < 2.5, kind
        assert 3.4 < length < 6.2, kind
        assert 1.05 < height < 2.6, kind
        assert abs(low[2]) < 1e-6
        hood, roof = bounds_of(model, "hood"), bounds_of(model, "roof")
        assert hood[1][1] < 0.1 * length, "the hood is in front"
        assert hood[0][1] < -0.35 * length
        assert roof[1][2] > hood[1][2]


def test_car_wheels_stand_on_the_ground(models) -> None:
    for model in models["car"]:
        wheels = [part.mesh.bounds() for part in model.parts if part.label == "wheel"]
        assert len(wheels) == 4
        assert max(abs(low[2]) for low, _ in wheels) < 1e-6
        others = [part.mesh.bounds()[0][2] for part in model.parts if part.label != "wheel"]
        assert min(others) > 0.06
        low, high = bounds_of(model, "body")
        assert all(low[0] < w[0][0] and w[1][0] < high[0] for w in wheels), "wheels within the body's width"


def test_wheel_turns_free_in_its_arch(models) -> None:
    """No vertex of the lower body lies inside a tyre: the arches are hollow."""
    for model in models["car"]:
        body = model.parts[0].mesh.vertices
        for part in model.parts:
            if part.label == "wheel":
                low, high = part.mesh.bounds()
                _, y, z = (low + high) / 2
                radius = (high[2] - low[2]) / 2
                across = (body[:, 0] > low[0] + 0.01) & (body[:, 0] < high[0] - 0.01)
                near = np.hypot(body[:, 1] - y, body[:, 2] - z) < radius
                assert not (across & near).any(), model.style


def test_airplane_sizes_and_places(models) -> None:
    for model in models["airplane"]:
        (low, high), style = bounds(model), model.style
        span, length, height = high - low
        assert 5 < length < 85, style
        assert 0.4 < span / length < 3.0, style
        assert 0.1 < height / length < 0.6, style
        assert abs(low[2]) < 1e-6
        tail = bounds_of(model, "tail")
        assert tail[1][1] > 0.3 * length, "the tail is at the rear"
        wing = bounds_of(model, "wing")
        assert np.isclose(wing[1][0] - wing[0][0], span, rtol=0.05), "the wing is the widest part"


def test_airplane_engines_come_in_the_stated_number(models) -> None:
    for model in models["airplane"]:
        style = model.style
        if style["type"] not in ("airliner", "business_jet") or style.get("engines") == "prop":
            continue
        pods = [p for p in model.parts if p.label == "engine" and p.material.texture is not None]
        assert len(pods) == style["engine_count"], style


@pytest.mark.parametrize("category", CATEGORIES)
def test_written_points_carry_every_label(category: str, tmp_path: Path) -> None:
    folder = tmp_path / category / "one"
    model = objects.write_object(category, 0, 0, folder)
    header, _, body = (folder / "points.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {objects.POINTS}".encode() in header
    kinds = [("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3), ("label", "u1")]
    rows = np.frombuffer(body, np.dtype(kinds))
    share = np.bincount(rows["label"], minlength=5)[1:] / len(rows)
    assert (share > 0.004).all(), share
    low, high = bounds(model)
    assert (rows["xyz"] > low - 1e-3).all()
    assert (rows["xyz"] < high + 1e-3).all()


def test_painter_sees_where_the_texture_lands() -> None:
    """A texture painted by position gives each surface point the colour of its position."""
    ring = np.stack(
        [np.cos(np.arange(16) / 16 * 6.2831853), np.zeros(16), np.sin(np.arange(16) / 16 * 6.2831853)], 1
    )
    radii = np.array([0, 0.6, 1, 1, 0.7, 0])
    rings = (
        ring[None] * radii[:, None, None]
        + np.array([0, 1, 0]) * np.array([0, 0.2, 1, 2, 3, 3.2])[:, None, None]
    )
    mesh, material = painting.painted_loft(
        rings, lambda p: np.clip(p * [0.3, 0.3, 0.3] + [0.5, 0, 0.5], 0, 1), 128, 128
    )
    corners = mesh.faces.reshape(-1)
    face = np.repeat(np.arange(len(mesh.faces)), 4)[corners >= 0]
    uv = mesh.uv.reshape(-1, 2)[corners >= 0]
    inner = 0.98 * uv + 0.02 * np.stack([mesh.uv[f][mesh.faces[f] >= 0].mean(0) for f in face])
    expected = mesh.vertices[corners[corners >= 0]] * 0.3 + [0.5, 0, 0.5]
    assert np.abs(material.colors_at(inner) / 255.0 - np.clip(expected, 0, 1)).max() < 0.06
