# SPDX-License-Identifier: Apache-2.0
"""Where a recipe's poses come from: the dataset, one regressed, or an ensemble with a student."""

from typing import Annotated, Literal

from pydantic import Field

from ..models.pose import PoseNetConfig, Representation
from ..models.viewpoint import ViewpointConfig
from ..training.bootstrap import BootstrapConfig
from .config import Config


class KnownPose(Config):
    """The dataset's cameras are used as they are."""

    kind: Literal["known"] = "known"
    student: ViewpointConfig | None = None
    """Learn besides to tell from the input alone from where it was seen, see `pose.student`; null: not predicted."""

    @property
    def rotation(self) -> Representation:
        """There are no branches."""
        return "6d"

    @property
    def hypotheses(self) -> int:
        """Number of pose branches."""
        return 0

    @property
    def net(self) -> PoseNetConfig | None:
        """There is none."""
        return None


class _LearntPose(Config):
    rotation: Representation = "6d"
    """What the pose network puts out; "quaternion" is DPC's, "6d" has no jump in a full turn; "upright" has neither
    jump nor roll; "azimuth_elevation" is ssl_3d_recon's, whose azimuth ends at 180 degrees."""
    distance: Annotated[float, Field(gt=0)] = 2.0
    """Distance of the camera to the object's centre, in object diagonals."""
    net: PoseNetConfig = PoseNetConfig()
    """See `pose.net`."""


class RegressedPose(_LearntPose):
    """One pose per image, learnt from masks."""

    kind: Literal["regressed"] = "regressed"

    @property
    def hypotheses(self) -> int:
        """Number of pose branches."""
        return 1


class EnsemblePose(_LearntPose):
    """K hypotheses per image; the one with the least loss learns, and a student imitates it (DPC)."""

    kind: Literal["ensemble"] = "ensemble"
    hypotheses: Annotated[int, Field(ge=2, le=64)] = 4
    """Pose branches."""
    student_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor of the student's term (and of the branches' term) in the loss."""
    student_loss: Literal["rotation", "align"] = "rotation"
    """What the student minimises: sin^2 of half the angle to the winner, or DPC's option, the mean squared distance of
    fixed points turned by both."""
    score_points: Annotated[int, Field(ge=16)] = 500
    """Points with which hypotheses are compared."""
    score_size: Annotated[int, Field(ge=8)] = 32
    """Width in pixels of the masks with which hypotheses are compared."""
    loyalty: Annotated[float, Field(ge=0)] = 0.1
    """How much better, as a share of its loss, a pose half a turn from the student's must fit to be preferred."""
    test_time: Literal["student", "fit"] = "fit"
    """Which pose is used at test time: "student" (DPC's), or, of the student's and all hypotheses, the one whose render
    of the predicted points fits the input's mask best."""
    test_loyalty: Annotated[float, Field(ge=0)] = 1.0
    """The same as `loyalty`, for that choice."""
    bootstrap: BootstrapConfig | None = None
    """Find first poses for all masks before the network trains; null starts from what `net.branches` gives."""
    bootstrap_ranks: Annotated[int, Field(ge=1, le=32)] = 6
    """Bootstrapped poses per mask that compete with the hypotheses."""
    bootstrap_trust: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of the run in which the best bootstrapped pose is taken as it is, while shapes form."""
    bootstrap_until: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the run in which bootstrapped poses compete with the hypotheses."""


Pose = Annotated[KnownPose | RegressedPose | EnsemblePose, Field(discriminator="kind")]
