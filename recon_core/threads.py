# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads torch uses for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """One torch thread inside: for thousands of small operations, where waking others takes longer than the work.

    On a machine whose other cores are busy, an operation of 0.1 ms shared by two threads takes 2 to 10 ms.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
