# SPDX-License-Identifier: Apache-2.0
"""Silhouette losses against their formulas pixel by pixel, their gradients, and the traps of the published forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from recon_core.errors import ConfigError, InputError
from recon_core.losses.silhouette import multiscale_silhouette_loss, silhouette_loss

KINDS = ("l2", "l2_sum", "l2_half_sum", "l1", "iou", "bce", "bce_logits", "bce_capnet", "bce_differ")


def by_pixel(p: float, t: float, kind: str, w: float = 1.0) -> float:
    """One pixel of every loss but iou, in plain Python."""
    if kind in ("l2", "l2_sum", "l2_half_sum"):
        return (p - t) ** 2 * (0.5 if kind == "l2_half_sum" else 1)
    if kind == "l1":
        return abs(p - t)
    if kind == "bce_logits":
        p = 1 / (1 + math.exp(-p))
    if kind == "bce_capnet":
        return -w * t * math.log(p + 1e-8) - (1 - t) * math.log(abs(1 - p - 1e-8))
    if kind == "bce_differ":
        return -w * t * math.log(p + 1e-8) - (1 - t) * math.log(abs(1 - p + 1e-8))
    return -w * t * math.log(p) - (1 - t) * math.log(1 - p)


def images(generator, *shape, dtype=torch.float64):
    """A prediction away from 0 and 1, and an anti-aliased target."""
    predicted = torch.rand(*shape, generator=generator, dtype=dtype) * 0.9 + 0.05
    return predicted, torch.rand(*shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "iou"])
def test_every_loss_is_its_formula(generator, kind):
    """Sums and means over the pixels of each image alone."""
    predicted, target = images(generator, 2, 3, 4, 5)
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for b in range(2):
        for v in range(3):
            pixels = zip(predicted[b, v].flatten().tolist(), target[b, v].flatten().tolist())
            expected[b, v] = sum(by_pixel(p, t, kind) for p, t in pixels) / (1 if "sum" in kind else 20)
    torch.testing.assert_close(silhouette_loss(predicted, target, kind), expected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("bce")])
def test_positive_weight_weighs_the_foreground_alone(generator, kind):
    """CAPNet's weighted form."""
    predicted, target = images(generator, 1, 2, 2)
    expected = sum(
        by_pixel(p, t, kind, 0.5) for p, t in zip(predicted.flatten().tolist(), target.flatten().tolist())
    )
    got = silhouette_loss(predicted, target, kind, positive_weight=0.5)
    assert float(got) == pytest.approx(expected / 4)
    background = torch.zeros_like(target)
    torch.testing.assert_close(
        silhouette_loss(predicted, background, kind, positive_weight=0.5),
        silhouette_loss(predicted, background, kind),
    )


