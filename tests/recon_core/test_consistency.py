# SPDX-License-Identifier: Apache-2.0
"""Cycle, neighbour and symmetry losses against closed forms and searches over all pairs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from recon_core.errors import InputError
from recon_core.losses.consistency import (
    geometric_cycle,
    nearest_neighbours,
    neighbour_mask_loss,
    pose_cycle,
    symmetry_loss,
    symmetry_loss_released,
)
from recon_core.losses.features import mask_loss


def all_pairs_chamfer(a, b):
    """Squared Chamfer distance of two clouds (N,3), (M,3), both directions summed."""
    apart = (a[:, None] - b[None]).square().sum(-1)
    return apart.amin(1).mean() + apart.amin(0).mean()


def test_geometric_cycle_pairs_the_right_clouds(generator, device):
    """Each form against all pairs; gradients of both clouds at a random cotangent."""
    clouds = torch.randn(2, 4, 30, 3, generator=generator, dtype=torch.float64).to(device).requires_grad_()
    pairs = {
        "first": [(0, 1), (0, 2), (0, 3)],
        "adjacent": [(0, 1), (1, 2), (2, 3)],
        "first_released": [(0, 0), (0, 1), (0, 2)],
    }
    cotangent = torch.randn(2, 3, generator=generator, dtype=torch.float64).to(device)
    for compare, wanted in pairs.items():
        got = geometric_cycle(clouds, compare)
        exact = torch.stack(
            [torch.stack([all_pairs_chamfer(one[i], one[j]) for i, j in wanted]) for one in clouds]
        )
        torch.testing.assert_close(got, exact)
        (to_got,) = torch.autograd.grad((got * cotangent).sum(), clouds)
        (to_exact,) = torch.autograd.grad((exact * cotangent).sum(), clouds)
        torch.testing.assert_close(to_got, to_exact)
    assert geometric_cycle(clouds, "first_released")[:, 0].abs().max() == 0


def test_geometric_cycle_of_one_render(generator):
    """P = 1: one pair; the released loop then compares the first with itself alone."""
    clouds = torch.randn(3, 2, 10, 3, generator=generator)
    assert geometric_cycle(clouds).shape == (3, 1)
    torch.testing.assert_close(geometric_cycle(clouds, "adjacent"), geometric_cycle(clouds))
    assert bool((geometric_cycle(clouds, "first_released") == 0).all())


def test_pose_cycle_goes_the_shorter_way():
    """-179 and 179 degrees are 2 apart; 358 in the released form."""
    a, b = (torch.deg2rad(torch.tensor([[angle, 10.0]]).double()) for angle in (-179.0, 179.0))
    assert float(pose_cycle(a, b)) == pytest.approx(math.radians(1))  # mean of 2 and 0
    assert float(pose_cycle(a, b, wrap=False)) == pytest.approx(math.radians(179))
    assert float(pose_cycle(a, b, "l2")) == pytest.approx(math.radians(2))
    assert float(pose_cycle(a, b, "l2_sq")) == pytest.approx(math.radians(2) ** 2 / 2)
    assert float(pose_cycle(a, b, "cosine")) == pytest.approx((1 - math.cos(math.radians(2))) / 2)


def test_pose_cycle_gradient_points_the_shorter_way():
    """At -179 degrees with 179 as the answer, the angle must fall."""
    predicted = torch.deg2rad(torch.tensor([-179.0])).requires_grad_()
    pose_cycle(predicted, torch.deg2rad(torch.tensor([179.0]))).backward()
    assert float(predicted.grad) == 1.0


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-3, 3), other=st.floats(-3, 3), turns=st.integers(-3, 3))
def test_pose_cycle_ignores_whole_turns(angle, other, turns):
    """Adding 2 pi changes nothing; the difference never exceeds pi."""
    a, b = torch.tensor([[angle]]).double(), torch.tensor([[other]]).double()
    loss = pose_cycle(a, b)
    assert float(loss) <= math.pi + 1e-9
    torch.testing.assert_close(pose_cycle(a + 2 * math.pi * turns, b), loss, atol=1e-9, rtol=0)
    torch.testing.assert_close(pose_cycle(b, a), loss, atol=1e-9, rtol=0)


def test_nearest_neighbours_agree_with_a_sort(generator, device):
    """Without the row itself, nearest first."""
    features = torch.randn(40, 8, generator=generator)
    expected = [
        [j for j in (row - features).norm(dim=1).argsort().tolist() if j != i][:3]
        for i, row in enumerate(features)
    ]
    assert nearest_neighbours(features.to(device), 3).tolist() == expected


def test_neighbours_are_of_other_groups(generator, monkeypatch):
    """Views of one object are no neighbours; in small blocks the same."""
    features = torch.randn(30, 4, generator=generator)
    groups = torch.arange(30) % 10
    index = nearest_neighbours(features, 5, groups)
    assert bool((groups[index] != groups[:, None]).all())
    monkeypatch.setattr("recon_core.losses.consistency._BLOCK_PAIRS", 70)
    assert bool((nearest_neighbours(features, 5, groups) == index).all())
    assert nearest_neighbours(features[:0], 2).shape == (0, 2)
    with pytest.raises(InputError, match="27 candidates"):
        nearest_neighbours(features, 28, groups)


def test_neighbour_mask_loss_is_the_mean_of_mask_losses(generator):
    """Each neighbour as the object's own mask."""
    rendered = torch.rand(2, 3, 6, 6, generator=generator)
    masks = (torch.rand(2, 3, 6, 6, generator=generator) > 0.5).float()
    options = {"silhouette": "bce_logits", "affinity": "released", "weights": (0.3, 0.7)}
    one_by_one = [mask_loss(rendered[:, k], masks[:, k], **options) for k in range(3)]
    torch.testing.assert_close(
        neighbour_mask_loss(rendered, masks, **options), torch.stack(one_by_one).mean(0)
    )


