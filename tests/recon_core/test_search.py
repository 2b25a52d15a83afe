# SPDX-License-Identifier: Apache-2.0
"""Global rotation search: known motions found from anywhere, symmetries reported, grids that cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from recon_core.errors import InputError
from recon_core.geometry.search import search_rotation, super_fibonacci, turns_about_z


def _chair(seed: int, count: int, arm: bool = True) -> np.ndarray:
    """A seat, a back and one arm: no symmetry; without the arm, a mirror plane but no rotation."""
    generator = np.random.default_rng(seed)
    boxes = [((0.5, 0.4, 0.05), (0, 0, 0)), ((0.5, 0.05, 0.5), (0, 0.2, 0.25))]
    boxes += [((0.05, 0.3, 0.2), (0.25, 0, 0.1))] * arm
    pieces = [generator.uniform(-0.5, 0.5, (count, 3)) * size + at for size, at in boxes]
    return generator.permutation(np.concatenate(pieces))[:count]


def _table(seed: int, count: int) -> np.ndarray:
    """A square top on a square foot: four headings about Z look the same."""
    generator = np.random.default_rng(seed)
    top = generator.uniform(-0.5, 0.5, (count, 3)) * (0.8, 0.8, 0.04) + (0, 0, 0.4)
    foot = generator.uniform(-0.5, 0.5, (count, 3)) * (0.2, 0.2, 0.8)
    return generator.permutation(np.concatenate((top, foot)))[:count]


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees((Rotation.from_matrix(first) * Rotation.from_matrix(second).inv()).magnitude()))


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_any_motion_is_found(seed) -> None:
    motion, shift = Rotation.random(random_state=seed).as_matrix(), np.array([0.3, -2.0, 1.0])
    found = search_rotation(_chair(1, 900), _chair(0, 1500) @ motion.T + shift)
    assert _angle_deg(found.best.transform.rotation, motion) < 3
    moved = found.best.transform.apply(_chair(0, 1500))
    assert np.linalg.norm(moved - (_chair(0, 1500) @ motion.T + shift), axis=1).mean() < 0.03
    assert [one.score for one in found.candidates] == sorted(one.score for one in found.candidates)
    assert not found.is_ambiguous


def test_scores_are_chamfer_and_results_repeat() -> None:
    source, target = _chair(1, 500), _chair(0, 500) @ Rotation.from_euler("xyz", (2, 1, 0)).as_matrix().T
    found = search_rotation(source, target)
    pairs = np.linalg.norm(found.best.transform.apply(source)[:, None] - target[None], axis=-1)
    assert found.best.precision == pytest.approx(pairs.min(1).mean())  # all points take part
    assert found.best.coverage == pytest.approx(pairs.min(0).mean())
    again = search_rotation(source, target)
    np.testing.assert_array_equal(found.best.transform.matrix(), again.best.transform.matrix())


def test_headings_about_z_with_scale() -> None:
    motion = Rotation.from_euler("z", 140, degrees=True).as_matrix()
    found = search_rotation(_chair(1, 900), 1.3 * _chair(0, 1500) @ motion.T, about="z", with_scale=True)
    assert _angle_deg(found.best.transform.rotation, motion) < 3
    assert found.best.transform.scale == pytest.approx(1.3, rel=0.03)


@pytest.mark.parametrize(("about", "grid"), [("z", None), ("any", 2000)])
def test_a_fourfold_symmetry_is_reported(about, grid) -> None:
    motion = Rotation.from_euler("z", 25, degrees=True).as_matrix()
    found = search_rotation(_table(1, 3000), _table(0, 3000) @ motion.T, about=about, grid=grid, refine=12)
    assert found.ambiguous == 4
    headings = sorted(
        Rotation.from_matrix(one.transform.rotation).as_euler("zyx", degrees=True)[0] % 90
        for one in found.candidates[:4]
    )
    np.testing.assert_allclose(headings, 25, atol=5)


def test_answers_differ_in_rotation() -> None:
    found = search_rotation(_table(1, 300), _table(0, 300), refine=10)
    rotations = [one.transform.rotation for one in found.candidates]
    assert len(rotations) > 1
    apart = [_angle_deg(a, b) for i, a in enumerate(rotations) for b in rotations[:i]]
    assert min(apart) >= 12


def test_without_centring_the_origin_stays() -> None:
    """Half of a cloud has another centroid; about the common origin it still fits."""
    motion = Rotation.from_euler("xyz", (70, 20, 100), degrees=True).as_matrix()
    target = _chair(0, 1500)
    found = search_rotation(target[target[:, 2] > 0.02], target @ motion.T, centre=False)
    assert _angle_deg(found.best.transform.rotation, motion) < 6


@pytest.mark.parametrize(("count", "largest"), [(100, 70), (1000, 32), (5000, 19)])
def test_the_grid_covers_all_rotations(count, largest) -> None:
    grid = super_fibonacci(count)
    np.testing.assert_allclose(grid @ grid.swapaxes(1, 2), np.eye(3)[None].repeat(count, 0), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(grid), 1)
    probes = Rotation.random(300, random_state=0).as_matrix()
    trace = np.einsum("pij,kij->pk", probes, grid).max(1)
    assert np.degrees(np.arccos((trace - 1) / 2)).max() < largest


def test_turns_about_z() -> None:
    turns = turns_about_z(4)
    np.testing.assert_allclose(turns[0], np.eye(3))
    np.testing.assert_allclose(turns[1] @ (1, 0, 0), (0, 1, 0), atol=1e-15)
    np.testing.assert_allclose(turns[1], Rotation.from_euler("z", 90, degrees=True).as_matrix(), atol=1e-15)


def test_one_point_and_coincident_points() -> None:
    """A single source point fits anywhere; a target without extent cannot say anything."""
    found = search_rotation(np.zeros((1, 3)), _chair(0, 100), grid=20)
    assert found.is_ambiguous
    assert np.isfinite(found.best.score)
    with pytest.raises(InputError, match="coincide"):
        search_rotation(_chair(0, 100), np.ones((50, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": np.zeros((0, 3))}, "non-empty"),
        ({"target": np.zeros((0, 3))}, "non-empty"),
        ({"source": np.full((4, 3), np.nan)}, "not finite"),
        ({"about": "x"}, "any or z"),
        ({"grid": 0}, "1 to 100000"),
        ({"grid": 10**9}, "1 to 100000"),
        ({"refine": 0}, "refine"),
    ],
)
def test_bad_requests_are_refused(options, message) -> None:
    with pytest.raises(InputError, match=message):
        search_rotation(**{"source": _chair(0, 50), "target": _chair(1, 50), **options})
