# SPDX-License-Identifier: Apache-2.0
"""The first part of an exported graph: a crop of any size to the model's input, with the arithmetic of data/crop.py.

crop_square resamples colour times alpha with Pillow's 8-bit filter. The same filter is written as one matrix for each
axis, whose size follows the crop's, with the same rounding after each: results differ from crop_square's by one grey
level in few pixels. A crop of the model's own size, as crop_square makes it, passes unchanged.
"""

import math

import numpy as np

from .onnx_builder import Graph

# As in data/crop.py: whole blocks are averaged first while that leaves so many samples per output pixel.
_SAMPLES_PER_PIXEL = 3
_FLOAT = 1


def add_input(graph: Graph, image: str, size: int, background: float) -> str:
    """Crop (1,H,W,4) uint8, straight alpha, to composed input (1,4,S,S) in [0,1]; the longer side fills the frame."""
    shape = graph("Shape", image)
    extents = [graph("Gather", shape, np.array(axis, np.int64)) for axis in (1, 2)]
    side = graph("Max", *extents)
    block = graph("Max", graph("Div", side, np.int64(size * _SAMPLES_PER_PIXEL)), np.int64(1))
    pixels = graph("Cast", graph("Transpose", image, perm=[0, 3, 1, 2]), to=_FLOAT)
    color, alpha = _color_and_alpha(graph, pixels)
    weighted = _rounded(graph, graph("Div", graph("Mul", color, alpha), np.float32(255)))
    means = _block_means(graph, graph("Concat", weighted, alpha, axis=1), extents, block)
    down, across = (_filter(graph, extent, side, block, size) for extent in extents)  # (S, blocks)
    rows = _rounded(graph, graph("MatMul", means, graph("Transpose", across, perm=[1, 0])))
    resized = _straight(graph, _rounded(graph, graph("MatMul", down, rows)))
    return _composed(graph, _unless_fitting(graph, pixels, extents, size, resized), background)


def _color_and_alpha(graph: Graph, pixels: str) -> list[str]:
    """(1,3,H,W) and (1,1,H,W) of (1,4,H,W)."""
    return [graph("Slice", pixels, [low], [high], [1]) for low, high in ((0, 3), (3, 4))]


def _blocks(graph: Graph, extent: str, block: str) -> str:
    """How many blocks cover an extent (int64 scalars)."""
    return graph("Div", graph("Add", extent, graph("Sub", block, np.int64(1))), block)


def _block_means(graph: Graph, pixels: str, extents: list[str], block: str) -> str:
    """Rounded means of blocks of (1,4,H,W), from the corner on; what a cut block lacks counts as 0."""
    counts = [_blocks(graph, extent, block) for extent in extents]
    missing = [graph("Sub", graph("Mul", n, block), extent) for n, extent in zip(counts, extents)]
    one = [graph("Reshape", value, [1]) for value in (*missing, *counts, block)]
    padded = graph("Pad", pixels, graph("Concat", np.zeros(6, np.int64), *one[:2], axis=0), np.float32(0))
    split = graph("Concat", np.array([4], np.int64), one[2], one[4], one[3], one[4], axis=0)
    means = graph("ReduceMean", graph("Reshape", padded, split), [2, 4], keepdims=0)
    return graph("Unsqueeze", _rounded(graph, means), [0])


def _filter(graph: Graph, extent: str, side: str, block: str, size: int) -> str:
    """Weights (S, blocks) of a box of `side` pixels around the middle of an axis of `extent` (int64 scalars)."""
    count = _real(graph, _blocks(graph, extent, block))
    extent, side, block = (_real(graph, value) for value in (extent, side, block))
    start = graph("Div", graph("Div", graph("Sub", extent, side), np.float32(2)), block)
    scale = graph("Div", side, graph("Mul", block, np.float32(size)))
    reach = graph("Max", scale, np.float32(1))
    steps = (np.arange(size, dtype=np.float32) + np.float32(0.5))[:, None]
    centre = graph("Add", graph("Mul", scale, steps), start)  # (S, 1), in blocks
    own = graph("Range", np.float32(0), count, np.float32(1))
    weights = _hamming(graph, graph("Sub", own, centre), reach)
    # Weights add up to one over the whole filter, also where it reaches beyond the crop, which is transparent there.
    first = graph("Floor", graph("Sub", centre, reach))
    taps = graph("Add", graph("Ceil", graph("Mul", reach, np.float32(2))), np.float32(2))
    places = graph("Add", graph("Range", np.float32(0), taps, np.float32(1)), first)  # (S, taps)
    total = graph("ReduceSum", _hamming(graph, graph("Sub", places, centre), reach), [1], keepdims=1)
    return graph("Div", weights, total)


def _real(graph: Graph, value: str) -> str:
    return graph("Cast", value, to=_FLOAT)


def _hamming(graph: Graph, offset: str, reach: str) -> str:
    """Pillow's HAMMING filter, sinc times a Hamming window, at sample centres `offset` + 0.5 blocks away."""
    x = graph("Div", graph("Add", offset, np.float32(0.5)), reach)
    angle = graph("Mul", x, np.float32(math.pi))
    # The value at 0 is 1; there the quotient is 0 / 0.
    safe = graph("Where", graph("Equal", x, np.float32(0)), np.float32(1e-4), angle)
    window = graph("Add", graph("Mul", graph("Cos", angle), np.float32(0.46)), np.float32(0.54))
    value = graph("Mul", graph("Div", graph("Sin", safe), safe), window)
    return graph("Where", graph("Less", graph("Abs", x), np.float32(1)), value, np.float32(0))


def _rounded(graph: Graph, value: str) -> str:
    """To whole grey levels, halves up, within 0 to 255."""
    level = graph("Floor", graph("Add", value, np.float32(0.5)))
    return graph("Max", graph("Min", level, np.float32(255)), np.float32(0))


def _straight(graph: Graph, weighted: str) -> str:
    """Straight colours and alpha (1,4,S,S) of colours times alpha, in grey levels, as Pillow divides."""
    color, alpha = _color_and_alpha(graph, weighted)
    quotient = graph("Div", graph("Mul", color, np.float32(255)), graph("Max", alpha, np.float32(1)))
    return graph("Concat", graph("Min", graph("Floor", quotient), np.float32(255)), alpha, axis=1)


def _unless_fitting(graph: Graph, pixels: str, extents: list[str], size: int, resized: str) -> str:
    """The pixels (1,4,H,W) themselves, when they have the model's size: the detour through weighted colours rounds."""
    fits = graph("And", *(graph("Equal", extent, np.int64(size)) for extent in extents))
    corner = graph("Slice", pixels, [0, 0], [size, size], [2, 3])
    lack = [
        graph("Reshape", graph("Max", graph("Sub", np.int64(size), e), np.int64(0)), [1]) for e in extents
    ]
    whole = graph("Pad", corner, graph("Concat", np.zeros(6, np.int64), *lack, axis=0), np.float32(0))
    return graph("Where", fits, whole, resized)


def _composed(graph: Graph, straight: str, background: float) -> str:
    """Colours and alpha (1,4,S,S) in 0..255 over the background, in 0..1, as data.augment.compose_input."""
    unit = graph("Div", straight, np.float32(255))
    color, mask = _color_and_alpha(graph, unit)
    behind = graph("Mul", graph("Sub", np.float32(1), mask), np.float32(background))
    return graph("Concat", graph("Add", graph("Mul", color, mask), behind), mask, axis=1)
