# SPDX-License-Identifier: Apache-2.0
"""Euclidean distance transforms of masks, remembered by content: a training loop meets the same masks again.

Masks reach a loss through random views, mirroring and shrinking, so what is remembered is keyed by the pixels
themselves, not by object and view. A hit costs a hash of H*W bits, about 10 microseconds.
"""

import hashlib
import math
from collections import OrderedDict
from threading import Lock

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ..errors import InputError


class ArrayCache:
    """The arrays used last, keyed by bytes, at most max_bytes of them; safe between threads."""

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._arrays: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: bytes) -> np.ndarray | None:
        """The array under a key, or None; it must not be written to."""
        with self._lock:
            found = self._arrays.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._arrays.move_to_end(key)
            return found

    def put(self, key: bytes, array: np.ndarray) -> None:
        """Remember an array; the ones unused for longest make room, one larger than the limit is not kept."""
        with self._lock:
            if key in self._arrays or array.nbytes > self.max_bytes:
                return
            self._arrays[key] = array
            self.bytes += array.nbytes
            while self.bytes > self.max_bytes:
                self.bytes -= self._arrays.popitem(last=False)[1].nbytes


# 64 MiB: 4,000 masks of 64 x 64, 1,000 of 128 x 128.
_SHARED = ArrayCache()


def distance_transform(
    masks: torch.Tensor, *, threshold: float = 0.5, inside: bool = False, cache: ArrayCache | None = _SHARED
) -> torch.Tensor:
    """Distance (...,H,W) in pixels from each pixel's centre to the nearest foreground pixel's, 0 on the foreground.

    masks (...,H,W): coverage in [0, 1], foreground where >= threshold, or bool. With `inside` the distance to the
    nearest background pixel, 0 on the background; nothing beyond the frame counts. Where there is no such pixel (an
    empty mask; a full one with `inside`) every distance is the frame's diagonal hypot(H, W), longer than any other.
    A constant without gradient, on the masks' device, in their type (float32 for bool). scipy on the CPU, O(H W) per
    mask that `cache` does not hold (None: no cache). Raises InputError for integer masks, whose scale is unknown.
    """
    if masks.ndim < 2 or not (masks.dtype == torch.bool or masks.is_floating_point()):
        raise InputError(
            f"Masks must be bool or coverage in [0, 1], (..., H, W); got {masks.dtype} {tuple(masks.shape)}."
        )
    height, width = masks.shape[-2:]
    count = math.prod(masks.shape[:-2])
    binary = foreground(masks, threshold).reshape(count, height, width).cpu().numpy()
    dtype = masks.dtype if masks.is_floating_point() else torch.float32
    distances = np.empty(binary.shape, np.float32)
    for index in range(count):
        distances[index] = _one(binary[index], inside, cache)
    return torch.from_numpy(distances).view(masks.shape).to(masks.device, dtype)


def foreground(masks: torch.Tensor, threshold: float = 0.5) -> torch.Tensor:
    """Bool masks: coverage >= threshold; bool masks as they are."""
    return masks if masks.dtype == torch.bool else masks.detach() >= threshold


def content_key(mask: np.ndarray, *others: object) -> bytes:
    """16 bytes that name a bool mask (H,W) and whatever else a result depends on."""
    digest = hashlib.blake2b(np.packbits(mask).tobytes(), digest_size=16)
    digest.update(repr((mask.shape, others)).encode())
    return digest.digest()


def _one(mask: np.ndarray, inside: bool, cache: ArrayCache | None) -> np.ndarray:
    key = b"" if cache is None else content_key(mask, "distance", inside)
    found = None if cache is None else cache.get(key)
    if found is None:
        found = _distances(~mask if inside else mask)
        if cache is not None:
            cache.put(key, found)
    return found


def _distances(sites: np.ndarray) -> np.ndarray:
    """Distance (H,W) float32 to the nearest true pixel."""
    if not sites.any():
        return np.full(sites.shape, math.hypot(*sites.shape), np.float32)
    return np.asarray(distance_transform_edt(~sites), np.float32)
