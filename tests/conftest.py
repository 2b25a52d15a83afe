# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from pathlib import Path

import pytest
import torch

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small tensors are faster, and results repeatable, on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(params=DEVICES)
def device(request) -> torch.device:
    """Every device present on this machine."""
    return torch.device(request.param)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded CPU generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real meshes and photographs by others, which are not part of the repository."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real meshes and photographs (../shared/data) is not on this machine")
    return folder.resolve()
