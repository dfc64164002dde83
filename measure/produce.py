"""The recogniser on labelled photographs: names, probabilities, scans verified, bad pictures, new and strange products.

Identification is measured with --model; of several models (seeds of one training) the mean is printed, then least and
greatest. What becomes of products that a network never saw is measured with each
--partial: a model trained on part of the manifest's products (scripts/train --only N); the others are the novel ones.
Photographs to be named are those of --part; shots of novel products come from the other parts.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.embedder import Embedder, Picture
from cart_firmware.perception.knowledge import Knowledge, read
from cart_firmware.perception.product_index import Floats, ProductIndex, unit
from cart_firmware.perception.recogniser import Recogniser
from measure import novel_products
from measure import produce_figures as figures
from measure.looks import Looks, looks_at
from measure.novel_products import Shots
from measure.produce_confusions import sheet
from measure.produce_photographs import disturbances
from models.train.photographs import Photograph, load, products

DRAWS = 10
Item = TypeVar("Item")
Places = NDArray[np.int64]
Wrong = tuple[Photograph, str, float]
"""A photograph, what it was named, and with which probability."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0: a figure below a bar is not a failure of the measurement."""
    options = _options(arguments)
    cv2.setNumThreads(1)
    photographs = load(options.manifest)
    asked = [one for one in photographs if not one.part or one.part == options.part]
    if not asked:
        raise SystemExit(f"{options.manifest} has no photograph of part {options.part!r}: choose with --part")
    shown = [one for one in photographs if one.part != options.part]
    metrics: dict[str, Any] = {}
    right = named = 0
    if not options.only_partial:
        tables = []
        for folder in options.model or [Path("models/produce")]:
            recogniser, size = opened(folder)
            _warn(recogniser.knowledge, options.part)
            table, wrong = identification(recogniser, asked)
            tables.append({**table, "file_bytes": size, **rounding(folder, asked, table["fine_top1"])})
            right, named = right + len(asked) - len(wrong), named + len(asked)
            disagree(wrong)
            if options.confused:
                cv2.imwrite(str(options.confused), sheet(wrong, shown))
        metrics = show(tables)
    for folder in options.partial:
        metrics.setdefault("partial", {})[str(folder)] = novel = novelty(opened(folder)[0], asked, shown)
        show_novel(str(folder), novel)
    if means := splits(list(metrics.get("partial", {}).values())):
        metrics["partial_mean"] = means
    if options.json:
        print(json.dumps({"kind": "produce", "passed": right, "failed": named - right, "metrics": metrics}))
    return 0


def opened(folder: Path) -> tuple[Recogniser, dict[str, int]]:
    """Return the model of a folder and the size of its files."""
    network, knowledge = ((folder / name).read_bytes() for name in ("network.tflite", "knowledge.npz"))
    return Recogniser(Embedder(network), read(knowledge, network)), {
        "network": len(network),
        "knowledge": len(knowledge),
    }


def _warn(knowledge: Knowledge, part: str) -> None:
    if part in knowledge.record.get("parts", "").split(","):
        print(f"This model was trained on part {part!r}: its figures here say nothing of goods to come.\n")


# ── products that the model knows ────────────────────────────────────────────────────────────────────────────────────


def identification(recogniser: Recogniser, photographs: Sequence[Photograph]) -> tuple[dict[str, Any], list[Wrong]]:
    """Return the figures, and what is named wrong."""
    names = recogniser.knowledge.index.names
    right, group_of = places_of(recogniser.knowledge, photographs)
    said, wall, cpu, looks = [], [], [], []
    for photograph in shown_progress(photographs, "photographs named"):
        picture = photograph.seen()
        began, began_cpu = time.perf_counter(), time.thread_time()
        sight = recogniser.recognise([picture])
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.thread_time() - began_cpu) * 1e3)
        said.append(sight.probabilities * (1 - sight.unknown))
        looks.append(sight.looks)
    raw = np.stack(said)
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    wrong = [
        (photograph, names[int(row.argmax())], float(row.max()))
        for photograph, row in zip(photographs, probabilities, strict=True)
        if names[int(row.argmax())] != photograph.product
    ]
    swaps = figures.swaps_caught(raw, right, group_of)
    return {
        **{f"fine_top{count}": figures.top(probabilities, right, count) for count in (1, 3, 5)},
        "coarse_top1": figures.top_group(probabilities, group_of, group_of[right]),
        "ece": figures.calibration_error(probabilities, right),
        "coverage_95": figures.coverage(probabilities, right, 0.95),
        "coverage_99": figures.coverage(probabilities, right, 0.99),
        "verify_any": swaps["any"],
        "verify_group": swaps["group"],
        "disturbed": disturbed(recogniser, photographs, right),
        "looked_again": figures.percent(np.array(looks) > 1),
        "ms_mean": round(statistics.fmean(wall), 2),
        "ms_median": round(statistics.median(wall), 2),
        "cpu_ms_median": round(statistics.median(cpu), 2),
        "lookup_ms": lookup_ms(recogniser),
        "enrol_ms": enrol_ms(recogniser, photographs),
    }, wrong


