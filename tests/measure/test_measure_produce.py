"""scripts/measure produce on painted goods: every table is there, and the last line is one object."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from cart_firmware.perception.embedder import Embedder
from cart_firmware.perception.knowledge import read, written
from cart_firmware.perception.product_index import ProductIndex
from cart_firmware.perception.recogniser import Recogniser
from measure import calibration, produce

SHIPPED = Path(__file__).parents[2] / "models" / "produce"
COLOURS = {"plum": (90, 20, 90), "lime": (30, 200, 120), "beet": (60, 20, 160), "lemon": (30, 220, 230)}


def paint(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    dice = np.random.default_rng(seed)
    picture = dice.integers(60, 110, (96, 120, 3), dtype=np.uint8)
    for _ in range(6):
        cv2.circle(picture, dice.integers(10, 110, 2).tolist(), int(dice.integers(14, 24)), colour, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        for seed in range(12):
            part = "val" if seed < 4 else "train"
            path = tmp_path / part / f"{name}_{seed}.png"
            paint(path, colour, 100 * place + seed)
            rows.append([str(path.relative_to(tmp_path)), name, "fruit" if place % 2 else "root", part])
    target = tmp_path / "manifest.csv"
    with target.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([["path", "fine", "coarse", "part"], *rows])
    return target


def model_of(names: list[str], manifest: Path, folder: Path) -> Path:
    """The shipped network, knowing these painted goods alone."""
    network = (SHIPPED / "network.tflite").read_bytes()
    knowledge = read((SHIPPED / "knowledge.npz").read_bytes(), network)
    recogniser = Recogniser(Embedder(network), knowledge)
    index = ProductIndex([], np.zeros((0, knowledge.index.prototypes.shape[1]), np.float32), np.zeros(0, np.float32))
    for name in names:
        pictures = [cv2.imread(str(path)) for path in sorted((manifest.parent / "train").glob(f"{name}_*"))]
        index = index.with_product(name, recogniser.vectors([np.asarray(each, np.uint8) for each in pictures]))
    folder.mkdir()
    shutil.copy(SHIPPED / "network.tflite", folder)
    (folder / "knowledge.npz").write_bytes(
        written(msgspec.structs.replace(knowledge, index=index, groups={}, record={"parts": "train"}))
    )
    return folder


def test_painted_goods_are_measured_whole(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(list(COLOURS), manifest, tmp_path / "model")
    partial = model_of(["plum", "lime"], manifest, tmp_path / "partial")
    produce.main([str(manifest), "--model", str(model), "--partial", str(partial), "--json"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    metrics = result["metrics"]
    assert (result["kind"], result["passed"] + result["failed"]) == ("produce", 16)
    # Four colours are no task for a network that tells apples apart.
    assert metrics["fine_top1"] >= 90
    assert metrics["fine_top3"] >= metrics["fine_top1"]
    assert {
        "coarse_top1",
        "fine_top5",
        "ece",
        "coverage_95",
        "coverage_99",
        "verify_any",
        "verify_group",
    } <= metrics.keys()
    assert set(metrics["disturbed"]) == {
        "motion blur 9 px",
        "noise 15",
        "rotation 180",
        "half light",
        "occlusion 30 %",
        "occlusion 30 %, side",
    }
    novel = metrics["partial"][str(partial)]
    assert (novel["known"], novel["novel"]) == (2, 2)
    assert novel["few_shot"]["5"]["mean"] >= 90


def test_models_of_several_seeds_are_measured_together(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [model_of(list(COLOURS), manifest, tmp_path / name) for name in ("one", "two")]
    shutil.copytree(models[1], models[1] / "floats")
    produce.main([str(manifest), "--model", str(models[0]), "--json"])
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    produce.main([str(manifest), *(part for model in models for part in ("--model", str(model))), "--json"])
    said = capsys.readouterr().out.splitlines()
    together = json.loads(said[-1])
    assert together["passed"] == 2 * alone["passed"]
    assert together["metrics"]["fine_top1"] == alone["metrics"]["fine_top1"]
    assert together["metrics"]["disturbed"] == alone["metrics"]["disturbed"]
    assert any(line.startswith("fine_top1 ") and " to " in line for line in said)
    # Only one of them has a network in floats to be compared with: it is left out, rather than half a mean.
    assert "int8_loses" not in together["metrics"]


def test_models_that_know_equally_many_products_are_averaged(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {"one": ["plum", "lime"], "two": ["beet", "lemon"], "three": ["plum", "lime", "beet"]}
    models = [str(model_of(names, manifest, tmp_path / folder)) for folder, names in splits.items()]
    partial = [part for model in models for part in ("--partial", model)]
    produce.main([str(manifest), "--only-partial", *partial, "--json"])
    said = capsys.readouterr().out.splitlines()
    metrics = json.loads(said[-1])["metrics"]
    one, two = (metrics["partial"][model]["few_shot"]["1"]["mean"] for model in models[:2])
    assert metrics["partial_mean"].keys() == {"2"}
    assert metrics["partial_mean"]["2"]["few_shot"]["1"]["mean"] == pytest.approx((one + two) / 2, abs=1e-3)
    assert any(line.startswith("mean of 2 splits: 2") for line in said)


def test_a_model_that_saw_these_photographs_is_said_to_have(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(list(COLOURS), manifest, tmp_path / "model")
    produce.main([str(manifest), "--model", str(model), "--part", "train"])
    assert "was trained on part 'train'" in capsys.readouterr().out


def test_constants_are_tried_beside_those_of_the_model(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(list(COLOURS), manifest, tmp_path / "model")
    knowledge = read((model / "knowledge.npz").read_bytes(), (model / "network.tflite").read_bytes())
    assert calibration.main([str(manifest), "--model", str(model), "--best", "5"]) == 0
    said = capsys.readouterr().out
    (present,) = (line for line in said.splitlines() if line.endswith("as it is"))
    assert present.split()[0] == f"{knowledge.calibration.sharpness:g},"
    assert said.count("\n") in {8, 9}, "a heading, five sets, the model's if it is none of them, and what chance does"
    assert "16 photographs would show an error of 0." in said
