# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016), named as in torchvision."""

from pathlib import Path

import torch
from torch import nn

from ..errors import CheckpointError
from ..io.weights import load_tensors


class Resnet18(nn.Module):
    """Images (B,C,S,S), normalised, to the mean over places of the last stage (B,8*width)."""

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,8*width)."""
        hidden = torch.relu(self.bn1(self.conv1(images)))
        hidden = nn.functional.max_pool2d(hidden, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        return hidden.mean((-1, -2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        changed = stride != 1 or inputs != outputs
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if changed
            else None
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B,inputs,H,W) to (B,outputs,H/stride,W/stride)."""
        hidden = torch.relu(self.bn1(self.conv1(values)))
        shortcut = values if self.downsample is None else self.downsample(values)
        return torch.relu(self.bn2(self.conv2(hidden)) + shortcut)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def load_resnet(network: Resnet18, path: str | Path) -> None:
    """Load weights under torchvision's names from a safetensors file; raise CheckpointError when they do not fit.

    The classifier ("fc") is left out. Where images have a fourth channel, the mask, its weights start at 0.
    """
    given = {name: value for name, value in load_tensors(Path(path)).items() if not name.startswith("fc.")}
    own = network.state_dict()
    first = given.get("conv1.weight")
    if first is not None and first.ndim == 4 and first.shape[1] < own["conv1.weight"].shape[1]:
        extra = own["conv1.weight"].shape[1] - first.shape[1]
        given["conv1.weight"] = nn.functional.pad(first, (0, 0, 0, 0, 0, extra))
    # Old files have no count of batches.
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    given = counters | given
    names = own.keys() | given.keys()
    wrong = sorted(n for n in names if n not in own or n not in given or own[n].shape != given[n].shape)
    if wrong:
        raise CheckpointError(
            f"{path} does not fit ResNet-18 of width {own['bn1.weight'].shape[0]}: {len(wrong)} tensors differ, for "
            f"example {wrong[0]!r}. Expected weights under torchvision's names; files are made for model.width 64."
        )
    network.load_state_dict(given)