def places_of(knowledge: Knowledge, photographs: Sequence[Photograph]) -> tuple[Places, Places]:
    """Return the place of each photograph's product among the model's, and the group of each product of the model.

    Raises:
        SystemExit: the model does not know one of them.
    """
    group_of = {**knowledge.groups, **products(photographs)}
    if strange := {one.product for one in photographs} - set(knowledge.index.names):
        raise SystemExit(f"the model does not know {len(strange)} products of the manifest: measure it with --partial")
    groups = sorted(set(group_of.values()))
    return (
        np.array([knowledge.index.place(one.product) for one in photographs]),
        np.array([groups.index(group_of[name]) for name in knowledge.index.names]),
    )


def rounding(folder: Path, photographs: Sequence[Photograph], rounded: float) -> dict[str, float]:
    """Return what the network names right (%) in floats, where training left it in floats (scripts/train --floats)."""
    if not (folder / "floats").exists():
        return {}
    floats = opened(folder / "floats")[0]
    progress = shown_progress(photographs, "photographs named in floats")
    said = [floats.recognise([one.seen()]).probabilities for one in progress]
    places = np.array([floats.knowledge.index.place(one.product) for one in photographs])
    exact = figures.top(np.stack(said), places, 1)
    return {"fine_top1_floats": exact, "int8_loses": round(exact - rounded, 2)}


def disturbed(recogniser: Recogniser, photographs: Sequence[Photograph], right: Places) -> dict[str, float]:
    """Return how often the product is named right (%) when its picture is bad."""
    table = {}
    for name, disturb in disturbances().items():
        probabilities = [
            recogniser.recognise([disturb(photograph.seen())]).probabilities
            for photograph in shown_progress(photographs, f"photographs: {name}")
        ]
        table[name] = figures.top(np.stack(probabilities), right, 1)
    return table


def lookup_ms(recogniser: Recogniser, products: int = 10_000) -> float:
    """Return the processor time of one look-up among so many products, in milliseconds."""
    dice = np.random.default_rng(1)
    width = recogniser.knowledge.index.prototypes.shape[1]
    vectors = unit(dice.normal(size=(products, width)).astype(np.float32))
    index = ProductIndex([str(each) for each in range(products)], vectors, np.zeros(products, np.float32))
    return _fastest(lambda: index.likeness(vectors[0]))


def enrol_ms(recogniser: Recogniser, photographs: Sequence[Photograph]) -> float:
    """Return the processor time of enrolling one product from ten shots, in milliseconds."""
    pictures = [one.seen() for one in photographs[:10]]
    return _fastest(lambda: recogniser.knowledge.index.with_product("new", recogniser.shots(pictures)))


def _fastest(what: Any) -> float:
    """Return the middle of 21 runs."""
    taken = []
    for _ in range(21):
        began = time.thread_time()
        what()
        taken.append((time.thread_time() - began) * 1e3)
    return round(statistics.median(taken), 3)


# ── products that the model does not know ────────────────────────────────────────────────────────────────────────────


def novelty(recogniser: Recogniser, asked: Sequence[Photograph], shown: Sequence[Photograph]) -> dict[str, Any]:
    """Return what becomes of products that the model does not know."""
    index = recogniser.knowledge.index
    known = shots_of(recogniser.shots, [one for one in shown if one.product not in index])
    queries = novel_products.Asked([one.product for one in asked], looked_at(recogniser, asked))
    density = 1 - recogniser.knowledge.calibration.unknown(queries.looks.likeness(index))
    familiar = np.array([product in index for product in queries.products])
    return {
        "known": len(index),
        "novel": len(set(known.products)),
        "queries_known": int(familiar.sum()),
        "queries_novel": int((~familiar).sum()),
        "few_shot": {
            shots: _spread(novel_products.enrolled_alone(index, known, queries, shots, DRAWS))
            for shots in (1, 3, 5, 10)
        },
        "among_old": novel_products.enrolled_among_old(index, known, queries, 5, DRAWS),
        "auroc": figures.auroc(density[familiar], density[~familiar]),
        "fpr_95": figures.taken_for_known(density[familiar], density[~familiar]),
    }


