# SPDX-License-Identifier: Apache-2.0
"""Placing: derivatives against differences, known views found again, what must not matter, bad input."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from placing_scenes import BOXES, camera, picture, points

from recon_core.cameras import random_rotations, rotation_angle_deg
from recon_core.errors import ConfigError, InputError
from recon_core.placing import outline
from recon_core.placing import place as placing
from recon_core.placing.colors import Painted, front_sums
from recon_core.placing.descend import descend
from recon_core.placing.overlap import closing_radius, outline_iou
from recon_core.placing.place import PlaceOptions, place
from recon_core.placing.starts import any_rotations, fill_box, upright_rotations
from recon_core.placing.target import Target
from recon_core.placing.views import DOLLY, STEPS, Views, rotation_of, towards
from recon_core.placing.wishes import Wishes, elevation_rad, roll_rad

ALL = torch.arange(STEPS)


def some_views(count: int = 3, dtype=torch.float64) -> Views:
    generator = torch.Generator().manual_seed(1)
    shift = torch.tensor([[0.4, -0.3, -1.5], [-0.6, 0.2, -2.0], [0.1, 0.5, -3.0]])[:count]
    focal, centre = torch.tensor([1.0, 2.0, 3.0])[:count], torch.rand(count, 2, generator=generator)
    return Views(
        random_rotations(count, generator).to(dtype), shift.to(dtype), focal.to(dtype), centre.to(dtype)
    )


def single(index: int, length: float, like: Views) -> torch.Tensor:
    step = torch.zeros(len(like), STEPS, dtype=like.focal.dtype)
    step[:, index] = length
    return step


@pytest.mark.parametrize("index", range(STEPS))
def test_flow_and_wishes_are_what_differences_say(index):
    views, xyz = (
        some_views(),
        0.2 * torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),
    )
    du, dv = views.flow()
    uv, _, basis = views.flow_basis(xyz)
    assert torch.allclose(uv, views.project(xyz)[0])
    wishes = Wishes(2.0, (0.5, 0.5), 3.0, roll_deg=1.0, elevation_deg=(-2.0, 2.0), floor=0.4)
    ahead, behind = (views.moved(single(index, sign * 1e-6, views)) for sign in (1, -1))
    flow = (ahead.project(xyz)[0] - behind.project(xyz)[0]) / 2e-6
    assert torch.allclose(flow, torch.stack((basis @ du, basis @ dv), 2)[..., index], atol=1e-8)
    slope = (wishes.rows(ahead)[0] - wishes.rows(behind)[0]) / 2e-6
    assert torch.allclose(slope, wishes.rows(views)[1][..., index], atol=1e-7)


def test_limits_cost_nothing_until_they_are_crossed():
    """Roll and elevation of an upright camera are read back, and cost only beyond their limits."""
    like = torch.zeros(1, dtype=torch.float64)
    rotation = upright_rotations((30.0, 30.0), 0.0, 360.0, like)
    views = Views(
        rotation, torch.tensor([[0.0, 0, -2]]).double(), torch.ones(1).double(), torch.zeros(1, 2).double()
    )
    assert math.degrees(float(roll_rad(views))) == pytest.approx(0, abs=1e-6)
    assert math.degrees(float(elevation_rad(views))) == pytest.approx(30, abs=1e-6)
    usual = Wishes(1.0, (0.0, 0.0), 1.0)
    inside = dataclasses.replace(usual, roll_deg=5.0, elevation_deg=(0.0, 40.0), floor=-0.5)
    assert float(inside.cost(views)) == float(usual.cost(views)) == 0
    for beyond in ({"elevation_deg": (35.0, 90.0)}, {"elevation_deg": (-90.0, 25.0)}, {"floor": 1.1}):
        assert float(dataclasses.replace(usual, **beyond).cost(views)) > 1e-3
    tele = dataclasses.replace(views, focal=2 * views.focal)
    assert float(usual.cost(tele)) > 1e-4
    assert float(dataclasses.replace(usual, lens_weight=4.0).cost(tele)) == pytest.approx(
        4 * float(usual.cost(tele))
    )
    leaning = views.moved(single(2, math.radians(-8), views))
    assert math.degrees(float(roll_rad(leaning))) == pytest.approx(8, abs=1e-6)
    assert float(inside.cost(leaning)) == pytest.approx((2 * math.radians(3)) ** 2, rel=1e-6)


def test_gauss_newton_slope_is_the_costs(monkeypatch):
    """Half the gradient of the cost by differences, where the levelling of the points' weights is held."""
    generator = torch.Generator().manual_seed(0)
    xyz = 0.25 * torch.randn(300, 3, dtype=torch.float64, generator=generator)
    mask = torch.zeros(24, 24, dtype=torch.float64)
    mask[6:18, 8:20] = 1
    level = outline.Level(mask, (torch.rand(24, 24, generator=generator) > 0.1).double(), 1.5, 300)
    monkeypatch.setattr(outline, "_levelled", lambda uv, depth, level: torch.full_like(depth, 1.5))
    views = dataclasses.replace(some_views(1), centre=torch.tensor([[0.25, 0.35]]).double())
    plate = level.plate()
    normal = outline.normal_equations(views, xyz, level, plate, ALL)
    assert torch.allclose(normal.cost, outline.costs(views, xyz, level, plate))
    for index in range(STEPS):
        ahead, behind = (
            outline.costs(views.moved(single(index, sign * 1e-5, views)), xyz, level, plate)
            for sign in (1, -1)
        )
        # Points are shared by four pixels, linearly: the derivative of the blur differs a little from that of the sum.
        assert float((ahead - behind) / 4e-5) == pytest.approx(
            float(normal.slope[0, index]), rel=0.06, abs=5e-3
        )