def test_symmetry_of_symmetric_and_shifted_clouds(generator):
    """0 for a mirrored cloud; a plane of points at x = d is 2d from its image: 2 (2d)^2."""
    half = torch.randn(1, 40, 3, generator=generator, dtype=torch.float64)
    both = torch.cat((half, half * half.new_tensor([-1, 1, 1])), 1)
    assert float(symmetry_loss(both)) < 1e-20
    assert float(symmetry_loss(both, (0.0, 1.0, 0.0))) > 1e-3
    wall = half.clone()
    wall[..., 0] = 0.3
    assert float(symmetry_loss(wall)) == pytest.approx(2 * 0.6**2)
    assert float(symmetry_loss(wall, torch.tensor([0.0, 0.0, 5.0]))) < float(symmetry_loss(wall))


def test_symmetry_is_the_chamfer_distance_to_the_mirror_image(generator):
    """Any plane: values and gradients against all pairs; gradcheck."""
    xyz = torch.randn(2, 12, 3, generator=generator, dtype=torch.float64).requires_grad_()
    normal = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    unit = normal / normal.norm()
    mirror = torch.eye(3, dtype=torch.float64) - 2 * unit[:, None] * unit
    exact = torch.stack([all_pairs_chamfer(one, one @ mirror) for one in xyz])
    got = symmetry_loss(xyz, normal)
    torch.testing.assert_close(got, exact)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss[0] - 3 * loss[1], xyz, retain_graph=True)[0] for loss in (got, exact))
    )
    assert gradcheck(lambda points: symmetry_loss(points, normal), (xyz,))


def test_released_symmetry_has_its_errors(generator):
    """Halves: the origin attracts even a symmetric cloud. Points: 2/3 (|x| + |y|), matching or not."""
    xyz = torch.tensor([[[2.0, 0.0, 1.0], [-2.0, 0.0, 1.0]]])
    assert float(symmetry_loss(xyz)) == 0
    # Clouds {(2,0,1), 0} and {0, (2,0,1)}: equal as sets, so 0 here; without symmetry the zeros cap the distance.
    assert float(symmetry_loss_released(xyz, "halves")) == 0
    lonely = torch.tensor([[[2.0, 0.0, 1.0], [3.0, 0.0, 1.0]]])
    assert float(symmetry_loss_released(lonely, "halves")) == pytest.approx((5 + 10) / 2 + 5)
    cloud = torch.randn(2, 9, 3, generator=generator)
    expected = 2 * (cloud[..., 0].abs() + cloud[..., 1].abs()).mean(1) / 3
    torch.testing.assert_close(symmetry_loss_released(cloud, "points"), expected)
    flipped = cloud * torch.tensor([1.0, -1, -1])
    torch.testing.assert_close(
        symmetry_loss_released(cloud, "points", (1, 2)), (cloud - flipped).abs().mean((1, 2))
    )


def test_bad_input_is_named(generator):
    """What is wrong, and what was given."""
    cloud = torch.randn(2, 5, 3, generator=generator)
    with pytest.raises(InputError, match="clouds"):
        geometric_cycle(cloud[:, None])
    with pytest.raises(InputError, match="compare"):
        geometric_cycle(torch.stack((cloud, cloud), 1), "last")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="angles"):
        pose_cycle(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(InputError, match="K >= 1"):
        neighbour_mask_loss(torch.zeros(2, 0, 4, 4), torch.zeros(2, 0, 4, 4))
    with pytest.raises(InputError, match="normal"):
        symmetry_loss(cloud, (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="clouds"):
        symmetry_loss(cloud[:, :0])
    with pytest.raises(InputError, match="form"):
        symmetry_loss_released(cloud, "none")  # pyright: ignore[reportArgumentType]
