# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt for a batch of views at once (Marquardt 1963; each view has its own damping)."""

from dataclasses import dataclass

import torch

from .outline import Level, Normal, normal_equations
from .views import STEPS, Views
from .wishes import Wishes

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-5, 1e4
# Iterations without a gain: a step that is refused comes again, shorter.
_PATIENCE = 4
# Steps are cut to these lengths: radians, shares of the distance, logarithms, crop sides.
_LONGEST = (0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.4, 0.1, 0.1)


@dataclass(frozen=True)
class Descent:
    """Views after the descent and their costs (B,), wishes included."""

    views: Views
    cost: torch.Tensor
    iterations: int


def descend(
    views: Views,
    xyz: torch.Tensor,
    level: Level,
    wishes: Wishes,
    free: torch.Tensor,
    iterations: int,
    least_gain: float = 1e-3,
) -> Descent:
    """Lower every view's cost at a level; free (P,) are the steps that may be taken.

    Stops early when no view improves by the share `least_gain` of its cost in an iteration.
    """
    plate = level.plate()
    here = _equations(views, xyz, level, plate, wishes, free)
    damping = torch.full_like(here.cost, _FIRST_DAMPING)
    longest = torch.tensor(_LONGEST, dtype=here.cost.dtype, device=here.cost.device)
    done, stale = 0, 0
    while done < iterations and stale < _PATIENCE:
        step = torch.zeros(len(views), STEPS, dtype=here.cost.dtype, device=here.cost.device)
        step[:, free] = _step(here, damping)
        step *= (longest / step.abs().clamp(min=1e-9)).amin(1, keepdim=True).clamp(max=1)
        there_views = views.moved(step)
        there = _equations(there_views, xyz, level, plate, wishes, free)
        better = there.cost < here.cost
        gain = torch.where(better, (here.cost - there.cost) / here.cost, 0.0)
        damping = torch.where(better, damping / 4, damping * 8).clamp(_LEAST_DAMPING, _MOST_DAMPING)
        views, here = _chosen(better, there_views, views), _chosen(better, there, here)
        done += 1
        stale = stale + 1 if float(gain.max()) < least_gain else 0
    return Descent(views, here.cost, done)


def _equations(views, xyz, level, plate, wishes: Wishes, free) -> Normal:
    seen, wished = normal_equations(views, xyz, level, plate, free), wishes.normal(views, free)
    return Normal(seen.cost + wished.cost, seen.matrix + wished.matrix, seen.slope + wished.slope)


def _step(normal: Normal, damping: torch.Tensor) -> torch.Tensor:
    """Steps (B,P) that lower the damped quadratic model."""
    diagonal = normal.matrix.diagonal(dim1=1, dim2=2)
    damped = normal.matrix + torch.diag_embed(damping[:, None] * diagonal + 1e-7)
    return torch.linalg.solve(damped.double(), -normal.slope.double()).to(normal.slope)


def _chosen(first_is_better: torch.Tensor, first, second):
    """Field by field, the first's values where it is better."""
    picked = {}
    for name, value in vars(first).items():
        where = first_is_better.view(-1, *(1,) * (value.ndim - 1))
        picked[name] = torch.where(where, value, getattr(second, name))
    return type(first)(**picked)
