# SPDX-License-Identifier: Apache-2.0
"""Evaluate a run on a split: the model, two baselines and the noise floor, as JSON, table and report.

As in DPC, a cloud is predicted from each view of each object alone, and every number is a mean over all of
them. All clouds are judged in the object frame; a model that learnt its poses is first taken there by one
global rotation.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from .. import __version__
from ..canonical_frame import write_canonical
from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..errors import ConfigError, DatasetError
from ..io.atomic import write_json, write_text
from ..pointcloud import PointCloud, Points
from ..threads import single_threaded
from .align import alignment_split, protocol_turns, table_alignment
from .baselines import Retrieved, mean_shape, retrieve, thinned
from .canonical import Alignment
from .categories import by_category, category_of
from .predictor import Predictor
from .protocol_board import ProtocolBoard
from .protocols import Protocol, find_protocols
from .scores import METHODS, Scores, describe_metrics
from .table import as_table
from .told import ToldCategories
from .truth import (
    DEFAULT_TRUE_POINTS,
    MASK_SIZE_PX,
    Judged,
    Truth,
    judge,
    load_split,
    load_truth,
    unseen_views,
)

# Objects with pictures in the report; of more, every k-th is shown.
MAX_EXHIBITS = 60


@dataclass(frozen=True)
class Exhibit:
    """What the report shows of one object: the prediction from its first view."""

    truth: Truth
    judged: Judged
    unseen: list[int]
    values: dict[str, float | None]  # the model's, mean over the object's views
    retrieval: float | None  # the retrieval baseline's Chamfer sum


@dataclass
class Evaluation:
    """The result as it stands in metrics.json, and what the report needs besides."""

    result: dict[str, Any]
    exhibits: list[Exhibit] = field(default_factory=list)


@dataclass(frozen=True)
class _Baselines:
    """The training split of a dataset as the baselines see it."""

    dataset: Dataset
    mean: PointCloud
    views: ViewSet
    nearest: Retrieved  # per test object and view, flattened


@dataclass(frozen=True)
class _Setup:
    """Everything that stays the same from object to object."""

    predictor: Predictor
    dataset: Dataset
    test: ViewSet
    inputs: int  # views per object that are predicted from
    count: int  # points of a predicted cloud
    true_points: int  # wanted per object
    alignment: Alignment | None
    baselines: _Baselines
    boards: dict[str, ProtocolBoard]  # by the names of the protocols asked for
    told: ToldCategories


def evaluate_run(
    run_dir: str | Path,
    data: str | Path,
    split: str = "test",
    *,
    views: int | None = None,
    points: int | None = None,
    protocols: Sequence[str] = (),
    baselines: str | Path | None = None,
    device: str = "auto",
    report: bool = True,
    out: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Evaluate a run folder on a split; write metrics.json, table.txt and report.html, return the metrics.

    The frame of a model that learnt its poses is kept beside it (canonical.json), for `recon reconstruct`.
    views: only the first so many views of each object as inputs. points: true points per object (4,096).
    protocols: names of evaluation/protocols.py to score by besides. baselines: the dataset whose training split the
    baselines are made from (by default `data`). out: by default <run>/evaluation/<split>.
    Raises ReconErrors for runs and data that cannot be used.
    """
    find_protocols(protocols)  # a misspelt name is refused before anything is loaded
    from ..methods.run import load_run

    loaded = load_run(run_dir, device)
    evaluation = evaluate_predictor(
        loaded,
        data,
        split,
        views=views,
        points=points,
        protocols=protocols,
        baselines=baselines,
        progress=progress,
    )
    evaluation.result["run"] = str(run_dir)
    if evaluation.result["alignment"]:
        write_canonical(loaded.folder, evaluation.result["alignment"], loaded.card.get("steps"), str(data))
    folder = Path(out) if out is not None else loaded.folder / "evaluation" / split
    write_evaluation(evaluation, folder, report=report)
    return evaluation.result


def write_evaluation(evaluation: Evaluation, folder: Path, *, report: bool = True) -> None:
    """Write metrics.json, table.txt and, if asked for, report.html."""
    files = {"metrics": "metrics.json", "table": "table.txt"} | ({"report": "report.html"} if report else {})
    evaluation.result["files"] = {name: str(folder / file) for name, file in files.items()}
    write_json(folder / files["metrics"], evaluation.result)
    write_text(folder / files["table"], as_table(evaluation.result) + "\n")
    if report:
        from .report import render_report

        write_text(folder / files["report"], render_report(evaluation))


def evaluate_predictor(
    predictor: Predictor,
    data: str | Path,
    split: str = "test",
    *,
    views: int | None = None,
    points: int | None = None,
    protocols: Sequence[str] = (),
    baselines: str | Path | None = None,
    progress: bool = False,
) -> Evaluation:
    """Judge a predictor and the baselines on every object of a split, from each of its (first `views`) views."""
    wanted = find_protocols(protocols)
    with single_threaded():
        setup = _prepare(predictor, Dataset.open(data), split, views, points, wanted, baselines, progress)
        return _evaluate(setup, split, progress)


