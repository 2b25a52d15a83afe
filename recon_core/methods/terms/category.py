# SPDX-License-Identifier: Apache-2.0
"""Which of the dataset's categories an object is of, told from the input."""

from typing import Any, ClassVar, Literal

import torch
from torch.nn.functional import cross_entropy

from .base import Scene, TermConfig, Views


class Category(TermConfig):
    """Cross-entropy of the predicted category, in nats; 0 where the dataset has one category alone."""

    head: ClassVar[str | None] = "category"
    shape: ClassVar[Literal["points", "mesh", "any"]] = "any"

    kind: Literal["category"] = "category"

    def evaluate(self, shape: Any, views: Views, progress: float) -> torch.Tensor:
        """The category is no matter of the shape: see evaluate_scene."""
        raise TypeError("the term category is about features of the input; call evaluate_scene")

    def evaluate_scene(self, scene: Scene) -> torch.Tensor:
        """Loss (B,E), one for each input that was encoded."""
        batch, encoded = scene.inputs.shape[:2]
        logits = None if scene.features is None else scene.network.categorise(scene.features)
        if logits is None or scene.category is None:
            return scene.inputs.new_zeros(batch, encoded)
        target = scene.category.repeat_interleave(encoded)
        return cross_entropy(logits, target, reduction="none").view(batch, encoded)
