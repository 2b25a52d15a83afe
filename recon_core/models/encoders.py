# SPDX-License-Identifier: Apache-2.0
"""Image encoders by name: RGB and mask in, one feature vector out.

All share two sizes, so that each has a small variant that trains on a CPU: `width`, channels after the first
convolution, and `features`, the length of the result.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from ..methods.config import Config
from .resnet import Resnet18, load_resnet
from .same_padding import SameConv2d


class ConvEncoderConfig(Config):
    """Ours: stride-2 convolutions with group norm, then one linear layer."""

    kind: Literal["conv"] = "conv"
    blocks: Annotated[int, Field(ge=0, le=8)] = 0
    """Residual blocks of two convolutions (He et al., ECCV 2016) after each halving but the first and the last."""


class DpcEncoderConfig(Config):
    """DPC's (Insafutdinov and Dosovitskiy, NeurIPS 2018), also DRWR's and 2D projection matching's: width 16, features
    1024 there."""

    kind: Literal["dpc"] = "dpc"


class CapnetEncoderConfig(Config):
    """CAPNet's (Navaneet et al., AAAI 2019): twelve convolutions and a bottleneck; width 32, features 128 there."""

    kind: Literal["capnet"] = "capnet"


class DifferEncoderConfig(Config):
    """DIFFER's (Navaneet et al., CVPRW 2019), also ssl_3d_recon's: four convolutions and three layers; width 32,
    features 128 there."""

    kind: Literal["differ"] = "differ"


class ResnetEncoderConfig(Config):
    """ResNet-18 (He et al., CVPR 2016), as DIB-R's code; width 64, features 256 there."""

    kind: Literal["resnet18"] = "resnet18"
    weights: str | None = None
    """Safetensors file with weights under torchvision's names, for width 64; null starts from random ones."""


def by_name(value: object) -> object:
    """A bare name stands for a part without further fields."""
    return {"kind": value} if isinstance(value, str) else value


EncoderConfig = Annotated[
    Annotated[
        ConvEncoderConfig
        | DpcEncoderConfig
        | CapnetEncoderConfig
        | DifferEncoderConfig
        | ResnetEncoderConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(by_name),
]


def make_encoder(
    config: EncoderConfig, image_size: int, width: int, features: int, channels: int = 4
) -> nn.Module:
    """The encoder of a configuration, with weights of its own: images (B,channels,S,S) in [0,1] to features (B,F)."""
    if isinstance(config, ResnetEncoderConfig):
        return ResnetEncoder(width, features, channels)
    if isinstance(config, ConvEncoderConfig):
        return ConvEncoder(image_size, width, features, channels, config.blocks)
    kinds = {"dpc": DpcEncoder, "capnet": CapnetEncoder, "differ": DifferEncoder}
    return kinds[config.kind](image_size, width, features, channels)


def load_start(encoder: nn.Module, config: EncoderConfig) -> None:
    """Load the weights that a configuration asks to start from, if any; raise CheckpointError when they do not fit."""
    if isinstance(config, ResnetEncoderConfig) and config.weights is not None:
        assert isinstance(encoder, ResnetEncoder)
        load_resnet(encoder.trunk, config.weights)


class ConvEncoder(nn.Module):
    """Stride-2 convolutions down to 4x4, then one linear layer: images (B,C,S,S) in [0,1] to features (B,F).

    S is a power of two from 16 to 256; the channels double at each stage from `width` up to 8 * width.
    """

    def __init__(
        self, image_size: int, width: int, features: int, channels: int = 4, blocks: int = 0
    ) -> None:
        super().__init__()
        stages = int(math.log2(image_size)) - 2
        widths = [channels] + [width * min(2**stage, 8) for stage in range(stages)]
        layers: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(pairwise(widths)):
            kernel = 5 if stage == 0 else 3
            layers += [
                nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2),
                nn.GroupNorm(4, outputs),
                nn.SiLU(),
            ]
            if 0 < stage < stages - 1:
                layers += [ResidualBlock(outputs) for _ in range(blocks)]
        self.convolutions = nn.Sequential(*layers)
        self.project = nn.Linear(widths[-1] * 16, features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,C,S,S): RGB over the background in [0,1], and the mask."""
        spatial = self.convolutions(images * 2 - 1)  # (B, C, 4, 4)
        return nn.functional.silu(self.project(spatial.flatten(1)))


class ResidualBlock(nn.Module):
    """x + f(x) of maps (B,C,H,W): normalise, SiLU, 3x3 convolution, twice; f starts as nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(4, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, 1, 1),
            nn.GroupNorm(4, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, 1, 1),
        )  # fmt: skip
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (B,C,H,W), of the same size."""
        return maps + self.layers(maps)


class DpcEncoder(nn.Module):
    """DPC: a 5x5 convolution, then pairs of 3x3 ones down to 4x4, two linear layers; leaky ReLU 0.2, He's start.

    The third layer of 1024 ("ids") is the decoder's first here, as the pose branches leave from the second.
    """

    def __init__(self, image_size: int, width: int, features: int, channels: int = 4) -> None:
        super().__init__()
        blocks = int(math.log2(image_size)) - 3
        layers: list[nn.Module] = [SameConv2d(channels, width, 5, 2), nn.LeakyReLU(0.2)]
        for block in range(blocks):
            inputs, outputs = width * 2**block, width * 2 ** (block + 1)
            layers += [SameConv2d(inputs, outputs, 3, 2), nn.LeakyReLU(0.2)]
            layers += [SameConv2d(outputs, outputs, 3, 1), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*layers)
        flat = width * 2**blocks * 16
        self.layers = nn.Sequential(
            nn.Linear(flat, features), nn.LeakyReLU(0.2), nn.Linear(features, features), nn.LeakyReLU(0.2)
        )
        he_start(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,C,S,S) in [0,1]."""
        return self.layers(self.convolutions(images * 2 - 1).flatten(1))


