# SPDX-License-Identifier: Apache-2.0
"""Reconstructing with a worker that is absent, old, slow, floods, hangs, crashes or is killed."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from blender_addon import points_object, session, worker_client, worker_jobs
from blender_addon.jobs import CANCELLED, DONE, FAILED, Job

FAKE = Path(__file__).resolve().parents[1] / "fake_worker.py"


@pytest.fixture
def started(settings, monkeypatch, tmp_path) -> Callable[[str], Job]:
    """Starts a reconstruction by a worker with the fault, beside Blender as with a window."""
    (tmp_path / "run").mkdir()
    settings.engine, settings.run_path = "WORKER", str(tmp_path / "run")
    monkeypatch.setattr(session, "start", start_beside)
    monkeypatch.setattr(worker_client, "CANCEL_S", 0.5)
    monkeypatch.setattr(worker_client, "CLOSE_S", 0.5)

    def start(fault: str) -> Job:
        command = [python(), "-I", str(FAKE), fault, str(tmp_path / "mark")]
        monkeypatch.setattr(worker_jobs, "command", lambda: command)
        assert bpy.ops.recon.reconstruct() == {"FINISHED"}
        return session.jobs.active[0]

    return start


def start_beside(job: Job, wait: bool = False) -> Job:
    """What session.start does where there is a window."""
    session.say("")
    return session.jobs.start(job)


def python() -> str:
    """A Python that starts without Blender."""
    return sys.executable if "python" in Path(sys.executable).name else "python3"


def finish(job: Job) -> Job:
    assert job.wait(60)
    session.poll()
    assert not session.jobs.active
    assert "\n" not in session.message
    return job


def busy_pid(tmp_path: Path) -> int:
    """The worker's process, once it is at the job."""
    for _ in range(400):
        if (tmp_path / "mark").is_file() and (tmp_path / "mark").read_text():
            return int((tmp_path / "mark").read_text())
        time.sleep(0.05)
    raise AssertionError("the worker never began")


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds; a dead one that nobody has waited for has."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_result(started):
    assert finish(started("none")).state == DONE, session.message
    points = bpy.context.active_object
    assert len(points.data.vertices) == 5
    assert [part.name for part in points.recon.parts] == ["seat", "leg"]
    assert points_object.record_of(points)["model_name"] == "box (fake)"


def test_absent(settings, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    settings.engine, settings.run_path = "WORKER", str(tmp_path / "run")
    with pytest.raises(RuntimeError, match="No worker is set"):
        bpy.ops.recon.reconstruct()
    missing = str(tmp_path / "recon")
    monkeypatch.setattr(worker_jobs, "command", lambda: worker_client.command_of(missing))
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.recon.reconstruct()
    monkeypatch.setattr(worker_jobs, "command", lambda: [missing, "worker"])
    with pytest.raises(RuntimeError, match="cannot be started"):
        bpy.ops.recon.reconstruct()
    assert not bpy.data.objects


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("old", "speaks protocol 1, this worker 0"),
        ("garbage", "no recon"),
        ("outside", "outside its folder"),
        ("half a cloud", "cut off"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(started, fault, message):
    before = (len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.node_groups))
    job = finish(started(fault))
    assert job.state == FAILED
    assert message in session.message
    assert (len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.node_groups)) == before


def test_slow_worker_does_not_block(started):
    job = started("slow")
    longest, seen = 0.0, set()
    while not job.ended:
        start = time.perf_counter()
        session.poll()
        longest = max(longest, time.perf_counter() - start)
        seen.add(job.fraction)
        time.sleep(0.01)
    assert finish(job).state == DONE, session.message
    assert len(seen) > 3
    assert longest < 0.5  # far below the second and more that the worker takes


def test_flood(started):
    assert finish(started("flood")).state == DONE, session.message


def test_crash_is_reported_and_the_next_job_gets_another_worker(started):
    job = finish(started("crash once"))
    assert job.state == FAILED
    assert "Segmentation fault in the driver" in session.message
    assert finish(started("crash once")).state == DONE, session.message
    assert session.message == ""


def test_killed_in_the_middle(started, tmp_path):
    job = started("hang")
    os.kill(busy_pid(tmp_path), signal.SIGKILL)
    assert finish(job).state == FAILED
    assert "has ended" in session.message
    assert not bpy.data.objects
    assert finish(started("none")).state == DONE, session.message


def test_cancel_ends_a_worker_that_does_not_listen(started, tmp_path):
    job = started("hang")
    pid = busy_pid(tmp_path)
    folder = worker_client._current.folder
    assert bpy.ops.recon.cancel() == {"FINISHED"}
    assert finish(job).state == CANCELLED
    assert gone(pid)
    assert not folder.exists()
    assert not bpy.data.objects


def test_file_loaded_in_the_middle(started, tmp_path):
    job = started("hang")
    pid = busy_pid(tmp_path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert job.state == CANCELLED
    assert job.wait(20)
    session.poll()
    assert gone(pid)
    assert not bpy.data.objects


def test_unregistering_ends_the_worker(started, addon, tmp_path):
    finish(started("none"))
    worker = worker_client._current
    assert worker is not None
    assert worker.alive
    addon.unregister()
    assert not worker.alive
    assert not worker.folder.exists()
    addon.register()