def shots_of(look: Callable[[Sequence[Picture]], Floats], photographs: Sequence[Photograph]) -> Shots:
    vectors: list[Floats] = [look([one.seen()])[0] for one in shown_progress(photographs, "photographs looked at")]
    return Shots([one.product for one in photographs], np.stack(vectors))


def looked_at(recogniser: Recogniser, photographs: Sequence[Photograph]) -> Looks:
    """Return both looks at each photograph."""
    return looks_at(recogniser, (one.seen() for one in shown_progress(photographs, "photographs looked at")))


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(statistics.fmean(values), 2), "sd": round(statistics.stdev(values), 2)}


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────────


def disagree(wrong: Sequence[Wrong]) -> None:
    """Print what is named wrong, then the pairs that are confused most."""
    for photograph, said, share in wrong:
        print(f"wrong  {photograph.path.name}: named {said} ({share:.2f})")
    pairs = Counter((photograph.product, said) for photograph, said, _ in wrong)
    confused = "; ".join(f"{right} as {said} x{count}" for (right, said), count in pairs.most_common(8))
    print(f"confused most: {confused}\n")


def show(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Print the figures of one model, or mean, least and greatest of several; return the means."""
    means: dict[str, Any] = {}
    for name, value in tables[0].items():
        if any(name not in table for table in tables):
            continue
        if isinstance(value, dict):
            means[name] = {part: _shown(f"{name} {part}", [table[name][part] for table in tables]) for part in value}
        else:
            means[name] = _shown(name, [table[name] for table in tables])
    return means


def _shown(name: str, values: Sequence[float]) -> float:
    mean = round(statistics.fmean(values), 4)
    print(f"{name:<28} {mean}{f'   ({min(values)} to {max(values)})' if len(values) > 1 else ''}")
    return mean


def splits(tables: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Print and return the mean figures of models that know equally many products, each other ones."""
    means = {}
    for known in sorted({table["known"] for table in tables}):
        alike = [table for table in tables if table["known"] == known]
        if len(alike) > 1:
            means[str(known)] = mean = _mean_of(alike)
            show_novel(f"mean of {len(alike)} splits", mean)
    return means


def _mean_of(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: _mean_of([table[name] for table in tables])
        if isinstance(value, dict)
        else round(statistics.fmean(table[name] for table in tables), 4)
        for name, value in tables[0].items()
    }


def show_novel(title: str, table: dict[str, Any]) -> None:
    print(f"\n{title}: {table['known']:g} products known, {table['novel']:g} novel, {DRAWS} draws of shots")
    for shots, row in table["few_shot"].items():
        print(f"  {shots:>2} shots: {row['mean']:6.2f} % of {table['queries_novel']:g} named right (sd {row['sd']})")
    among = table["among_old"]
    print(
        f"  ten beside the {table['known']:g} at 5 shots: new {among['new']} % (top 3 {among['new_top3']} %),"
        f" old {among['old_before']} -> {among['old']} %"
    )
    print(f"  strangers: AUROC {table['auroc']}, {table['fpr_95']} taken for known where 95 % of the known pass")


def shown_progress(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Yield the items, and say on stderr how far it is."""
    for done, item in enumerate(items):
        if done % 20 == 0:
            print(f"\r{done} of {len(items)} {what}   ", end="", file=sys.stderr, flush=True)
        yield item
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


def default_manifest() -> Path:
    """Return where the labelled photographs lie beside a checkout."""
    return Path(os.environ.get("CARTWRIGHT_DATA", "../shared/data")) / "produce" / "manifest.csv"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/measure produce", description=__doc__)
    parser.add_argument("manifest", type=Path, nargs="?", default=default_manifest(), help="default: %(default)s")
    parser.add_argument("--model", type=Path, action="append", help="folder; may be repeated; default: models/produce")
    parser.add_argument("--partial", type=Path, action="append", default=[], help="folder of a model trained in part")
    parser.add_argument("--only-partial", action="store_true", help="leave out identification")
    parser.add_argument("--part", default="val", help="of the manifest, to be named; default: %(default)s")
    parser.add_argument("--confused", type=Path, help="PNG file: what was named wrong beside what it was taken for")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    return parser.parse_args(arguments)
