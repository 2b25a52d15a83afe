# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share: the refusal in one line, the start of a job, and the cloud that they work on."""

from collections.abc import Callable
from typing import Any

import bpy

from . import points_object, session
from .jobs import FAILED, Job, UserError


class OnPoints(bpy.types.Operator):
    """Operators that work on the active cloud."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        return points_object.is_points(context.active_object)


def refuse(operator: Any, error: Exception) -> set[str]:
    """Report an error in one line, in the panel too."""
    session.say(str(error))
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}


def start_job(
    operator: Any, make: Callable[[], Job], expected: tuple[type[Exception], ...] = (UserError,)
) -> set[str]:
    """Make a job and start it; what cannot start, or failed at once, is refused."""
    return started(operator, lambda: session.start(make()), expected)


def started(
    operator: Any, start: Callable[[], Job], expected: tuple[type[Exception], ...] = (UserError,)
) -> set[str]:
    """The same of a job that `start` makes and starts."""
    try:
        job = start()
    except expected as error:
        return refuse(operator, error)
    return refuse(operator, UserError(job.error)) if job.state == FAILED else {"FINISHED"}
