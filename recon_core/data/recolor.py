# SPDX-License-Identifier: Apache-2.0
"""Other colours for whole objects: the input and all views change alike, so what is learnt of colours stays true."""

from dataclasses import dataclass

import torch

from .draws import Draw

# Largest logarithm of a channel's exponent, and the range of the factor on the distance from grey.
_GAMMA = 0.5
_SATURATION = (0.0, 1.3)


@dataclass(frozen=True)
class Recolor:
    """One change of colours per object: an order of the channels (B,3), exponents (B,3) and saturation (B,)."""

    order: torch.Tensor
    gamma: torch.Tensor
    saturation: torch.Tensor

    def __call__(self, rgb: torch.Tensor) -> torch.Tensor:
        """Straight sRGB (B,...,3,H,W) in [0, 1] in the objects' new colours, same shape."""
        shape = (len(rgb), *[1] * (rgb.ndim - 4))
        order = self.order.view(*shape, 3, 1, 1).expand(*rgb.shape)
        swapped = rgb.gather(-3, order)
        grey = swapped.mean(-3, keepdim=True)
        vivid = grey + (swapped - grey) * self.saturation.view(*shape, 1, 1, 1)
        return vivid.clamp(1e-4, 1) ** self.gamma.view(*shape, 3, 1, 1)


def draw_recolor(like: torch.Tensor, share: float, generator: torch.Generator) -> Recolor:
    """Changes for a batch like (B,...): for a `share` of the objects channels in another order, brighter or darker one
    by one, greyer or more vivid; nothing for the others."""
    draw = Draw(like, generator)
    changed = draw.chosen(share)[:, None]
    order = torch.where(changed > 0, draw.uniform(len(like), 3).argsort(1), torch.arange(3).to(like.device))
    gamma = (draw.symmetric(_GAMMA, 3) * changed).exp()
    low, high = _SATURATION
    saturation = 1 + (draw.between(low, high) - 1) * changed[:, 0]
    return Recolor(order, gamma, saturation)
