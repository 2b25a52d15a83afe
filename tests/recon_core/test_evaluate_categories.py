# SPDX-License-Identifier: Apache-2.0
"""Scores by category, and baselines made from another dataset than the one that is judged."""

import json
import shutil

import pytest
from fake_predictor import FakePredictor
from tiny_dataset import make_tiny_dataset

from recon_core.data.dataset import Dataset
from recon_core.data.splits import write_splits
from recon_core.errors import DatasetError
from recon_core.evaluation.categories import MEAN
from recon_core.evaluation.evaluate import evaluate_predictor
from recon_core.evaluation.table import as_table


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two categories, one with three times as many objects as the other."""
    root = make_tiny_dataset(tmp_path_factory.mktemp("data"), objects=12, views=3, points=800)
    stools = make_tiny_dataset(
        tmp_path_factory.mktemp("stools"), objects=4, views=3, points=800, seed=5, category="stool"
    )
    shutil.copytree(stools / "stool", root / "stool")
    meta = json.loads((root / "dataset.json").read_text())
    meta["categories"], meta["parts"]["stool"] = ["chair", "stool"], meta["parts"]["chair"]
    (root / "dataset.json").write_text(json.dumps(meta))
    write_splits(root, Dataset.open(root).objects(), (0, 0, 1))
    return root


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Another dataset, for the baselines."""
    return make_tiny_dataset(tmp_path_factory.mktemp("training"), objects=8, views=3, points=800, seed=9)


def test_categories_count_alike_in_their_mean(data, training) -> None:
    result = evaluate_predictor(FakePredictor(data), data, baselines=training).result
    rows, found = result["rows"], result["categories"]
    assert set(found) == {"chair", "stool", MEAN}
    for category in ("chair", "stool"):
        of = [
            row["methods"]["model"]["chamfer_sum"] for row in rows if row["object"].startswith(category + "/")
        ]
        assert found[category]["model"]["chamfer_sum"] == pytest.approx(sum(of) / len(of), rel=1e-5)
    both = [found[category]["retrieval"]["chamfer_sum"] for category in ("chair", "stool")]
    assert found[MEAN]["retrieval"]["chamfer_sum"] == pytest.approx(sum(both) / 2)
    assert found[MEAN]["retrieval"]["chamfer_sum"] != pytest.approx(
        result["methods"]["retrieval"]["chamfer_sum"], rel=1e-4
    )
    assert MEAN in as_table(result)


def test_baselines_come_from_the_dataset_that_is_named(data, training) -> None:
    result = evaluate_predictor(FakePredictor(data), data, baselines=training).result
    assert result["baselines"] == str(training)
    # `data` has no training split at all: without another dataset there is nothing to retrieve.
    with pytest.raises(DatasetError, match="train split is empty"):
        evaluate_predictor(FakePredictor(data), data)


def test_one_category_has_no_table_of_categories(training) -> None:
    result = evaluate_predictor(FakePredictor(training), training).result
    assert result["categories"] == {}
    assert "by category" not in as_table(result)