def test_dolly_keeps_the_place_and_turns_the_object_with_its_ray():
    views = some_views()
    moved = views.moved(single(DOLLY, 0.7, views))
    origin = torch.zeros(1, 3, dtype=torch.float64)
    assert torch.allclose(views.project(origin)[0], moved.project(origin)[0])
    before, after = (towards(one.shift).mT @ one.rotation for one in (views, moved))
    assert torch.allclose(before, after)
    assert torch.allclose(moved.focal / views.focal, torch.full((3,), math.exp(0.7)).double())


def test_another_lens_and_centre_keep_place_and_side():
    views = some_views()
    origin = torch.zeros(1, 3, dtype=torch.float64)
    other = views.through(2.5, (0.9, -0.2))
    assert torch.allclose(views.project(origin)[0], other.project(origin)[0])
    assert torch.allclose(other.focal, torch.full((3,), 2.5).double())
    before, after = (towards(one.shift).mT @ one.rotation for one in (views, other))
    assert torch.allclose(before, after)
    assert torch.allclose(views.shift[:, 2] / views.focal, other.shift[:, 2] / other.focal)
    same = views.through(None, None)
    assert torch.allclose(same.shift, views.shift)


def test_towards_brings_the_axis_to_the_ray():
    rays = torch.tensor([[0.0, 0, -1], [1, 0, -1], [-0.3, 0.8, -0.5], [0, 0, -7]]).double()
    turned = towards(rays) @ torch.tensor([0.0, 0, -1]).double()
    assert torch.allclose(turned, torch.nn.functional.normalize(rays, dim=-1), atol=1e-12)
    assert torch.allclose(towards(rays)[0], torch.eye(3).double())
    angle = rotation_of(torch.tensor([[0.0, 0.0, math.pi / 2]], dtype=torch.float64))
    assert torch.allclose(angle[0] @ torch.tensor([1.0, 0, 0]).double(), torch.tensor([0.0, 1, 0]).double())


def test_first_views_fill_the_box():
    xyz = torch.from_numpy(points()[0])
    xyz = (xyz - xyz.mean(0)) / 1.6
    box = torch.tensor([0.2, 0.35, 0.8, 0.75])
    views = fill_box(any_rotations(50, xyz), xyz, box, 1.5, (0.9, -0.3))
    uv, depth = views.project(xyz)
    low, high = uv.amin(1), uv.amax(1)
    area = (high - low).prod(-1)
    assert torch.allclose(area, torch.full_like(area, 0.6 * 0.4), rtol=0.1)
    assert torch.allclose((low + high) / 2, torch.tensor([0.5, 0.55]).expand(50, 2), atol=0.02)
    assert bool((depth > 0).all())


