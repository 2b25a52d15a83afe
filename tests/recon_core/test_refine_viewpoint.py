# SPDX-License-Identifier: Apache-2.0
"""Refinement under predicted cameras: which viewpoint is taken, what it may turn, what points claim afterwards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refine_scenes import camera, seat, silhouette

from recon_core.cameras import Cameras, matrix_to_quaternion, rotation_angle_deg
from recon_core.errors import InputError
from recon_core.inference.photo_camera import fit_camera, hypotheses_record, result_pose
from recon_core.pointcloud import PointCloud
from recon_core.refining.attributes import NOTE, lowered, seen_again, with_attributes
from recon_core.refining.hypotheses import read_hypotheses, refitted, viewpoints_of
from recon_core.refining.refine import RefineOptions, refine
from recon_core.refining.targets import joined
from recon_core.refining.verb import KEPT
from recon_core.refining.viewpoint import Viewpoints

QUICK = RefineOptions(steps=20, size=32, sigma_px=(2.5, 0.7), anchors=40, points=400, learning_rate=0.12)
TRUE = camera(35.0)
MASK = silhouette(seat(6000, seed=9), TRUE)
CLOUD = PointCloud(seat(600, seed=5))


def angle(one: Cameras, other: Cameras = TRUE) -> float:
    """Degrees between the rotations of two cameras."""
    return float(rotation_angle_deg(one.world_to_cam[0, :3, :3].double(), other.world_to_cam[0, :3, :3]))


def several(*azimuths: float) -> Viewpoints:
    """Viewpoints, the first three times as probable as each other one."""
    shares = np.array([3.0] + [1.0] * (len(azimuths) - 1))
    return Viewpoints(joined([camera(azimuth) for azimuth in azimuths]), shares)


def test_the_viewpoint_that_fits_is_taken():
    """The first is a quarter turn off, the second 8 degrees: that one is taken, and turned towards the truth."""
    known = several(125.0, 43.0, 215.0)
    result = refine(CLOUD, [camera(125.0)], [MASK], QUICK, viewpoints=[known])
    assert result.figures.viewpoints == (1,)
    assert angle(result.cameras[0]) < 6.5
    assert result.figures.turned_deg == pytest.approx(angle(result.cameras[0], camera(125.0)), abs=0.1)
    assert result.figures.objective[1] < result.figures.objective[0]
    alone = refine(CLOUD, [camera(125.0)], [MASK], QUICK)
    assert alone.figures.viewpoints == (0,)
    assert angle(alone.cameras[0]) > 45


def test_what_fits_alike_goes_by_the_shares():
    """A cloud that looks alike from in front and from behind: the given viewpoint stays, as it is more probable."""
    block = PointCloud(
        (np.random.default_rng(0).uniform(-0.5, 0.5, (600, 3)) * (0.6, 0.6, 0.4)).astype(np.float32)
    )
    mask = silhouette(block.xyz, camera(30.0, 0.0))
    known = Viewpoints(joined([camera(30.0, 0.0), camera(210.0, 0.0)]), np.array([0.9, 0.1]))
    result = refine(block, [camera(30.0, 0.0)], [mask], replace(QUICK, steps=5), viewpoints=[known])
    assert result.figures.viewpoints == (0,)


def test_a_camera_that_is_kept_stays():
    known = several(125.0, 43.0)
    result = refine(CLOUD, [camera(125.0)], [MASK], replace(QUICK, camera=KEPT, steps=5), viewpoints=[known])
    assert result.figures.turned_deg == 0
    assert angle(result.cameras[0], camera(125.0)) < 0.05


def test_no_steps_change_nothing():
    """Neither cloud nor camera: what a better viewpoint is worth is seen by the objective alone."""
    result = refine(
        CLOUD, [camera(125.0)], [MASK], replace(QUICK, steps=0), viewpoints=[several(125.0, 43.0)]
    )
    assert np.array_equal(result.cloud.xyz, CLOUD.xyz)
    assert result.figures.turned_deg == 0
    assert result.figures.objective[0] == result.figures.objective[1]


@pytest.mark.parametrize("shares", [[1.0], [1.0, 0.0], [1.0, np.nan], []])
def test_bad_shares(shares):
    with pytest.raises(InputError, match="one share > 0"):
        Viewpoints(several(0.0, 10.0).cameras, np.array(shares))


def test_viewpoints_for_every_image():
    with pytest.raises(InputError, match="expected one for each"):
        refine(CLOUD, [TRUE], [MASK], QUICK, viewpoints=[several(1.0), several(2.0)])


def test_hypotheses_in_json():
    """Written and read, the likeliest first; the pose's own comes first whatever its score."""
    rotations = np.stack([camera(a).world_to_cam[0, :3, :3].numpy() for a in (125.0, 35.0, 60.0)])
    pose = result_pose(TRUE, (rotations, np.array([0.2, 0.7, 0.1])), False)
    assert pose is not None
    assert [one["score"] for one in pose["hypotheses"]] == [0.7, 0.2, 0.1]
    found = read_hypotheses({"pose": pose}, "a.json")
    assert found is not None
    known = viewpoints_of(CLOUD.xyz, TRUE, found, MASK)
    assert angle(known.cameras[:1]) < 0.05
    assert np.allclose(known.shares, [0.7, 0.2, 0.1])
    other = refitted(fit_camera(CLOUD.xyz, rotations[0], MASK, 2.0), CLOUD.xyz, MASK)
    assert float(known.cameras.fx[1]) == pytest.approx(float(other.fx), rel=1e-5)
    assert read_hypotheses({"pose": result_pose(TRUE, None, False)}, "a.json") is None
    assert read_hypotheses({}, "a.json") is None
    refined = result_pose(TRUE, (rotations, np.ones(3)), True)
    assert refined is not None
    assert "hypotheses" not in refined


