# SPDX-License-Identifier: Apache-2.0
"""What evaluation needs of a model, whatever it is made of."""

from typing import Protocol

import numpy as np
import torch

from ..pointcloud import Points
from ..vocabulary import Vocabulary


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

    @property
    def category(self) -> torch.Tensor | None:
        """Probabilities (B,C) of the vocabulary's categories; None where they are not told apart."""
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

    @property
    def vocabulary(self) -> Vocabulary:
        """Names of the categories and their parts; asked for where predictions carry a category."""
        ...

    def predict(self, rgba_crops: np.ndarray) -> PredictionLike:
        """Predict from crops (B,S,S,4) uint8, straight alpha."""
        ...