def test_fronts_are_those_of_loops():
    """Sums over visible points against plain loops."""
    generator = torch.Generator().manual_seed(3)
    views = dataclasses.replace(some_views(2), centre=torch.full((2, 2), 0.5).double())
    xyz = 0.3 * torch.randn(80, 3, dtype=torch.float64, generator=generator)
    values = torch.rand(80, 2, dtype=torch.float64, generator=generator)
    sums = front_sums(views, xyz, values, 8)
    uv, depth = views.project(xyz)
    for b in range(2):
        expected = torch.zeros(64, 2, dtype=torch.float64)
        cells = [tuple((uv[b, i] * 8).floor().long().tolist()) for i in range(80)]
        for i, (u, v) in enumerate(cells):
            if 0 <= u < 8 and 0 <= v < 8:
                nearest = min(float(depth[b, k]) for k in range(80) if cells[k] == (u, v))
                if float(depth[b, i]) <= nearest + 0.04:
                    expected[v * 8 + u] += values[i]
        assert torch.allclose(sums[b], expected)


def test_colours_do_not_mind_the_light():
    """The true view has no difference under any brightness that is linear in the normal; another view has."""
    generator = np.random.default_rng(0)
    direction = generator.normal(size=(6000, 3))
    xyz = torch.from_numpy(
        (direction / np.linalg.norm(direction, axis=1, keepdims=True) / 2).astype(np.float32)
    )
    normals, paint = (
        2 * xyz,
        torch.where(xyz[:, :1] > 0, torch.tensor([0.8, 0.2, 0.2]), torch.tensor([0.2, 0.3, 0.8])),
    )
    views = Views(
        any_rotations(2, xyz),
        torch.tensor([[0.0, 0, -3.0]] * 2),
        torch.full((2,), 2.0),
        torch.full((2, 2), 0.5),
    )
    light = 0.5 + 0.3 * normals @ torch.tensor([0.3, 0.4, 0.5])
    values = torch.cat((torch.ones_like(light[:, None]), paint * light[:, None]), 1)
    sums = front_sums(views[:1], xyz, values, 24)[0]
    photo, cover = (
        (sums[:, 1:] / sums[:, :1].clamp(min=1)).view(24, 24, 3),
        (sums[:, 0] > 0).float().view(24, 24),
    )
    found = Painted(xyz, paint, normals, photo, cover).differences(views)
    assert float(found[0]) < 1e-3 < 0.02 < float(found[1])


def test_overlap_of_a_plate():
    """A plate of points over half of the mask's width has half of its pixels, at every density."""
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96] = 255
    target = Target(mask, None, (64.0, 64.0, 128.0))
    views = Views(torch.eye(3)[None], torch.tensor([[0.0, 0, -1]]), torch.ones(1), torch.full((1, 2), 0.5))
    for count in (2000, 20_000, 200_000):
        flat = np.random.default_rng(0).uniform(-0.25, 0.25, (count, 3)) * (0.5, 1, 0) + (0.125, 0, 0)
        assert outline_iou(views, torch.from_numpy(flat.astype(np.float32)), target)[0] == pytest.approx(
            0.5, abs=0.03
        )
    assert [closing_radius(n, 100) for n in (1000, 300, 100, 30, 1)] == [0, 1, 2, 3, 4]


@pytest.fixture
def quick(monkeypatch):
    """Few small stages, for what does not need the last degree."""
    stage = placing._Stage
    monkeypatch.setattr(placing, "_STAGES", (stage(32, 2.0, 600, 32, 6), stage(64, 1.2, 3000, 6, 8)))
    monkeypatch.setattr(placing, "_GRID", 600)


def angle(found, true) -> float:
    return float(rotation_angle_deg(found.world_to_cam[:, :3, :3], true.world_to_cam[:, :3, :3])[0])


