# SPDX-License-Identifier: Apache-2.0
"""Chamfer and F-score against plain loops: value, gradient, both searches, invariances, degenerate clouds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import chamfer_brute
from torch.autograd import gradcheck, gradgradcheck

from recon_core.cameras import random_rotations
from recon_core.errors import InputError
from recon_core.geometry.chamfer import chamfer, f_score, nearest_index

METHODS = ("tree", "blocks")


def clouds(generator, batch=2, first=40, second=30, dtype=torch.float64):
    """Two batches of random clouds of unlike sizes."""
    return (
        torch.rand(batch, first, 3, generator=generator, dtype=dtype),
        torch.rand(batch, second, 3, generator=generator, dtype=dtype),
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("squared", [False, True])
def test_agrees_with_plain_loops(generator, device, squared, method):
    a, b = clouds(generator)
    precision, coverage = chamfer(a.to(device), b.to(device), squared=squared, method=method)
    for index in range(2):
        expected = chamfer_brute.chamfer(a[index].tolist(), b[index].tolist(), squared=squared)
        assert (precision[index].item(), coverage[index].item()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("squared", [False, True])
def test_gradient_agrees_with_plain_loops(generator, device, squared, method):
    a, b = (cloud.to(device).requires_grad_() for cloud in clouds(generator, batch=1))
    precision, coverage = chamfer(a, b, squared=squared, method=method)
    found = torch.autograd.grad((precision + coverage).sum(), (a, b))
    expected = chamfer_brute.gradient(a[0].tolist(), b[0].tolist(), squared=squared)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one[0].cpu(), other, atol=1e-14)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck(generator, squared, reduction):
    inputs = [cloud.requires_grad_() for cloud in clouds(generator, first=7, second=5)]

    def weighted(a, b):
        return chamfer(a, b, squared=squared, reduction=reduction)

    assert gradcheck(weighted, inputs)
    assert gradgradcheck(weighted, inputs)


def test_both_searches_agree_on_float32_surfaces(generator):
    """Sizes beyond one block of distances, so that blocks are joined."""
    a, b = (
        torch.nn.functional.normalize(x - 0.5, dim=-1) for x in clouds(generator, 3, 500, 700, torch.float32)
    )
    results = [chamfer(a, b, squared=False, method="tree")]
    results += [chamfer(a, b, squared=False, method="blocks", chunk=chunk) for chunk in (1, 64, None)]
    results.append(chamfer(a, b, squared=False))  # auto
    for one in results[1:]:
        torch.testing.assert_close(torch.stack(one), torch.stack(results[0]), rtol=1e-6, atol=0)


def test_reductions_are_of_the_same_distances(generator):
    a, b = clouds(generator)
    forth, back = chamfer(a, b, squared=True, reduction="none")
    assert forth.shape == (2, 40)
    assert back.shape == (2, 30)
    for reduction in ("mean", "sum"):
        precision, coverage = chamfer(a, b, squared=True, reduction=reduction)
        torch.testing.assert_close(precision, getattr(forth, reduction)(1))
        torch.testing.assert_close(coverage, getattr(back, reduction)(1))


@pytest.mark.parametrize("squared", [False, True])
def test_coincident_points_have_value_and_gradient_zero(device, squared):
    a = torch.ones(1, 5, 3, device=device, requires_grad=True)
    total = torch.stack(chamfer(a, a.detach().clone(), squared=squared)).sum()
    (gradient,) = torch.autograd.grad(total, a)
    assert total == 0
    assert (gradient == 0).all()  # NaN would fail


def test_autograd_keeps_only_what_grows_with_the_points(generator):
    """No N x M tensor outlives the forward pass."""
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    a, b = (cloud.requires_grad_() for cloud in clouds(generator, 1, 400, 300))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        chamfer(a, b, squared=False, method="blocks")
    assert max(kept) <= 3 * 400


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_searched_in_float32(generator, dtype):
    a, b = (cloud.to(dtype) for cloud in clouds(generator))
    index = nearest_index(a, b, method="blocks")
    assert (index == nearest_index(a.double(), b.double(), method="blocks")).float().mean() > 0.99
    assert chamfer(a, b, squared=False)[0].dtype == dtype


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.integers(0, 10_000))
def test_symmetry_and_rigid_motion(first, second, batch, seed):
    """Swapping the clouds swaps the two directions; turning, moving and permuting change nothing."""
    generator = torch.Generator().manual_seed(seed)
    a, b = clouds(generator, batch, first, second)
    precision, coverage = chamfer(a, b, squared=False)
    swapped = chamfer(b, a, squared=False)
    torch.testing.assert_close(torch.stack(swapped[::-1]), torch.stack((precision, coverage)))
    turn = random_rotations(1, generator)[0].double()
    moved = [cloud[:, torch.randperm(cloud.shape[1], generator=generator)] @ turn.T + 0.3 for cloud in (a, b)]
    torch.testing.assert_close(
        torch.stack(chamfer(*moved, squared=False)), torch.stack((precision, coverage))
    )
    torch.testing.assert_close(chamfer(3 * a, 3 * b, squared=True)[0], 9 * chamfer(a, b, squared=True)[0])


@pytest.mark.parametrize("method", METHODS)
def test_f_score_agrees_with_plain_loops(generator, device, method):
    a, b = clouds(generator)
    found = f_score(a.to(device), b.to(device), (0.05, 0.2, 1e-9), method=method)
    expected = [
        [chamfer_brute.f_score(a[i].tolist(), b[i].tolist(), t) for t in (0.05, 0.2, 1e-9)] for i in range(2)
    ]
    np.testing.assert_allclose(found.cpu(), expected, rtol=1e-12)
    assert (found[:, 2] == 0).all()
    assert f_score(a, a, 0.1).tolist() == [[1.0], [1.0]]


def test_one_point_each(device):
    a = torch.zeros(1, 1, 3, device=device)
    b = torch.tensor([[[3.0, 4.0, 0.0]]], device=device)
    assert [value.item() for value in chamfer(a, b, squared=False)] == [5, 5]
    assert [value.item() for value in chamfer(a, b, squared=True)] == [25, 25]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 0, 3), torch.zeros(1, 2, 3), "first cloud"),
        (torch.zeros(1, 2, 3), torch.zeros(1, 0, 3), "second cloud"),
        (torch.zeros(2, 3), torch.zeros(1, 2, 3), "must be"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), "must be"),
        (torch.zeros(2, 2, 3), torch.zeros(1, 2, 3), "batches of 2"),
        (torch.zeros(1, 2, 3, dtype=torch.long), torch.zeros(1, 2, 3), "floating point"),
        (
            torch.full((1, 2, 3), torch.nan),
            torch.zeros(1, 2, 3),
            "2 points of the first cloud are not finite",
        ),
    ],
)
def test_unusable_clouds_are_refused(a, b, message):
    for method in METHODS:
        with pytest.raises(InputError, match=message):
            chamfer(a, b, squared=False, method=method)


def test_unknown_options_are_refused():
    point = torch.zeros(1, 1, 3)
    with pytest.raises(InputError, match="reduction"):
        chamfer(point, point, squared=False, reduction="median")  # pyright: ignore
    with pytest.raises(InputError, match="method"):
        chamfer(point, point, squared=False, method="fast")  # pyright: ignore
    with pytest.raises(InputError, match="chunk"):
        chamfer(point, point, squared=False, method="blocks", chunk=0)
    with pytest.raises(InputError, match="thresholds"):
        f_score(point, point, ())
