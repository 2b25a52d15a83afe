# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the preferences: find the worker and ask it how it is."""

from typing import Any

import bpy

from . import worker_client, worker_jobs
from .jobs import UserError
from .operator_base import refuse, start_job
from .preferences import preferences


class RECON_OT_find_worker(bpy.types.Operator):
    """Look for recon on the search path and in the usual virtual environments"""

    bl_idname = "recon.find_worker"
    bl_label = "Find"
    bl_options = {"REGISTER", "INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        found, settings = worker_client.find_program(), preferences()
        if not found or settings is None:
            return refuse(self, UserError("No recon was found. Install it, or name its program by hand."))
        settings.worker_path = found
        return {"FINISHED"}


class RECON_OT_test_worker(bpy.types.Operator):
    """Start the worker and show what its doctor says"""

    bl_idname = "recon.test_worker"
    bl_label = "Test"
    bl_options = {"REGISTER", "INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        return start_job(self, lambda: worker_jobs.doctor_job(worker_jobs.command(), _show))


def _show(text: str) -> None:
    settings = preferences()
    if settings is not None:
        settings.worker_answer = text


CLASSES = (RECON_OT_find_worker, RECON_OT_test_worker)
