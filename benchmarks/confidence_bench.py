# SPDX-License-Identifier: Apache-2.0
"""How far the confidence of predicted points is true: stated probability against true distance from the surface.

    python benchmarks/confidence_bench.py --run RUN --data DATASET [--split test] [--views 2] [--mode fast] [--out DIR]

Each point of each cloud has a probability that it lies within 0.02 of the true surface (the object's diagonal is 1).
Points are sorted into ten bins by it; of a calibrated probability, as many points of a bin are within 0.02 as it says.
Run `recon calibrate RUN` on the validation split before; without it the package's default map is measured. With --out,
confidence.json and the picture reliability.png are written (the picture needs matplotlib).
"""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recon_core.confidence.calibration import THRESHOLD, read_calibration
from recon_core.confidence.features import feature_table
from recon_core.confidence.observe import observe
from recon_core.confidence.reliability import Reliability, rank_correlation, reliability
from recon_core.confidence.variants import check_mode
from recon_core.confidence.visibility import NAMES
from recon_core.io.atomic import atomic_path, write_json
from recon_core.methods.run import load_run
from recon_core.threads import single_threaded


@dataclass
class Tally:
    """Points of all predictions, by category and by visibility, and the rank correlation within each cloud."""

    confidence: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    distance: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    within: list[float] = field(default_factory=list)

    def add(self, groups: list[tuple[str, np.ndarray]], confidence: np.ndarray, distance: np.ndarray) -> None:
        """Count one cloud: groups are names with masks (N,) of the points that belong to them."""
        for name, mask in groups:
            self.confidence[name].append(confidence[mask])
            self.distance[name].append(distance[mask])
        self.within.append(rank_correlation(confidence, distance))

    def results(self) -> dict[str, Reliability]:
        """Each group's reliability; groups without points are left out."""
        joined = {name: np.concatenate(values) for name, values in self.confidence.items()}
        return {
            name: reliability(values, np.concatenate(self.distance[name]))
            for name, values in joined.items()
            if len(values)
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was found, as JSON."""
    mode = check_mode(options.mode)
    run = load_run(options.run, options.device)
    calibration = read_calibration(run.folder, run.card.get("steps"))
    tally, start, predictions = Tally(), time.perf_counter(), 0
    with single_threaded():
        for found in observe(
            run, options.data, options.split, [mode], views=options.views, true_camera=options.true_camera
        ):
            one = found[mode]
            seen = one.evidence.visibility
            chosen = calibration.find(mode, seen is not None)
            confidence = chosen.apply(feature_table(one.evidence))[0]
            every = np.ones(len(confidence), bool)
            groups = [("all", every), (one.name.partition("/")[0], every)]
            groups += [] if seen is None else [(name, seen == index) for index, name in enumerate(NAMES)]
            tally.add(groups, confidence, one.distance)
            predictions += 1
    return {
        "run": str(options.run),
        "split": options.split,
        "mode": mode,
        "within": THRESHOLD,
        "calibration": calibration.note,
        "predictions": predictions,
        "rank_correlation_within_clouds": float(np.mean(tally.within)),
        "seconds": round(time.perf_counter() - start, 1),
        "groups": {name: asdict(one) for name, one in tally.results().items()},
    }


def as_text(result: dict[str, Any]) -> str:
    """Both tables."""
    groups = result["groups"]
    names = zip(("count", "stated", "true", "ECE", "Brier", "(flat)", "rank"), (9, 8, 7, 7, 7, 8, 7))
    heads = f"{'points':<20}" + "".join(f"{name:>{width}}" for name, width in names)
    heads += f"{'best half':>11}{'worst tenth':>13}"
    lines = [
        f"{result['predictions']} predictions of the {result['split']} split, mode {result['mode']}; "
        + result["calibration"],
        heads,
    ]
    for name, one in groups.items():
        lines.append(
            f"{name:<20}{one['points']:>9}{one['mean']:>8.3f}{one['share']:>7.3f}{one['calibration_error']:>7.3f}"
            f"{one['brier']:>7.3f}{one['brier_constant']:>8.3f}{one['rank_correlation']:>7.3f}"
            f"{one['best_half']:>11.3f}{one['worst_tenth']:>13.3f}"
        )
    lines += [
        f"rank correlation within a cloud, mean: {result['rank_correlation_within_clouds']:.3f}",
        "",
        f"{'confidence':<14}{'points':>9}{'stated':>8}{'true share':>12}{'mean distance x100':>20}",
    ]
    lines += [
        f"{bin['low']:.1f} to {bin['high']:.1f}    {bin['points']:>9}{bin['confidence']:>8.3f}{bin['share']:>12.3f}"
        f"{100 * bin['distance']:>20.2f}"
        for bin in groups["all"]["bins"]
    ]
    return "\n".join(lines)


def draw(result: dict[str, Any], path: Path) -> None:
    """The picture: true share over stated probability, with how many points there are, and the true distance."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bins = result["groups"]["all"]["bins"]
    stated, share = [one["confidence"] for one in bins], [one["share"] for one in bins]
    middle = [(one["low"] + one["high"]) / 2 for one in bins]
    counts = np.array([one["points"] for one in bins], float)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.7), dpi=110, constrained_layout=True)
    left.bar(middle, counts / counts.sum(), 0.094, color="#d9dee6", label="share of all points")
    left.plot([0, 1], [0, 1], "--", color="#8a9099", lw=1, label="as stated")
    left.plot(stated, share, "o-", color="#2f6db5", label=f"truly within {THRESHOLD:g}")
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated confidence", ylabel="share of the bin's points")
    left.legend(frameon=False, fontsize=8.5, loc="upper left")
    right.bar(middle, [100 * one["distance"] for one in bins], 0.088, color="#b0844a")
    right.set(xlim=(0, 1), xlabel="stated confidence", ylabel="mean true distance, % of the diagonal")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    plt.close(figure)


def main() -> None:
    """Measure, print, and write where asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--mode", default="fast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--true-camera",
        action="store_true",
        help="tell seen from hidden points by true cameras if none is predicted",
    )
    options = parser.parse_args()
    result = measure(options)
    print(as_text(result))
    if options.out is not None:
        write_json(options.out / "confidence.json", result)
        draw(result, options.out / "reliability.png")
        print(
            json.dumps(
                {
                    "json": str(options.out / "confidence.json"),
                    "picture": str(options.out / "reliability.png"),
                }
            )
        )


if __name__ == "__main__":
    main()
