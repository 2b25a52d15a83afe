# SPDX-License-Identifier: Apache-2.0
"""Convolutions padded as TensorFlow's "SAME", which the networks of 2018 and 2019 were trained with."""

import torch
from torch import nn


class SameConv2d(nn.Conv2d):
    """Convolution whose output has ceil(size / stride) pixels, the odd padding pixel at the right and bottom.

    With stride 2 and an even size a 5x5 kernel pads 1 before and 2 after, a 3x3 one 0 and 1; torch pads alike on both
    sides, which shifts the image by a pixel.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B,C,H,W) to (B,outputs,ceil(H/stride),ceil(W/stride))."""
        (height, width), kernel, stride = input.shape[-2:], self.kernel_size[0], self.stride[0]
        top, bottom = _padding(height, kernel, stride)
        left, right = _padding(width, kernel, stride)
        if (top, left) == (bottom, right):
            return nn.functional.conv2d(input, self.weight, self.bias, stride, (top, left))
        padded = nn.functional.pad(input, (left, right, top, bottom))
        return nn.functional.conv2d(padded, self.weight, self.bias, stride)


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