def test_iou_of_binary_masks_counts_pixels():
    """Two pixels common, four in either; empty against empty is no error."""
    first, second = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)
    first[0, 0, :] = 1
    second[0, 0, 1:] = 1
    second[0, 1, 0] = 1
    assert float(silhouette_loss(first, second, "iou")) == pytest.approx(0.5)
    assert float(silhouette_loss(first, first, "iou")) == 0
    assert torch.isfinite(silhouette_loss(torch.zeros(1, 3, 3), torch.zeros(1, 3, 3), "iou")).all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(generator, kind):
    """Single scale and pyramid, of even and odd sizes."""
    predicted, target = images(generator, 2, 5, 4)
    predicted.requires_grad_()
    assert gradcheck(lambda p: silhouette_loss(p, target, kind), (predicted,))
    assert gradcheck(lambda p: multiscale_silhouette_loss(p, target, kind), (predicted,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(kind, dtype, device):
    """Hard predictions, right and wrong, in every type and on every device."""
    predicted = torch.tensor([[0.0, 1.0, 0.0, 1.0]], dtype=dtype, device=device, requires_grad=True)
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=dtype, device=device)
    loss = silhouette_loss(predicted, target, kind)
    assert (loss.dtype, loss.device.type, loss.shape) == (dtype, device.type, ())
    loss.backward()
    assert torch.isfinite(loss)
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_published_forms_have_the_traps_that_the_docstring_names():
    """A coverage as a logit has a floor; CAPNet's form pushes a wrong full pixel further, ours and DIFFER's do not."""
    full, none = torch.ones(1, 1), torch.zeros(1, 1)
    assert float(silhouette_loss(none, none, "bce_logits")) == pytest.approx(math.log(2))
    assert float(silhouette_loss(full, full, "bce_logits")) == pytest.approx(0.3133, abs=1e-4)
    slopes = {}
    for kind in ("bce_capnet", "bce_differ"):
        wrong = torch.ones(1, 1, requires_grad=True)
        silhouette_loss(wrong, none, kind).backward()
        assert wrong.grad is not None
        slopes[kind] = float(wrong.grad)
    assert slopes["bce_capnet"] == pytest.approx(-1e8)
    assert slopes["bce_differ"] == pytest.approx(1e8)


def test_multiscale_is_the_sum_over_averaged_images(generator):
    """Levels by hand; a level of weight 0 is left out; one level is the plain loss."""
    predicted, target = images(generator, 2, 8, 4)

    def blocks(image, n):
        return image.view(2, 8 // n, n, 4 // n, n).mean((2, 4))

    expected = 0.5 * silhouette_loss(predicted, target, "l1")
    expected = expected + 2 * silhouette_loss(blocks(predicted, 4), blocks(target, 4), "l1")
    got = multiscale_silhouette_loss(predicted, target, "l1", level_weights=(0.5, 0.0, 2.0))
    torch.testing.assert_close(got, expected)
    one = multiscale_silhouette_loss(predicted, target, "bce_logits", level_weights=(1.0,))
    torch.testing.assert_close(one, silhouette_loss(predicted, target, "bce_logits"))


def test_windows_cut_by_the_frame_are_averaged_over_what_is_left():
    """Even images of odd size are as even at every level: 5 x 3, 3 x 2, 2 x 1, 1 x 1."""
    predicted, target = torch.full((5, 3), 0.7).double(), torch.full((5, 3), 0.2).double()
    for level in range(4):
        weights = (0.0,) * level + (1.0,)
        loss = multiscale_silhouette_loss(predicted, target, "l1", level_weights=weights)
        assert float(loss) == pytest.approx(0.5)


def test_coarse_levels_reach_a_far_point():
    """At full size a misplaced pixel does not matter more when it is farther; in the pyramid it does."""
    target, near, far = torch.zeros(8, 8), torch.zeros(8, 8), torch.zeros(8, 8)
    target[0, 0], near[0, 1], far[7, 7] = 1, 1, 1
    assert silhouette_loss(near, target, "l2") == silhouette_loss(far, target, "l2")
    assert multiscale_silhouette_loss(near, target, "l2") < multiscale_silhouette_loss(far, target, "l2")


def test_logits_are_averaged_as_probabilities():
    """Half of a window certain, half certainly not: one half, whatever the logits."""
    logits = torch.tensor([[30.0, -30.0], [-30.0, 30.0]])
    loss = multiscale_silhouette_loss(logits, torch.full((2, 2), 0.5), "bce_logits", level_weights=(0.0, 1.0))
    assert float(loss) == pytest.approx(math.log(2), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS), height=st.integers(1, 9), width=st.integers(1, 9), lead=st.integers(0, 3),
    levels=st.integers(1, 5),
)  # fmt: skip
def test_any_size(kind, height, width, lead, levels):
    """Leading axes are kept, also none of them; levels below one pixel repeat it."""
    shape = (2,) * lead + (height, width)
    predicted, target = images(torch.Generator().manual_seed(height), *shape)
    loss = multiscale_silhouette_loss(predicted, target, kind, level_weights=(1.0,) * levels)
    assert loss.shape == shape[:-2]
    assert torch.isfinite(loss).all()
    assert (loss > 0).all()


def test_flipping_and_permuting_change_nothing(generator):
    """Pixels are treated alike, views apart."""
    predicted, target = images(generator, 3, 6, 6)
    for kind in KINDS:
        loss = silhouette_loss(predicted, target, kind)
        torch.testing.assert_close(silhouette_loss(predicted.flip(-1), target.flip(-1), kind), loss)
        torch.testing.assert_close(
            silhouette_loss(predicted[[2, 0, 1]], target[[2, 0, 1]], kind), loss[[2, 0, 1]]
        )
        torch.testing.assert_close(silhouette_loss(predicted, target[:1], kind)[0], loss[0])


def test_bad_input_is_named():
    """An unknown kind, a weight that would be ignored, shapes that do not fit, useless levels."""
    image = torch.zeros(2, 4, 4)
    with pytest.raises(ConfigError, match=r"'l3'.*l2_half_sum"):
        silhouette_loss(image, image, "l3")
    with pytest.raises(ConfigError, match="positive_weight"):
        silhouette_loss(image, image, "l2", positive_weight=2.0)
    with pytest.raises(InputError, match=r"\(2, 4, 4\).*\(2, 4, 1\)"):
        silhouette_loss(image, image[..., :1], "l2")
    with pytest.raises(InputError, match="one size"):
        silhouette_loss(image, torch.zeros(3, 4, 4), "l2")
    with pytest.raises(ConfigError, match="level_weights"):
        multiscale_silhouette_loss(image, image, "l2", level_weights=(0.0,))