class CapnetEncoder(nn.Module):
    """CAPNet's large network up to its bottleneck: twelve convolutions with ReLU, one linear layer."""

    def __init__(self, image_size: int, width: int, features: int, channels: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for kernel, factor, stride in _CAPNET_LAYERS:
            layers += [SameConv2d(inputs, width * factor, kernel, stride), nn.ReLU()]
            inputs = width * factor
        self.convolutions = nn.Sequential(*layers)
        self.project = nn.Linear(inputs * (image_size // 16) ** 2, features)
        he_start(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,C,S,S) in [0,1]."""
        return torch.relu(self.project(self.convolutions(images * 2 - 1).flatten(1)))


# Kernel, channels over the width, stride.
_CAPNET_LAYERS = (
    (3, 1, 1), (3, 1, 1), (3, 2, 2), (3, 2, 1), (3, 2, 1), (3, 4, 2), (3, 4, 1), (3, 4, 1),
    (3, 8, 2), (3, 8, 1), (3, 8, 1), (5, 16, 2),
)  # fmt: skip


class DifferEncoder(nn.Module):
    """DIFFER's structure branch: four stride-2 convolutions and three linear layers, all with ReLU."""

    def __init__(self, image_size: int, width: int, features: int, channels: int = 4) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            SameConv2d(channels, width, 3, 2), nn.ReLU(), SameConv2d(width, 2 * width, 3, 2), nn.ReLU(),
            SameConv2d(2 * width, 4 * width, 3, 2), nn.ReLU(), SameConv2d(4 * width, 8 * width, 5, 2), nn.ReLU(),
        )  # fmt: skip
        self.layers = three_layers(8 * width * (image_size // 16) ** 2, features)
        he_start(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,C,S,S) in [0,1]."""
        return self.layers(self.convolutions(images * 2 - 1).flatten(1))


class ResnetEncoder(nn.Module):
    """ResNet-18 with one linear layer after its mean over places; inputs normalised with ImageNet's mean and spread."""

    _MEAN = (0.485, 0.456, 0.406, 0.5)
    _SPREAD = (0.229, 0.224, 0.225, 0.5)

    def __init__(self, width: int, features: int, channels: int = 4) -> None:
        super().__init__()
        self.trunk = Resnet18(width, channels)
        self.project = nn.Linear(8 * width, features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of images (B,C,S,S) in [0,1]."""
        count = images.shape[1]
        mean, spread = (images.new_tensor(v[:count])[:, None, None] for v in (self._MEAN, self._SPREAD))
        return self.project(self.trunk((images - mean) / spread))


def three_layers(inputs: int, width: int) -> nn.Sequential:
    """Three linear layers with ReLU, as DIFFER has them in several places."""
    layers = [nn.Linear(inputs, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


# Standard deviation of a standard normal that is cut at 2: what is cut must not make activations shrink.
_CUT_STD = 0.87962566


def he_start(module: nn.Module) -> None:
    """He's start for all convolutions and linear layers: truncated normal, variance 2 / fan-in; biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            fan_in = part.weight[0].numel()
            std = math.sqrt(2 / fan_in) / _CUT_STD
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