def test_a_known_view_is_found():
    """Any rotation, the lens unknown: pose, focal length and outline; the object's own units and origin are kept."""
    true = camera(roll_deg=130.0)
    mask, rgb = picture(true)
    xyz, colors = points()
    stages = []
    found = place(xyz, mask, PlaceOptions(), rgb, colors, progress=lambda stage, share: stages.append(share))
    best = found.best
    assert angle(best.camera, true) < 2
    assert float(best.camera.fx[0]) == pytest.approx(float(true.fx[0]), rel=0.15)
    assert best.iou > 0.93
    inside = torch.from_numpy(xyz).double()[None]
    off = (best.camera.project(inside)[0] - true.project(inside)[0]).norm(dim=-1)
    assert float(off.mean()) < 1.0  # pixels of 200
    assert (stages == sorted(stages), stages[0], stages[-1]) == (True, 0.0, 1.0)


def test_units_and_origin_do_not_matter(quick):
    """Ten times the size, elsewhere: the same picture."""
    true = camera()
    mask, _ = picture(true)
    xyz = points()[0].astype(np.float64)
    options = PlaceOptions(focal_mm=45.0, up=True)
    first, second = place(xyz, mask, options), place(10 * xyz + (5.0, -3.0, 100.0), mask, options)
    again = place(xyz, mask, options)
    assert torch.equal(again.best.camera.world_to_cam, first.best.camera.world_to_cam)
    uv = first.best.camera.project(torch.from_numpy(xyz)[None])[0]
    other = second.best.camera.project(torch.from_numpy(10 * xyz + (5.0, -3.0, 100.0))[None])[0]
    assert float((uv - other).norm(dim=-1).mean()) < 0.3
    assert angle(first.best.camera, true) < 4
    assert float(first.best.camera.fx[0]) == pytest.approx(45 / 36 * 200)


def test_a_start_is_among_the_answers(quick):
    """The start's scores are told; a start at the truth is at least as good in the end."""
    true = camera()
    mask, _ = picture(true)
    xyz, _ = points()
    found = place(xyz, mask, PlaceOptions(), start=true.resized(400, 300))
    assert found.start is not None
    assert torch.allclose(found.start.camera.fx, true.fx, rtol=1e-5)
    assert angle(found.start.camera, true) < 0.1
    assert found.start.iou > 0.9
    assert found.best.cost <= found.start.cost
    assert angle(found.best.camera, true) < 3
    known = place(xyz, mask, PlaceOptions(focal_mm=90.0), start=true)
    assert float(known.best.camera.fx[0]) == pytest.approx(90 / 36 * 200, rel=1e-5)


def test_up_and_elevations_are_kept(quick):
    """Pictures of a leaning camera: --up finds an upright view near the limit, elevations stay in their range."""
    mask, _ = picture(camera(roll_deg=25.0))
    xyz, _ = points()
    extent = float(np.linalg.norm(np.ptp(xyz, axis=0)))
    for options in (PlaceOptions(up=True, roll_deg=3.0), PlaceOptions(up=True, elevation_deg=(-30.0, -10.0))):
        seen = place(xyz, mask, options).best.camera.world_to_cam[0]
        up = seen[:3, 2]
        assert abs(math.degrees(math.atan2(float(up[0]), float(up[1])))) < options.roll_deg + 4
        if options.elevation_deg is not None:
            eye = -(seen[:3, :3].T @ seen[:3, 3]).numpy() - (xyz.min(0) + xyz.max(0)) / 2
            assert math.degrees(math.asin(eye[2] / np.linalg.norm(eye))) < -10 + 4
    ground = place(xyz, mask, PlaceOptions(ground=True)).best.camera.world_to_cam[0]
    assert float(-(ground[:3, :3].T @ ground[:3, 3])[2]) > -0.05 * extent


