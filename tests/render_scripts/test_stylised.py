# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as simple model kits have them: closed, labelled, on the floor, symmetric; the others do not change."""

import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "render_scripts"
sys.path.insert(0, str(SCRIPTS))

import make_shapes  # noqa: E402
from shape_checks import fingerprint, require_whole  # noqa: E402
from shapes import car, car_toy, kit, objects  # noqa: E402
from shapes.mesh import Model, join  # noqa: E402
from shapes.rng import Rng  # noqa: E402
from shapes.stylised import swollen  # noqa: E402


def vertices(made: Model) -> np.ndarray:
    return join(part.mesh for part in made.parts).vertices


@pytest.mark.parametrize("category", objects.CATEGORIES)
def test_every_category_has_stylised_objects(category: str) -> None:
    """Made again alike, unlike the plain ones, whole."""
    for index in range(2):
        made = objects.build(category, 3, index, stylised=1.0)
        assert fingerprint(made) == fingerprint(objects.build(category, 3, index, stylised=1.0))
        assert fingerprint(made) != fingerprint(objects.build(category, 3, index))
        require_whole(made, set(), objects.part_names(category), (0.1, 120.0), 60_000)


def test_a_share_is_stylised_and_the_others_stay() -> None:
    plain = [fingerprint(objects.build("table", 0, k)) for k in range(40)]
    mixed = [fingerprint(objects.build("table", 0, k, stylised=0.4)) for k in range(40)]
    same = sum(a == b for a, b in zip(plain, mixed, strict=True))
    assert 16 <= same <= 32


def test_a_symmetry_about_the_vertical_stays() -> None:
    """What looks the same after a turn still does when it is stretched."""
    for index in range(40):
        plain, made = objects.build("lamp", 0, index), objects.build("lamp", 0, index, stylised=1.0)
        assert made.symmetry_order == plain.symmetry_order
        if made.symmetry_order == 0:
            low, high = join(part.mesh for part in made.parts).bounds()
            assert (high - low)[0] == pytest.approx((high - low)[1], rel=0.03)


def test_swelling_moves_every_face_outwards() -> None:
    box = kit.rounded_box(1.0, 2.0, 0.5, 0.01)
    low, high = swollen(box, 0.1).bounds()
    assert (high > [0.55, 1.05, 0.3]).all()
    assert (high < [0.61, 1.11, 0.36]).all()
    assert np.allclose(low, -high)


@pytest.mark.parametrize("index", range(24))
def test_toy_vehicles_are_whole_and_symmetric(index: int) -> None:
    """Wheels on the floor, parts of a car, one side like the other but for an exhaust or two lamps on the roof."""
    made = car_toy.build(Rng("car", 1, index, "toy"))
    require_whole(made, {"wheel", "body"}, list(car.PARTS), (1.5, 8.0))
    where = vertices(made)
    assert abs(where[:, 0].max() + where[:, 0].min()) < 0.02


def test_the_families_of_toys_all_come() -> None:
    kinds = {car_toy.build(Rng("car", 2, k, "toy")).style["type"] for k in range(80)}
    assert kinds == {f"toy {kind}" for kind in car_toy.KINDS}


def test_outlines_of_bodies_are_simple() -> None:
    """Their triangles fill them exactly: no arch crosses another or the bonnet."""
    for index in range(150):
        rng = Rng("car", 3, index, "toy")
        kind = rng.weighted(car_toy.KINDS)
        if kind in ("race", "tractor"):
            continue
        outline = car_toy.side_view(car_toy.draw_body(rng, kind), kind)
        triangles = outline[kit.ear_clip(outline)]
        areas = 0.5 * np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        assert (areas > -1e-9).all()
        turned = np.roll(outline, -1, 0)
        assert areas.sum() == pytest.approx(0.5 * np.cross(outline, turned).sum())


def test_a_share_beyond_one_is_refused(capsys, tmp_path) -> None:
    words = ["--category", "car", "--output", str(tmp_path), "--stylised", "1.5"]
    assert make_shapes.main(words) == 2
    assert "--stylised 1.5: expected a share from 0 to 1" in capsys.readouterr().err
