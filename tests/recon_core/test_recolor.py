# SPDX-License-Identifier: Apache-2.0
"""Objects in other colours: all their pictures alike, the others untouched, in range."""

import torch

from recon_core.data.recolor import draw_recolor


def test_all_pictures_of_an_object_change_alike(generator, device):
    rgb = torch.rand(6, 1, 3, 4, 4, generator=generator).to(device).expand(6, 3, 3, 4, 4)
    changed = draw_recolor(rgb, 1.0, generator)(rgb)
    assert changed.shape == rgb.shape
    assert torch.equal(changed[:, 0], changed[:, 2])
    assert ((changed - rgb).abs().flatten(1).amax(1) > 1e-3).all()
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert len({tuple(order) for order in draw_recolor(rgb, 1.0, generator).order.tolist()}) > 1


def test_only_a_share_changes(generator):
    rgb = torch.rand(400, 3, 2, 2, generator=generator) * 0.9 + 0.05
    changed = (draw_recolor(rgb, 0.3, generator)(rgb) - rgb).abs().flatten(1).amax(1) > 1e-5
    assert 80 < int(changed.sum()) < 160
    assert torch.allclose(draw_recolor(rgb, 0.0, generator)(rgb), rgb, atol=1e-6)


def test_the_same_generator_state_gives_the_same_colours():
    rgb = torch.rand(4, 3, 2, 2)
    first, second = (draw_recolor(rgb, 0.5, torch.Generator().manual_seed(3))(rgb) for _ in range(2))
    assert torch.equal(first, second)
