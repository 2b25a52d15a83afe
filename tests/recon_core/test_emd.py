# SPDX-License-Identifier: Apache-2.0
"""Exact and entropic earth mover's distance against all permutations and plain scalings."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import emd_brute
from torch.autograd import gradcheck

from recon_core.errors import InputError
from recon_core.geometry.emd import assign, emd, sinkhorn


def pair(seed: int, first: int, second: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Random float64 clouds."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.rand(batch, count, 3, generator=generator, dtype=torch.float64) for count in (first, second)
    )  # pyright: ignore


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.booleans(), st.integers(0, 10_000))
def test_exact_agrees_with_every_permutation(count, squared, seed):
    a, b = (cloud[0].numpy() for cloud in pair(seed, count, count))
    assert emd(a, b, squared=squared) == pytest.approx(emd_brute.emd(a, b, squared=squared), rel=1e-12)


def test_the_matching_is_one_to_one_and_unaffected_by_order():
    a, b = (cloud[0].numpy() for cloud in pair(0, 50, 50))
    found = assign(a, b)
    assert sorted(found.index) == list(range(50))
    np.testing.assert_allclose(found.distance, np.linalg.norm(a - b[found.index], axis=1))
    order = np.random.default_rng(0).permutation(50)
    assert assign(a[order], b).mean(squared=False) == pytest.approx(found.mean(squared=False))
    assert emd(a, a[order], squared=False) == 0
    assert emd(a, a + (0.3, 0, 0), squared=True) == pytest.approx(
        0.09
    )  # a translation moves every point alike


def test_cost_and_value_may_differ():
    """On a line, crossing pairs cost as much as parallel ones in distance, but not in squares."""
    a = np.array([[0.0, 0, 0], [1, 0, 0]])
    b = np.array([[1.0, 0, 0], [2, 0, 0]])
    assert assign(a, b, squared_cost=True).mean(squared=False) == 1
    assert assign(a, b).mean(squared=False) == 1
    assert assign(a, b, squared_cost=True).mean(squared=True) == 1


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("epsilon", [1.0, 0.1])
def test_sinkhorn_agrees_with_plain_scalings(device, squared, epsilon):
    a, b = pair(1, 6, 4, batch=2)
    found = sinkhorn(
        a.to(device), b.to(device), squared=squared, epsilon=epsilon, debiased=False, tolerance=1e-10
    )
    expected = [
        emd_brute.transport(p.tolist(), q.tolist(), squared=squared, epsilon=epsilon) for p, q in zip(a, b)
    ]
    np.testing.assert_allclose(found.cpu(), expected, rtol=1e-8)


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("squared", [False, True])
def test_sinkhorn_gradcheck(debiased, squared):
    a, b = (cloud.requires_grad_() for cloud in pair(2, 4, 3))

    def loss(a, b):
        return sinkhorn(a, b, squared=squared, epsilon=0.3, debiased=debiased, iterations=300, tolerance=1e-9)

    assert gradcheck(loss, (a, b), atol=1e-6)


@pytest.mark.parametrize("squared", [False, True])
def test_sinkhorn_goes_to_the_exact_distance(squared):
    a, b = pair(3, 60, 60)
    exact = emd(a[0].numpy(), b[0].numpy(), squared=squared)
    errors = [
        abs(sinkhorn(a, b, squared=squared, epsilon=epsilon, iterations=2000, tolerance=1e-5).item() - exact)
        / exact
        for epsilon in (0.3, 0.03, 0.003, 0.0005)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_debiased_is_zero_at_equality_and_descends_to_it(device):
    """Gradient descent takes one cloud onto the other; the biased cost would leave it shrunk."""
    target = pair(4, 40, 1)[0].float().to(device) - 0.5
    assert sinkhorn(target, target.flip(1), squared=True, epsilon=0.05).abs().item() < 1e-5
    moving = (pair(5, 40, 1)[0].float().to(device) * 0.3).requires_grad_()
    for _ in range(40):
        loss = sinkhorn(moving, target, squared=True, epsilon=0.01, iterations=20)
        (gradient,) = torch.autograd.grad(loss.sum(), moving)
        moving = (moving - 0.4 * 40 * gradient / 2).detach().requires_grad_()
    assert emd(moving[0].detach().cpu().numpy(), target[0].cpu().numpy(), squared=False) < 0.05
    assert loss.item() < 0.003


def test_sinkhorn_in_float32_with_small_epsilon_stays_finite(device):
    a, b = (cloud.float().to(device).requires_grad_() for cloud in pair(6, 100, 70, batch=2))
    value = sinkhorn(a, b, squared=False, epsilon=1e-4, iterations=50)
    gradient = torch.autograd.grad(value.sum(), a)[0]
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()


def test_coincident_points_and_single_points(device):
    ones = torch.ones(1, 4, 3, device=device, requires_grad=True)
    for squared in (False, True):
        value = sinkhorn(ones, ones.detach(), squared=squared, epsilon=0.01)
        assert value.item() == 0
        assert (torch.autograd.grad(value.sum(), ones)[0] == 0).all()
    one, other = torch.zeros(1, 1, 3, device=device), torch.tensor([[[3.0, 4, 0]]], device=device)
    assert sinkhorn(one, other, squared=False, epsilon=0.01).item() == pytest.approx(5, rel=1e-6)
    assert emd(np.zeros((1, 3)), np.array([[3.0, 4, 0]]), squared=True) == pytest.approx(25)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "same N"),
        (np.zeros((3, 3)), np.zeros((4, 3)), "same N"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "same N"),
        (np.full((3, 3), np.inf), np.zeros((3, 3)), "finite"),
    ],
)
def test_unusable_clouds_are_refused(a, b, message):
    with pytest.raises(InputError, match=message):
        emd(a, b, squared=False)
    if message == "finite" or not len(a):
        with pytest.raises(InputError, match="finite clouds"):
            sinkhorn(torch.tensor(a)[None], torch.tensor(b)[None], squared=False, epsilon=1)


def test_sizes_beyond_memory_are_refused_before_allocation():
    huge = np.zeros((200_000, 3))
    with pytest.raises(InputError, match="needs 305176 MiB"):
        emd(huge, huge, squared=False)
    with pytest.raises(InputError, match="fewer points"):
        sinkhorn(torch.zeros(1, 200_000, 3), torch.zeros(1, 200_000, 3), squared=False, epsilon=0.1)


def test_other_bad_requests_are_refused():
    point = torch.zeros(1, 1, 3)
    with pytest.raises(InputError, match="epsilon"):
        sinkhorn(point, point, squared=False, epsilon=0)
    with pytest.raises(InputError, match="batches of 2"):
        sinkhorn(point.expand(2, 1, 3), point, squared=False, epsilon=1)
