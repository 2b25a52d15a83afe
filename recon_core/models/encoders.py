# SPDX-License-Identifier: Apache-2.0
"""Image encoders: RGB and mask in, one feature vector out."""

import math
from itertools import pairwise

import torch
from torch import nn


class ConvEncoder(nn.Module):
    """Stride-2 convolutions down to 4x4, then one linear layer: images (B,4,S,S) in [0,1] to features (B,F).

    S is a power of two from 16 to 256; the channels double at each stage from `width` up to 8 * width.
    """

    def __init__(self, image_size: int, width: int, features: int) -> None:
        super().__init__()
        stages = int(math.log2(image_size)) - 2
        channels = [4] + [width * min(2**stage, 8) for stage in range(stages)]
        blocks: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(pairwise(channels)):
            kernel = 5 if stage == 0 else 3
            blocks += [
                nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2),
                nn.GroupNorm(4, outputs),
                nn.SiLU(),
            ]
        self.convolutions = nn.Sequential(*blocks)
        self.project = nn.Linear(channels[-1] * 16, features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,4,S,S): RGB over the background in [0,1], and the mask."""
        spatial = self.convolutions(images * 2 - 1)  # (B, C, 4, 4)
        return nn.functional.silu(self.project(spatial.flatten(1)))
