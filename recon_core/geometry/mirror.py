# SPDX-License-Identifier: Apache-2.0
"""Two looks at one image: the pose of its mirror image, mirrored back, is a second opinion.

Most things have a plane of symmetry, and a network that was trained on mirrored objects too has given its canonical
frame one. If R is the pose of an image, R' that of the flipped image and M the reflection of camera x, then M R' S = R,
with S the reflection in that plane. S is found once from training images (no truth is needed) and kept in the card.
"""

import torch

from .alignment import nearest_rotation


def camera_flip(like: torch.Tensor) -> torch.Tensor:
    """M: the reflection of camera x (3,3)."""
    return torch.diag(like.new_tensor([-1.0, 1.0, 1.0]))


def find_mirror(rotations: torch.Tensor, flipped: torch.Tensor, iterations: int = 10) -> torch.Tensor:
    """S (3,3) that explains poses (B,3,3) of images and of the flipped images best, outliers left out in rounds."""
    votes = flipped.transpose(1, 2) @ camera_flip(rotations) @ rotations  # (B, 3, 3), each one an S
    mean = votes.mean(0)
    for _ in range(iterations):
        reflection = _nearest_reflection(mean)
        apart = (votes - reflection).square().sum((1, 2))
        mean = votes[apart <= 2 * apart.median()].mean(0)
    return _nearest_reflection(mean)


def mirrored_back(flipped: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    """Poses (...,3,3) of the images themselves, from those of the flipped images and S."""
    return camera_flip(flipped) @ flipped @ mirror


def between_opinions(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The rotations (B,3,3) halfway between two opinions; the first, where they oppose each other."""
    middle = torch.from_numpy(nearest_rotation((first + second).double().cpu().numpy())).to(first)
    # Opposite opinions have no middle.
    agree = (first * second).sum((1, 2)) > 0  # less than about 120 degrees apart
    return torch.where(agree[:, None, None], middle, first)


def _nearest_reflection(matrix: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrix of determinant -1 nearest to a matrix (3,3)."""
    return -torch.from_numpy(nearest_rotation(-matrix.double().cpu().numpy())).to(matrix)
