# SPDX-License-Identifier: Apache-2.0
"""Procedural sofas, beds and benches: the same everywhere, closed, in one piece, labelled, symmetric as stated."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "render_scripts"))

from shape_checks import fingerprint, pieces_apart, require_whole, symmetry_error
from shapes import bed, bench, objects, sofa, upholstery
from shapes.mesh import Model, join
from shapes.rng import Rng

PARTS = {
    "bed": ["mattress", "frame", "pillow", "leg"],
    "bench": ["back", "seat", "leg", "arm"],
    "sofa": ["back", "seat", "arm", "leg"],
}
ALWAYS = {"bed": {"mattress", "frame", "pillow", "leg"}, "bench": {"seat", "leg"}, "sofa": {"seat"}}
SIZES = {"bed": (1.6, 2.8), "bench": (0.9, 2.2), "sofa": (0.45, 3.6)}  # metres, largest extent
MODULES = {"bed": bed, "bench": bench, "sofa": sofa}
GOLDEN = {
    ("bed", 0, 0): "ecf2f5d1efeb1998",
    ("bed", 0, 1): "e31c385e6518b56b",
    ("bed", 0, 3): "e8cd5f8e753e280c",
    ("bed", 0, 12): "47e51967ae7533f2",
    ("bed", 7, 123): "da82bec1597c82de",
    ("bench", 0, 0): "7a3d077cdfba53fb",
    ("bench", 0, 1): "2bf9465464277cca",
    ("bench", 0, 3): "58f19484f4c74c86",
    ("bench", 0, 12): "52f420eb944ee505",
    ("bench", 7, 123): "7f71e0e592d5498f",
    ("sofa", 0, 0): "3dfd83b023867b27",
    ("sofa", 0, 1): "fa1f08835cccb081",
    ("sofa", 0, 3): "3a41aefa3d74f5f2",
    ("sofa", 0, 12): "9d3af8f5838e092f",
    ("sofa", 7, 123): "c42696cd3ec1299c",
}
COUNT = 30
EACH = [(category, index) for category in PARTS for index in range(COUNT)]


@cache
def model(category: str, index: int) -> Model:
    return objects.build(category, 0, index)


def bounds_of(made: Model, label: str) -> tuple[np.ndarray, np.ndarray]:
    return join(part.mesh for part in made.parts if part.label == label).bounds()


@pytest.mark.parametrize("key", GOLDEN, ids=lambda key: f"{key[0]}-{key[1]}-{key[2]}")
def test_objects_never_change(key):
    assert fingerprint(objects.build(*key)) == GOLDEN[key]


@pytest.mark.parametrize("category", PARTS)
def test_part_names(category):
    assert objects.part_names(category) == PARTS[category]
    seen = {part.label for k in range(COUNT) for part in model(category, k).parts}
    assert seen == set(PARTS[category])


@pytest.mark.parametrize("category", PARTS)
def test_every_family_is_drawn(category):
    weights = MODULES[category].FAMILIES
    drawn = {Rng(category, 0, k).weighted(weights) for k in range(200)}
    assert drawn == set(weights) == set(MODULES[category].BUILDERS)


@pytest.mark.parametrize(("category", "index"), EACH)
def test_object_is_whole(category, index):
    made = model(category, index)
    require_whole(made, ALWAYS[category], PARTS[category], SIZES[category])
    low, high = join(part.mesh for part in made.parts).bounds()
    assert (low + high)[:2] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("category", "index"), [each for each in EACH if each[1] < 12])
def test_no_piece_floats(category, index):
    assert pieces_apart(model(category, index)) == []


@pytest.mark.parametrize("category", PARTS)
def test_the_sitter_and_the_sleeper_look_towards_the_front(category):
    """The back, or the pillows, lie behind the middle of the seat or the mattress."""
    rear, front = {"bed": ("pillow", "mattress")}.get(category, ("back", "seat"))
    seen = 0
    for k in range(COUNT):
        made = model(category, k)
        if {rear, front} <= {part.label for part in made.parts} and made.style.get("type") != "daybed":
            (a, b), (c, d) = bounds_of(made, rear), bounds_of(made, front)
            assert a[1] + b[1] > c[1] + d[1], made.style
            seen += 1
    assert seen > COUNT / 3


@pytest.mark.parametrize("category", PARTS)
def test_stated_symmetry_is_true(category):
    turned = [model(category, k) for k in range(2 * COUNT) if model(category, k).symmetry_order != 1]
    for made in turned:
        assert symmetry_error(made, PARTS[category]) < 4e-3, made.style
        assert "back" not in {part.label for part in made.parts}
    assert bool(turned) == (category != "bed")


def test_corner_sofas_come_in_both_hands_and_both_kinds():
    styles = [sofa.corner(Rng("hands", k))[2] for k in range(40)]
    assert {(style["side"], style["shape"]) for style in styles} == {
        (side, shape) for side in ("left", "right") for shape in ("chaise", "corner")
    }


def test_left_is_right_mirrored_where_the_return_of_a_corner_sofa_lies():
    for k in range(12):
        parts, _, style = sofa.corner(Rng("hands", k))
        seat = join(part.mesh for part in parts if part.label == "seat")
        low = seat.bounds()[0][1]
        ahead = seat.vertices[seat.vertices[:, 1] < low + 0.1, 0].mean()
        assert (ahead > 0) == (style["side"] == "right")


def test_bunks_have_two_mattresses_one_above_the_other():
    for k in range(12):
        parts, style = bed.bunk(Rng("bunk", k))
        tops = [p.mesh.bounds()[1][2] for p in parts if p.label == "pillow"]
        assert (max(tops) - min(tops) > 0.6) == (style["decks"] == 2)


def test_blanket_lies_on_and_around_the_mattress():
    sheet = upholstery.drape(0.5, -0.9, 0.3, 0.5, 0.3, 0.2, 0.02, 0.0)
    low, high = sheet.bounds()
    assert high[2] == pytest.approx(0.51, abs=0.01)
    assert low[2] == pytest.approx(0.5 - 0.3, abs=0.03)
    assert high[1] == pytest.approx(0.3, abs=0.012)
    inside = (np.abs(sheet.vertices[:, 0]) < 0.45) & (np.abs(sheet.vertices[:, 1]) < 0.25)
    assert sheet.vertices[inside, 2].min() > 0.48
    assert low[0] == pytest.approx(-high[0], abs=1e-9)


def test_pillow_is_thick_in_the_middle_and_thin_at_its_rim():
    mesh = upholstery.pillow(0.5, 0.4, 0.15, 0.1)
    x, y, z = mesh.vertices.T
    assert z.max() == pytest.approx(0.075, abs=1e-6)
    rim = (np.abs(x) > 0.24) & (np.abs(y) > 0.19)
    assert rim.any()
    assert np.abs(z[rim]).max() < 0.012
    assert np.abs(x[np.abs(y) < 0.01]).max() < 0.235  # the sides are drawn in between the corners
