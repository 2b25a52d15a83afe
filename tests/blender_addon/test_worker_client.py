# SPDX-License-Identifier: Apache-2.0
"""The add-on's side of the worker: real processes that answer, lie, flood, hang and die."""

import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from blender_addon import worker_client
from blender_addon.jobs import CANCELLED, DONE, FAILED, Job, UserError
from blender_addon.worker_client import Worker, command_of

HELLO = """
import json, os, subprocess, sys, time
def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    return json.loads(line)
hello = hear()
say(type="hello", protocol=1, version="9", python="3")
"""


@pytest.fixture
def script(tmp_path: Path):
    def make(body: str, hello: str = HELLO) -> list[str]:
        path = tmp_path / "fake.py"
        path.write_text(hello + textwrap.dedent(body))
        return [sys.executable, "-I", str(path)]

    return make


def outcome(command: list[str], cancel_after: float | None = None) -> Job:
    """Run one doctor job with a worker, as the add-on does."""

    def work(job: Job):
        worker = Worker(command, [])
        try:
            return worker.run({"type": "doctor"}, job)
        finally:
            worker.close()
            assert not worker.alive
            assert not worker.folder.exists()

    job = Job("test", work, lambda result: setattr(job, "got", result))
    job.start()
    if cancel_after is not None:
        time.sleep(cancel_after)
        job.cancel()
    assert job.wait(60)
    job.finish()
    return job


def test_progress_and_result(script):
    job = outcome(
        script("""
        message = hear()
        say(type="progress", id=message["id"], job="doctor", stage="look", fraction=0.5, loss=0.25, new_field=1)
        say(type="result", id="another")
        say(type="result", id=message["id"], report={"ok": True})
        hear()
        """)
    )
    assert job.state == DONE, job.error
    assert job.got["report"] == {"ok": True}  # type: ignore[attr-defined]
    assert (job.fraction, job.info["loss"]) == (0.5, 0.25)


def test_errors_of_the_worker_are_passed_on(script):
    job = outcome(
        script("""
        say(type="error", id=hear()["id"], code="failed", message="No run\\nthere.")
        hear()
        """)
    )
    assert (job.state, job.error) == (FAILED, "No run there.")


@pytest.mark.parametrize(
    ("body", "hello", "message"),
    [
        ("", "", "ended"),
        ("raise SystemExit('no module named recon')", "", "no module named recon"),
        ("print('x' * 10_000_000)\nwhile True: print('garbage')", "", "no recon"),
        ("hear()\nos._exit(3)", HELLO, "ended"),
        ("hear()\nwhile True: sys.stdout.write('x' * 1000)", HELLO, "no recon"),
        ("", HELLO.replace("protocol=1", "protocol=2"), "speaks protocol 2"),
        (
            "",
            HELLO.replace('say(type="hello"', 'say(type="error", message="Update me.", code="protocol"'),
            "Update me",
        ),
    ],
    ids=["silent end", "traceback", "garbage", "crash", "endless line", "other version", "refusal"],
)
def test_faults_are_one_line(script, body, hello, message):
    job = outcome(script(body, hello))
    assert job.state == FAILED
    assert message in job.error
    assert "\n" not in job.error


def test_no_answer(script, monkeypatch):
    monkeypatch.setattr(worker_client, "HELLO_S", 1.0)
    job = outcome(script("import time; time.sleep(60)", ""))
    assert job.state == FAILED
    assert "does not answer" in job.error


def test_a_flood_of_progress_does_not_hide_the_result(script):
    job = outcome(
        script("""
        job = hear()["id"]
        for i in range(20000): say(type="progress", id=job, stage="train", fraction=i / 20000)
        say(type="result", id=job, report={})
        hear()
        """)
    )
    assert job.state == DONE, job.error


def test_cancel_kills_the_whole_group(script, monkeypatch, tmp_path):
    monkeypatch.setattr(worker_client, "CANCEL_S", 0.5)
    monkeypatch.setattr(worker_client, "CLOSE_S", 0.5)
    mark = tmp_path / "child"
    body = f"""
        hear()
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(mark)!r}, "w").write(str(child.pid))
        time.sleep(60)
        """
    job = outcome(script(body), cancel_after=3.0)
    assert job.state == CANCELLED
    child = int(mark.read_text())
    for _ in range(50):
        if not alive(child):
            break
        time.sleep(0.1)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def test_cancel_that_the_worker_obeys(script):
    job = outcome(
        script("""
        job = hear()["id"]
        assert hear() == {"type": "cancel", "id": job}
        say(type="error", id=job, code="cancelled", message="Cancelled.")
        hear()
        """),
        cancel_after=1.0,
    )
    assert job.state == CANCELLED


def test_the_folder_is_private_and_paths_outside_are_refused(script):
    worker = Worker(script("hear()"), [])
    try:
        assert worker.folder.stat().st_mode & 0o077 == 0
        assert worker.inside("a/b.ply") == worker.folder / "a/b.ply"
        for path in ("/etc/passwd", "../x", "a/../../x"):
            with pytest.raises(UserError, match="outside"):
                worker.inside(path)
    finally:
        worker.close()


def test_a_dead_worker_is_replaced(script):
    command = script("hear()")
    try:
        first = worker_client.worker_for(command, [])
        assert worker_client.worker_for(command, []) is first
        first._process.kill()
        first._process.wait()
        assert worker_client.worker_for(command, []) is not first
    finally:
        worker_client.close_worker()


def test_two_jobs_at_once_get_their_own_answers(script):
    command = script("""
        while True:
            job = hear()["id"]
            time.sleep(0.2)
            say(type="progress", id=job, stage="look", fraction=0.5)
            say(type="result", id=job, mine=job)
        """)
    worker = Worker(command, [])
    try:
        jobs = [Job("test", lambda job: worker.run({"type": "doctor"}, job), print) for _ in range(4)]
        for job in jobs:
            job.start()
        assert all(job.wait(20) for job in jobs)
        assert {job._result["mine"] for job in jobs} == {f"job{number}" for number in range(1, 5)}
    finally:
        worker.close()


def test_waiting_for_the_worker_can_be_cancelled(script):
    worker = Worker(script("hear(); time.sleep(60)"), [])
    try:
        worker._busy.acquire()
        job = Job("test", lambda job: worker.run({"type": "doctor"}, job), print).start()
        job.cancel()
        assert job.wait(5)
        job.finish()
        assert job.state == CANCELLED
    finally:
        worker.close()


def test_command_line(tmp_path):
    for name in ("python", "recon"):
        (tmp_path / name).touch()
    assert command_of(str(tmp_path / "recon"))[1:] == ["worker"]
    assert command_of(str(tmp_path / "python"))[1:] == ["-I", "-m", "recon_core.cli", "worker"]
    with pytest.raises(UserError, match="No worker is set"):
        command_of("")
    with pytest.raises(UserError, match="does not exist"):
        command_of(str(tmp_path / "none"))


@pytest.mark.slow
def test_the_real_worker_answers():
    program = Path(sys.executable).with_name("recon")
    if not program.is_file():
        pytest.skip("recon is not installed beside this Python")
    job = outcome(command_of(str(program)))
    assert job.state == DONE, job.error
    assert "ok" in job.got["report"]  # type: ignore[attr-defined]
