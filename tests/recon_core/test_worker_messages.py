# SPDX-License-Identifier: Apache-2.0
"""The worker's messages, folders, outbox and training state, without a process."""

import json
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from recon_core.worker import protocol
from recon_core.worker.jobs import MAX_LOSSES, thinned, training_state
from recon_core.worker.outbox import MAX_COMPLAINTS, Outbox
from recon_core.worker.protocol import Folders, Hello, ProtocolError, parse_message


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "jobs"
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json", "bad_message"), (b"\xff\xfe{}", "bad_message"), (b"[1]", "bad_message"), (b"3", "bad_message"),
        (b"{}", "unknown_type"), (b'{"type": 4}', "unknown_type"), (b'{"type": "fly", "id": "a"}', "unknown_type"),
        (b'{"type": "cancel", "id": NaN}', "bad_message"), (b"[" * 100_000, "bad_message"),
        (b'{"type":"doctor","id":' + b"9" * 5000 + b"}", "bad_message"), (b'{"type": "doctor"}', "bad_message"),
        (b'{"type": "doctor", "id": ""}', "bad_message"), (b'{"type": "doctor", "id": "a b"}', "bad_message"),
        (b'{"type": "doctor", "id": 7}', "bad_message"), (b'{"type": "doctor", "id": "a", "x": 1}', "bad_message"),
        (b'{"type": "doctor", "id": "' + b"a" * 65 + b'"}', "bad_message"),
        (b'{"type": "label", "id": "a"}', "reserved"),
        (b'{"type": "refine", "id": "a"}', "bad_message"),
        (b'{"type": "place"}', "bad_message"),
        (b'{"type": "mesh", "id": "a"}', "bad_message"),
        (b'{"type": ["mesh"]}', "unknown_type"),
        (b'{"type": "train", "id": "a", "data": "d", "threads": "2"}', "bad_message"),
        (b'{"type": "reconstruct", "id": "a", "run": "r", "image": "i", "out": "o", "device": 0}', "bad_message"),
        (b'{"type": "hello", "protocol": 2}', "protocol"), (b'{"type": "hello", "protocol": true}', "protocol"),
        (b'{"type": "hello", "protocol": "1"}', "protocol"), (b'{"type": "hello"}', "protocol"),
        (b'{"type": "hello", "protocol": 1}', "bad_message"),
    ],
)  # fmt: skip
def test_bad_lines_are_refused_with_a_code(line, code):
    with pytest.raises(ProtocolError) as refused:
        parse_message(line)
    assert refused.value.code == code
    assert len(str(refused.value)) < 700


def test_paths_are_contained(folder, tmp_path):
    """Dots, absolute paths, links to files and to folders, and names that are no paths."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.png").write_bytes(b"x")
    (tmp_path / "models").mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret" / "a.png")
    (folder / "door").symlink_to(tmp_path / "secret")
    (folder / "ring").symlink_to(folder / "ring")
    (folder / "inner").symlink_to(folder)
    folders = Folders.of(
        Hello(type="hello", protocol=1, job_folder=str(folder), read=[str(tmp_path / "models")])
    )
    outside = [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "link.png",
        "door/a.png",
        "~/../../x",
        "a\0b",
        str(tmp_path),
    ]
    outside += [f"{folder}2/x", str(tmp_path / "models" / ".." / "secret")]
    for text in outside:
        with pytest.raises(ProtocolError) as refused:
            folders.to_read(text, "image", "a")
        assert (refused.value.code, refused.value.job_id) == ("path", "a")
    with pytest.raises(ProtocolError):
        folders.to_write(str(tmp_path / "models" / "new"), "out", "a")
    assert folders.to_read("inner/b.png", "image", "a") == folder / "b.png"
    assert folders.to_read(str(tmp_path / "models" / "m"), "run", "a") == tmp_path / "models" / "m"
    assert folders.to_write(".", "out", "a") == folder


@pytest.mark.parametrize("fault", ["missing", "file", "open", "relative", "read"])
def test_folders_of_a_hello_are_checked(folder, tmp_path, fault):
    hello = {"type": "hello", "protocol": 1, "job_folder": str(folder)}
    if fault == "missing":
        hello["job_folder"] = str(tmp_path / "none")
    elif fault == "file":
        (tmp_path / "f").touch()
        hello["job_folder"] = str(tmp_path / "f")
    elif fault == "open":
        folder.chmod(0o777)
    elif fault == "relative":
        hello["job_folder"] = "jobs"
    else:
        hello["read"] = [str(tmp_path / "none")]
    with pytest.raises(ProtocolError) as refused:
        Folders.of(Hello(**hello))
    assert refused.value.code == "path"


def test_progress_never_waits_and_nothing_follows_the_end():
    """A reader that sleeps: of a job's progress one is kept, and none comes after its result."""
    reader, writer = os.pipe()
    outbox = Outbox(writer, lambda: None)
    big = "x" * 60_000  # fills the pipe, so that the rest waits
    for _ in range(3):
        outbox.put({"type": "result", "id": "a", "big": big})
    before = time.monotonic()
    for step in range(2000):
        outbox.progress({"type": "progress", "id": "b", "step": step})
        outbox.progress({"type": "progress", "id": "c", "step": step})
    assert time.monotonic() - before < 2
    outbox.put({"type": "result", "id": "b"})
    for _ in range(MAX_COMPLAINTS + 500):
        outbox.put(protocol.error_message("bad_message", "no"))
    threading.Thread(target=outbox.close, args=(10,)).start()
    with os.fdopen(reader) as stream:
        lines = [json.loads(stream.readline()) for _ in range(3 + 1 + MAX_COMPLAINTS + 1)]
    kinds = [(line["type"], line["id"]) for line in lines[3:]]
    assert kinds[0] == ("result", "b")
    assert ("progress", "b") not in kinds
    assert lines[-1] == {"type": "progress", "id": "c", "step": 1999}
    assert "500 more" in lines[-2]["message"]
    os.close(writer)


def test_training_state_reads_a_file_that_grows(tmp_path):
    """Half lines at the end, none yet, and the newest sample."""
    assert training_state(tmp_path) is None
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"kind": "val", "step": 5, "mask_iou": 0.5}\n')
    assert training_state(tmp_path) is None
    log.write_text(log.read_text() + '{"kind": "train", "step": 10, "loss": 0.25}\n{"kind": "train", "st')
    (tmp_path / "samples").mkdir()
    for name in ("step-0000005.png", "step-0000010.png", ".step-0000020.png", "step-0000010_x.png"):
        (tmp_path / "samples" / name).touch()
    sample = str(tmp_path / "samples" / "step-0000010.png")
    assert training_state(tmp_path) == {
        "step": 10, "loss": 0.25, "val_mask_iou": 0.5, "sample": sample, "losses": [[10, 0.25]],
    }  # fmt: skip


def test_losses_of_a_long_run_are_thinned():
    """Evenly spread, and never without the newest."""
    for count in (0, 1, 200, 201, 999):
        thin = thinned([[float(step), 1.0] for step in range(count)])
        steps = [step for step, _ in thin]
        assert len(steps) <= MAX_LOSSES
        assert steps[-1:] == [count - 1][: count > 0]
        assert len({after - before for before, after in pairwise(steps)}) <= 1


# A real process.
