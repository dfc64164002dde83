"""scripts/train FOLDER: from the labelled photographs and the donor to a network and what a cart keeps beside it.

Where the part `val` was not trained on, a report on it is written, too: figures, and pictures of what is confused.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from cart_firmware.perception.embedder import Embedder
from cart_firmware.perception.knowledge import Calibration, Knowledge, written
from models.train import fit, views
from models.train.learn import Recipe, pooled, prepare, train
from models.train.network import donated
from models.train.network_file import network_file
from models.train.photographs import Photograph, Picture, load, products

_KEPT_BACK = "val"
ALIKE = 0.99
"""Least correlation of the features of file and training; 0.9993 is usual."""


def main() -> int:
    """Train, write two files into the folder, and say how long it took."""
    options = _options()
    began = time.perf_counter()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    recipe = Recipe(seed=options.seed, epochs=options.epochs)
    photographs = load(options.manifest)
    parts = options.parts.split(",")
    chosen = selected(photographs, parts, options.only, options.seed)
    record = {"parts": options.parts, "photographs": str(len(chosen)), "recipe": msgspec.json.encode(recipe).decode()}
    folders = [options.folder, options.folder / "floats"][: 1 + options.floats]
    networks = [(each / "network.tflite").read_bytes() for each in folders] if options.kept else made(chosen, recipe)
    for folder, network in zip(folders, networks, strict=False):
        knowledge = known(network, chosen, recipe, record)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "network.tflite").write_bytes(network)
        (folder / "knowledge.npz").write_bytes(written(knowledge))
    print(f"{options.folder}: {len(products(chosen))} products, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    if options.only is None and _KEPT_BACK not in parts and any(each.part == _KEPT_BACK for each in photographs):
        report(options.folder, options.manifest)
    return 0


def report(folder: Path, manifest: Path) -> None:
    """Write report.txt and confused.png into the folder: what its model makes of photographs that it never saw."""
    command = [sys.executable, "-m", "measure", "produce", manifest, "--model", folder, "--part", _KEPT_BACK]
    pictures = folder / "confused.png"
    measured = subprocess.run(  # noqa: S603 - this very Python, and the folder that was asked for
        [*command, "--confused", pictures], stdout=subprocess.PIPE, text=True, check=True
    )
    (folder / "report.txt").write_text(measured.stdout)
    print(measured.stdout)


def made(photographs: Sequence[Photograph], recipe: Recipe) -> tuple[bytes, bytes]:
    """Return a trained network as int8 file and as file in floats."""
    donor = donated()
    shown = prepare(donor, photographs, recipe)
    learner = train(donor, shown, recipe)
    weights = {**donor.weights, **learner.tail.weights()}
    network = network_file(donor.layers, weights, {**shown.front_ranges, **learner.tail.ranges}, recipe.side)
    some = slice(None, None, max(1, len(photographs) // 32))
    agree(network, photographs[some], pooled(learner, shown.stored[some]))
    return network, network_file(donor.layers, weights, None, recipe.side)


def selected(photographs: Sequence[Photograph], parts: Sequence[str], only: int | None, seed: int) -> list[Photograph]:
    """Return the photographs of some parts, and of so many products alone, drawn by the seed."""
    names = list(products(photographs))
    if only is not None:
        names = sorted(np.random.default_rng(seed).choice(names, only, replace=False).tolist())
    return [each for each in photographs if each.part in parts and each.product in names]


def agree(network: bytes, photographs: Sequence[Photograph], trained: NDArray[np.float32]) -> None:
    """Raise RuntimeError when the file's features of photographs are not those that PyTorch imitates int8 with."""
    written_down = Embedder(network).all_features([each.seen() for each in photographs])
    likeness = float(np.corrcoef(written_down.ravel(), trained.ravel())[0, 1])
    if likeness < ALIKE:
        raise RuntimeError(
            f"features of the file correlate by {likeness:.3f} with those of training, expected {ALIKE} at least:"
            " donor and models/train/network.py do not compute alike"
        )


def known(network: bytes, photographs: Sequence[Photograph], recipe: Recipe, record: dict[str, str]) -> Knowledge:
    """Return whitening, prototypes and calibration, from what the int8 network makes of the photographs."""
    groups = products(photographs)
    names = list(groups)
    features, labels = shots(Embedder(network), photographs, names, recipe)
    space = fit.whitened(features, labels, recipe.dimensions, recipe.shrinkage, recipe.between)
    counts = [sum(each.product == name for each in photographs) for name in names]
    return Knowledge(
        network_sha256=hashlib.sha256(network).hexdigest(),
        space=space,
        index=fit.prototypes(names, space.place(features), labels, counts),
        groups=groups,
        calibration=Calibration(recipe.sharpness, recipe.strange, recipe.strange_width, recipe.dull_sharpness),
        record=record,
    )


def shots(
    embedder: Embedder, photographs: Sequence[Photograph], names: Sequence[str], recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features and labels of every photograph as it is, and of some views of it."""
    dice = np.random.default_rng(recipe.seed)
    features, labels = [], []
    for done, photograph in enumerate(photographs):
        picture = photograph.picture()
        seen = [picture, *(views.placed(picture, recipe.side, dice) for _ in range(recipe.shots))]
        features.append(embedder.all_features([_seen_by_camera(each) for each in seen]))
        labels += [names.index(photograph.product)] * len(seen)
        if done % 50 == 0:
            print(f"\r{done} of {len(photographs)} photographs placed ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return np.concatenate(features), np.array(labels)


def _seen_by_camera(picture: Picture) -> Picture:
    """Return a picture in the order of colours that a camera gives."""
    return np.ascontiguousarray(picture[:, :, ::-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/train", description=__doc__)
    folder = Path(os.environ.get("CARTWRIGHT_DATA", "../shared/data"))
    manifest = folder / "produce" / "manifest.csv"
    parser.add_argument("folder", type=Path, help="where network.tflite and knowledge.npz are written")
    parser.add_argument("--manifest", type=Path, default=manifest, help="default: %(default)s")
    parser.add_argument("--parts", default="train", help="of the manifest, joined by commas; default: %(default)s")
    parser.add_argument("--only", type=int, help="train on so many products, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs, help="default: %(default)s")
    parser.add_argument("--floats", action="store_true", help="also make FOLDER/floats, to be compared with")
    parser.add_argument(
        "--kept", action="store_true", help="leave the folder's network as it is; all else is made anew"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
