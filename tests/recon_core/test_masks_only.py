# SPDX-License-Identifier: Apache-2.0
"""Datasets without colour images (--passes mask): loaded, checked, shown, trained on and evaluated."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import make_tiny_dataset

from recon_core.data.cache import load_views
from recon_core.data.check import check_dataset
from recon_core.data.contact_sheet import write_contact_sheet
from recon_core.data.dataset import SILHOUETTE_GREY, Dataset
from recon_core.errors import DatasetError
from recon_core.evaluation.evaluate import evaluate_run
from recon_core.training.start import TrainRequest, start_training

QUICK = ("model.points=64", "model.width=8", "model.features=32", "model.hidden=32", "optim.steps=2")


@pytest.fixture(scope="module")
def masks_only(tmp_path_factory) -> Path:
    """What render_views writes with --passes mask."""
    root = make_tiny_dataset(tmp_path_factory.mktemp("masks") / "tiny", 8, 4, 64, labelled=False)
    for path in root.glob("*/*/transforms.json"):
        for unwanted in ("images", "depth", "normals"):
            shutil.rmtree(path.parent / unwanted)
        transforms = json.loads(path.read_text())
        for frame in transforms["frames"]:
            for key in ("file_path", "depth_file_path"):
                del frame[key]
            del frame["recon"]["normal_path"]
        path.write_text(json.dumps(transforms))
    return root


def test_images_are_grey_silhouettes(masks_only: Path) -> None:
    dataset = Dataset.open(masks_only)
    name = dataset.objects("train")[0]
    assert dataset.passes(name) == ("mask",)
    image = dataset.image(name, 1)
    assert (image[..., :3] == SILHOUETTE_GREY).all()
    np.testing.assert_array_equal(image[..., 3], dataset.mask(name, 1))
    views = load_views(masks_only, "train", input_size=32, mask_size=32, progress=False)
    inside = np.asarray(views.inputs)[..., 3] > 200
    assert inside.any()
    colors = np.asarray(views.inputs)[inside][:, :3].astype(int)
    assert np.abs(colors - SILHOUETTE_GREY).max() <= 2  # Pillow rounds when it undoes the alpha
    with pytest.raises(DatasetError, match="has no image pass"):
        load_views(masks_only, "train", input_size=32, mask_size=32, passes=("image",), progress=False)


def test_they_are_checked_and_shown(masks_only: Path, tmp_path: Path) -> None:
    report = check_dataset(masks_only, quiet=True)
    assert report.errors == []
    assert (report.done["alpha"], report.done["normals"]) == (0, 0)
    write_contact_sheet(masks_only, tmp_path / "sheet.png")
    assert np.asarray(Image.open(tmp_path / "sheet.png")).std() > 10


def test_they_can_be_trained_on_and_evaluated(masks_only: Path, tmp_path: Path) -> None:
    run = start_training(
        TrainRequest(masks_only, "splat", tmp_path / "run", QUICK, device="cpu", threads=1)
    ).run
    result = evaluate_run(run, masks_only, points=200, report=True, progress=False)
    assert result["methods"]["model"]["chamfer_sum"] > 0
    with pytest.raises(DatasetError, match="--passes rgb,parts"):
        start_training(
            TrainRequest(masks_only, "splat_full", tmp_path / "full", QUICK, device="cpu", threads=1)
        )
