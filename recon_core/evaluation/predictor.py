# SPDX-License-Identifier: Apache-2.0
"""What evaluation needs of a model, whatever it is made of."""

from typing import Protocol

import numpy as np
import torch

from ..pointcloud import Points


class PredictionLike(Protocol):
    """A batch of predictions in the model's canonical frame (the object frame unless pose_is_learnt)."""

    @property
    def points(self) -> Points:
        """Points (B,N,...)."""
        ...

    @property
    def rotation(self) -> torch.Tensor | None:
        """Rotations (B,3,3), canonical to camera; None where poses are not predicted."""
        ...


class Predictor(Protocol):
    """Crops in, points and poses out."""

    @property
    def input_size(self) -> int:
        """Width and height of the crops in pixels."""
        ...

    @property
    def margin(self) -> float:
        """Side of the crop over the longer side of the mask's box."""
        ...

    @property
    def pose_is_learnt(self) -> bool:
        """Whether the model chose its canonical frame itself, so that it must be aligned first."""
        ...

    def predict(self, rgba_crops: np.ndarray) -> PredictionLike:
        """Predict from crops (B,S,S,4) uint8, straight alpha."""
        ...