def test_stray_points_do_not_zoom():
    """Ten of 600 points far outside: the lens is nearer to the true one than the outermost points say."""
    xyz = CLOUD.xyz.copy()
    xyz[:10] *= 1.7
    rotation = TRUE.world_to_cam[0, :3, :3].numpy()
    by_box = fit_camera(xyz, rotation, MASK, 2.0)
    by_spread = refitted(by_box, xyz, MASK)
    assert float(by_box.fx) < 0.92 * float(TRUE.fx)
    assert abs(float(by_spread.fx - TRUE.fx)) < 0.6 * abs(float(by_box.fx - TRUE.fx))
    assert float(by_spread.cx) == pytest.approx(48, abs=2)
    again = refitted(by_spread, xyz, MASK)
    assert float(again.fx) == pytest.approx(float(by_spread.fx), rel=1e-6)


@pytest.mark.parametrize(
    "hypotheses",
    [
        5,
        ["x"],
        [{"quaternion_wxyz": [1, 0, 0], "score": 1}],
        [{"quaternion_wxyz": [0, 0, 0, 0], "score": 1}],
        [{"quaternion_wxyz": [1, 0, 0, 0]}],
        [{"quaternion_wxyz": [1, 0, 0, 0], "score": 2}],
        [{"quaternion_wxyz": [1, 0, 0, 0], "score": float("nan")}],
        [{"quaternion_wxyz": [float("nan"), 0, 0, 0], "score": 1}],
        [{"quaternion_wxyz": [1, 0, 0, 0], "score": 0.01}] * 17,
    ],
)
def test_bad_hypotheses_are_a_sentence(hypotheses):
    with pytest.raises(InputError, match=r"a\.json: pose\.hypotheses"):
        read_hypotheses({"pose": {"hypotheses": hypotheses}}, "a.json")


def test_hypotheses_are_rotations():
    turned = camera(50.0).world_to_cam[:, :3, :3]
    record = hypotheses_record(turned.numpy(), np.ones(1))
    assert np.allclose(record[0]["quaternion_wxyz"], matrix_to_quaternion(turned)[0])


@given(arrays(np.float32, 20, elements=st.floats(0, 1, width=32)), st.floats(0.01, 100))
def test_confidence_is_never_higher(confidence, unit):
    """Kept by points that hardly moved; the further the others went the less they may claim, in any unit."""
    before = np.random.default_rng(0).uniform(-unit, unit, (20, 3))
    diagonal = np.linalg.norm(np.ptp(before, axis=0))
    shares = np.linspace(0, 0.19, 20)
    after = lowered(confidence, before, before + np.c_[shares * diagonal, np.zeros((20, 2))])
    assert (after <= confidence).all()
    assert np.array_equal(after[:3], confidence[:3])
    assert (after[shares > 0.12] <= 0.1001).all()
    cap = lowered(np.ones(20, np.float32), before, before + np.c_[shares * diagonal, np.zeros((20, 2))])
    assert (np.diff(cap) <= 1e-6).all()


def test_attributes_of_moved_points():
    """Visibility is that of the camera after; several cameras see more than one; a note is written once."""
    count = len(CLOUD)
    cloud = PointCloud(
        CLOUD.xyz, confidence=np.full(count, 0.8, np.float32), visibility=np.zeros(count, np.uint8),
        comments={"confidence": "calibrated"},
    )  # fmt: skip
    moved = replace(cloud, xyz=CLOUD.xyz + np.float32([0.09, 0, 0]) * (np.arange(count) < 50)[:, None])
    after = with_attributes(cloud, moved, [TRUE], None)
    assert after.confidence is not None
    assert after.visibility is not None
    assert (after.confidence[:50] < 0.4).all()
    assert (after.confidence[50:] == np.float32(0.8)).all()
    assert set(np.unique(after.visibility)) == {0, 1, 2}
    assert after.comments["confidence"] == f"calibrated; {NOTE}"
    again = with_attributes(after, after, [TRUE], None)
    assert again.comments["confidence"] == after.comments["confidence"]
    both = seen_again(after.xyz, [TRUE, camera(215.0)])
    assert (both >= after.visibility).all()
    assert (both == 2).sum() > (after.visibility == 2).sum()