def test_views_that_fit_alike_are_told(quick):
    """A box looks the same from behind; paint on one end tells which is right."""
    brick = (((-0.5, -0.2, 0.0), (0.5, 0.4, 0.3)), ((0.0, -0.2, 0.0), (0.5, 0.4, 0.3)))
    true = camera(eye=(1.5, -2.2, 1.2), target=(0, 0, 0.15))
    mask, rgb = picture(true, brick)
    xyz, colors = points(brick)
    blind = place(xyz, mask, PlaceOptions(up=True))
    apart = [one.apart_deg for one in blind.solutions]
    assert any(turn > 165 for turn in apart)
    assert apart[0] == pytest.approx(0, abs=0.1)
    assert all(turn >= 15 for turn in apart[1:])
    costs = [one.cost for one in blind.solutions]
    assert costs == sorted(costs)
    assert costs[-1] <= costs[0] + 0.02
    seeing = place(xyz, mask, PlaceOptions(up=True), rgb, colors)
    assert angle(seeing.best.camera, true) < 6
    assert seeing.best.color_rms < 0.1
    assert place(xyz, mask, PlaceOptions(up=True, margin=0.0)).solutions[1:] == ()


def test_what_the_photograph_cuts_off_does_not_count():
    """Beyond the border nothing is known."""
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 0:20] = 255
    level = Target.of(mask).level(32, 1.0, 100)
    assert float(level.valid.min()) == 0
    assert float(level.valid[:, -8:].min()) == 1
    assert float(level.mask[16, 4]) == pytest.approx(1, abs=0.02)


def test_descent_never_ends_higher():
    true = camera()
    mask, _ = picture(true)
    xyz = torch.from_numpy(points(count=1000)[0]) / 1.6
    target = Target.of(mask)
    level = target.level(32, 1.5, 1000)
    views = fill_box(any_rotations(20, xyz), xyz, target.mask_box(), 1.5, (0.5, 0.5))
    wishes = Wishes(1.5, (0.5, 0.5), 1.5)
    before = outline.costs(views, xyz, level, level.plate()) + wishes.cost(views)
    result = descend(views, xyz, level, wishes, ALL[:7], 6)
    assert bool((result.cost <= before + 1e-6).all())
    after = outline.costs(result.views, xyz, level, level.plate()) + wishes.cost(result.views)
    assert torch.allclose(after, result.cost, atol=1e-5)
    assert torch.equal(result.views.centre, views.centre)


GOOD = {"xyz": points(count=200)[0], "mask": np.pad(np.full((20, 20), 255, np.uint8), 10)}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"xyz": np.zeros((5, 3))}, "has 5 points"),
        ({"xyz": np.zeros((50, 3))}, "all coincide"),
        ({"xyz": np.zeros((50, 2))}, "shape"),
        ({"xyz": np.full((50, 3), np.nan)}, "finite"),
        ({"mask": np.zeros((20, 20), np.uint8)}, "empty"),
        ({"mask": np.zeros((20, 20))}, "uint8"),
        ({"mask": np.zeros((20, 20, 3), np.uint8)}, "shape"),
    ],
)
def test_bad_input_is_one_sentence(wrong, sentence):
    given = GOOD | wrong
    with pytest.raises(InputError, match=sentence):
        place(given["xyz"], given["mask"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"focal_mm": 0.0}, {"focal_mm": math.nan}, {"sensor_mm": -3.0}, {"roll_deg": 100.0},
        {"elevation_deg": (20.0, 10.0)}, {"elevation_deg": (-100.0, 0.0)}, {"margin": -0.1},
    ],
)  # fmt: skip
def test_bad_options_are_one_sentence(wrong):
    with pytest.raises(ConfigError, match="Expected"):
        place(GOOD["xyz"], GOOD["mask"], PlaceOptions(**wrong))


def test_scenes_have_no_symmetry():
    """What the tests above rest on: the boxes are not mirrored or turned into themselves."""
    centres = np.array([np.array(low) + np.array(size) / 2 for low, size in BOXES])
    for sign in ((-1, 1, 1), (1, -1, 1), (-1, -1, 1)):
        moved = centres * sign
        assert np.abs(moved[:, None] - centres[None]).sum(-1).min(1).max() > 0.1