def _evaluate(setup: _Setup, split: str, progress: bool) -> Evaluation:
    start = time.perf_counter()
    groups = {category_of(name): {method: Scores() for method in METHODS} for name in setup.test.names}
    overall = {method: Scores() for method in METHODS}
    rows, exhibits, truths = [], [], []
    total = len(setup.test)
    stride = -(-total // MAX_EXHIBITS)
    for index in tqdm(range(total), desc=f"evaluating {split}", unit="object", disable=not progress):
        group = groups[category_of(setup.test.names[index])]
        row, exhibit = _evaluate_object(setup, index, (overall, group))
        rows.append(row)
        truths.append((len(exhibit.truth.cloud), len(exhibit.truth.floor)))
        if index % stride == 0:
            exhibits.append(exhibit)
    result = _result(setup, split, overall, rows, np.max(truths, axis=0))
    result["categories"] = by_category(groups)
    result["seconds"] = round(time.perf_counter() - start, 2)
    return Evaluation(result, sorted(exhibits, key=lambda one: one.values["chamfer_sum"] or 0.0))


def _prepare(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    views: int | None,
    points: int | None,
    protocols: Sequence[Protocol],
    baselines: str | Path | None,
    progress: bool,
) -> _Setup:
    """Load the split, align the model's frame where it has its own, make the baselines."""
    test = load_split(dataset, split, predictor, progress)
    inputs = _check_counts(test, views, points)
    learnt = predictor.pose_is_learnt
    alignment = table_alignment(predictor, dataset, progress) if learnt else None
    turns = protocol_turns(protocols, predictor, dataset, alignment, progress) if alignment else {}
    parts = dataset.meta.parts
    boards = {one.name: ProtocolBoard(one, parts, turns.get(one.name), learnt) for one in protocols}
    count = predictor.predict(np.array(test.inputs[0, :1])).points.xyz.shape[1]
    training = dataset if baselines is None else Dataset.open(baselines)
    known = _baselines(predictor, training, test, inputs, count, progress)
    true_points = points or DEFAULT_TRUE_POINTS
    return _Setup(
        predictor, dataset, test, inputs, count, true_points, alignment, known, boards, ToldCategories()
    )


def _evaluate_object(
    setup: _Setup, index: int, totals: Sequence[dict[str, Scores]]
) -> tuple[dict[str, Any], Exhibit]:
    """Count one object for every method in all totals; its row, and what the report may show of it."""
    truth = load_truth(setup.dataset, setup.test, index, setup.count, setup.true_points)
    local = {method: Scores() for method in METHODS}
    shown: Judged | None = None
    for method, view, judged, rotation in _judgements(setup, truth, index):
        unseen = unseen_views(view, setup.test.views)
        for scores in (*(total[method] for total in totals), local[method]):
            scores.add(judged, truth, view, unseen, rotation)
        for board in setup.boards.values():
            board.add(method, truth, view, judged.cloud, rotation)
        shown = judged if method == "model" and view == 0 else shown
    assert shown is not None
    values = {method: scores.values() for method, scores in local.items()}
    row = {"object": truth.name, "symmetry_order": truth.symmetry_order, "methods": values}
    retrieval = values["retrieval"]["chamfer_sum"]
    return row, Exhibit(truth, shown, unseen_views(0, setup.test.views), values["model"], retrieval)


def _result(
    setup: _Setup,
    split: str,
    overall: dict[str, Scores],
    rows: list[dict[str, Any]],
    counts: np.ndarray,
) -> dict[str, Any]:
    """What metrics.json holds; counts: the true points and those of the noise floor."""
    true_points, floor_points = (int(value) for value in counts)
    errors = overall["model"].pose_errors_deg()
    result = {
        "version": 1,
        "generator": f"recon {__version__}",
        "run": None,
        "data": str(setup.dataset.root),
        "baselines": str(setup.baselines.dataset.root),
        "split": split,
        "objects": len(setup.test),
        "views_per_object": setup.inputs,
        "points": {"predicted": setup.count, "true": true_points, "noise_floor": floor_points},
        "mask_size_px": MASK_SIZE_PX,
        "parts": setup.dataset.meta.parts,
        "pose_is_learnt": setup.predictor.pose_is_learnt,
        "alignment": _alignment_summary(setup),
        "metrics": [asdict(info) for info in describe_metrics(setup.count, true_points)],
        "methods": {method: scores.values() for method, scores in overall.items()},
        "category": setup.told.result(),
        "pose_errors_deg": {"plain": errors[0], "symmetric": errors[1]},
        "protocols": {name: board.result() for name, board in setup.boards.items()},
        "rows": sorted(rows, key=lambda row: row["methods"]["model"]["chamfer_sum"]),
    }
    result["notes"] = _notes(result)
    return result


def _alignment_summary(setup: _Setup) -> dict[str, Any] | None:
    if setup.alignment is None:
        return None
    return setup.alignment.summary() | {"split": alignment_split(setup.dataset)}


def _check_counts(test: ViewSet, views: int | None, points: int | None) -> int:
    if points is not None and points < 1:
        raise ConfigError(f"--points is {points}, expected at least 1.")
    if views is not None and not 1 <= views <= test.views:
        raise ConfigError(f"--views is {views}, expected 1 to {test.views}: the views that every object has.")
    return views or test.views


def _predict(setup: _Setup, truth: Truth) -> list[tuple[PointCloud, torch.Tensor | None]]:
    """Clouds in the object frame and rotations (3,3) object -> camera from each input view of an object.

    Labels are chosen among the parts of the true category: whether the category is told rightly is counted apart.
    """
    predictor, alignment, category = setup.predictor, setup.alignment, category_of(truth.name)
    prediction = predictor.predict(np.ascontiguousarray(truth.inputs[: setup.inputs]))
    if prediction.category is not None:
        setup.told.add(category, prediction.category, predictor.vocabulary.categories)
    parts = len(setup.dataset.meta.parts.get(category, [])) or None
    points = prediction.points.map(lambda values: values.detach().cpu())
    rotation = None if prediction.rotation is None else prediction.rotation.detach().cpu().double()
    if alignment is not None:
        turn = torch.from_numpy(alignment.rotation)
        points = Points(
            (points.xyz.double() @ turn.T).float(), points.opacity, points.color, points.part_logits
        )
        rotation = None if rotation is None else rotation @ turn.T
    return [
        (points.cloud(view, parts=parts), None if rotation is None else rotation[view])
        for view in range(setup.inputs)
    ]


def _baselines(
    predictor: Predictor, dataset: Dataset, test: ViewSet, inputs: int, count: int, progress: bool
) -> _Baselines:
    """Both baselines from the training split of `dataset`, for the first `inputs` views of each test object."""
    if not dataset.objects("train"):
        raise DatasetError(f"{dataset.root}: the train split is empty; the baselines are made from it.")
    train = load_split(dataset, "train", predictor, progress)
    mean = mean_shape(dataset.points, train.names, count, np.random.default_rng(0))
    size = (train.input_size, train.input_size, 4)
    queries = np.asarray(test.inputs[:, :inputs]).reshape(-1, *size)
    return _Baselines(dataset, mean, train, retrieve(queries, train.inputs.reshape(-1, *size)))


def _judgements(
    setup: _Setup, truth: Truth, index: int
) -> Iterator[tuple[str, int, Judged, torch.Tensor | None]]:
    """Method, input view, judged cloud and rotation for every input view of one object."""
    total, inputs = len(truth.inputs), setup.inputs
    for view, (cloud, rotation) in enumerate(_predict(setup, truth)):
        yield "model", view, judge(cloud, truth, unseen_views(view, total)), rotation
    for method, cloud in (("mean_shape", setup.baselines.mean), ("noise_floor", truth.floor)):
        judged = judge(cloud, truth, list(range(total)))  # the same from every view
        for view in range(inputs):
            yield method, view, judged, None
    known: dict[int, Judged] = {}
    for view in range(inputs):
        owner, rotation = _retrieved(setup, index * inputs + view)
        if owner not in known:
            name = setup.baselines.views.names[owner]
            cloud = thinned(setup.baselines.dataset.points(name), setup.count, np.random.default_rng(owner))
            known[owner] = judge(cloud, truth, list(range(total)))
        yield "retrieval", view, known[owner], rotation


def _retrieved(setup: _Setup, query: int) -> tuple[int, torch.Tensor]:
    """The training object whose view is nearest to an input, and that view's rotation, which stands for a pose."""
    train = setup.baselines.views
    owner, view = divmod(int(setup.baselines.nearest.view[query]), train.views)
    return owner, torch.from_numpy(np.array(train.world_to_cam[owner, view, :3, :3]))


def _notes(result: dict[str, Any]) -> list[str]:
    """What a reader must know to compare the numbers."""
    counts, views = result["points"], result["views_per_object"]
    notes = [
        f"{result['objects']} objects of the {result['split']} split, a cloud from each of {views} views; means.",
        f"mean training shape: {counts['predicted']} points drawn from all training clouds together.",
        "retrieval: the training object whose view is nearest to the input (L2 over pixels), with that view's pose.",
        f"noise floor: {counts['noise_floor']} other random samples of the true surface, as a perfect prediction.",
    ]
    alignment, told = result["alignment"], result["category"]
    if told:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in told["by_category"].items())
        notes.append(f"Category told rightly in {told['accuracy']:.1%} of the views ({shares}).")
    if alignment:
        notes.append(
            f"Learnt poses: one rotation takes the model's frame to the object frame, averaged over "
            f"{alignment['rotations']} views of {alignment['objects']} objects (they differ from it by "
            f"{alignment['spread_deg']:.1f} degrees on average, {alignment['rejected']} were rejected)."
        )
        if alignment["symmetric_used"]:
            notes.append(
                "Warning: fewer than 3 objects without symmetry were there to align with; the heading may be wrong."
            )
    return notes
