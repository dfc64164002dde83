"""The recogniser on painted goods: what enrolment, scan verification and the notice of strangers do on any machine.

    scripts/measure painted [--seed 1] [--asked 24] [--json]
    scripts/measure painted --sheet docs/pictures/painted_goods.jpg

The simulator paints every loose good of the demo catalogue. The network is the shipped one, which never saw a painted
good; each is enrolled from k shots and then asked for by other shots. **These are figures of the machinery**: that it
learns, ranks, verifies and doubts. How well it knows real goods is for `scripts/measure produce` and its photographs.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from cart_firmware.perception.embedder import Embedder
from cart_firmware.perception.knowledge import read
from cart_firmware.perception.product_index import Floats, ProductIndex
from cart_firmware.perception.recogniser import Recogniser
from measure import lessons
from measure import produce_figures as figures
from measure.novel_products import Shots
from sim.goods_looks import LOOSE
from sim.optics.goods_shots import Picture, portrait, shot

Knowing = Callable[[ProductIndex], Recogniser]

SHOTS = (1, 3, 5)
STRANGERS = 8
_SIDE = 160
"""Of a shot, in pixels: what a hand carries over the rim of a cart is about that large in its camera's picture."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0: a figure below a bar is not a failure of the measurement."""
    options = _options(arguments)
    cv2.setNumThreads(1)
    if options.sheet:
        cv2.imwrite(str(options.sheet), sheet(options.seed), [cv2.IMWRITE_JPEG_QUALITY, 82])
        return 0
    network, known = ((options.model / name).read_bytes() for name in ("network.tflite", "knowledge.npz"))
    embedder, knowledge = Embedder(network), read(known, network)
    recogniser = Recogniser(embedder, knowledge)

    def knowing(index: ProductIndex) -> Recogniser:
        return Recogniser(embedder, msgspec.structs.replace(knowledge, index=index))

    asked = painted(recogniser.vectors, range(options.asked), options.seed)
    shown = [painted(recogniser.shots, range(max(SHOTS)), options.seed + 1 + draw) for draw in range(options.draws)]
    metrics: dict[str, Any] = {"goods": len(LOOSE), "asked": len(asked.products), "draws": options.draws}
    metrics["enrolled"] = {shots: _named(shown, asked, shots) for shots in SHOTS}
    metrics["verified"] = _verified(knowing, shown, asked)
    metrics["strangers"] = _strangers(knowing, shown, asked, options.seed)
    metrics["confused"] = _confused(shown, asked)
    metrics["taught"] = {shots: lessons.taught(knowledge, shown, asked, shots) for shots in SHOTS}
    metrics["mixed_up"] = {count: lessons.mixed_up(knowledge, shown[0], count) for count in (2, 5)}
    _show(metrics)
    if options.json:
        right = round(metrics["enrolled"][SHOTS[-1]]["top1"] / 100 * len(asked.products))
        print(json.dumps({
            "kind": "painted", "passed": right, "failed": len(asked.products) - right, "metrics": metrics,
        }))  # fmt: skip
    return 0


def painted(look: Callable[[Sequence[Picture]], Floats], numbers: Iterable[int], seed: int) -> Shots:
    """Return the unit vectors of so many painted shots of every good, to be named or to be learned."""
    goods, vectors = list[str](), list[Floats]()
    for place, (product, good) in enumerate(LOOSE.items()):
        print(f"\r{place} of {len(LOOSE)} goods painted   ", end="", file=sys.stderr, flush=True)
        for number in numbers:
            paint = int(np.random.SeedSequence([seed, place, number]).generate_state(1)[0])
            vectors.append(look([shot(good.looks, paint, _SIDE, most=good.piece.most)])[0])
            goods.append(product)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return Shots(goods, np.stack(vectors))


def sheet(seed: int, shots: int = 3, columns: int = 4, side: int = 64) -> Picture:
    """Return every painted good in one picture: its portrait, then some shots as a cart would take them."""
    strips = []
    for place, good in enumerate(LOOSE.values()):
        face = cv2.imdecode(np.frombuffer(portrait(good.looks, side), np.uint8), cv2.IMREAD_UNCHANGED)
        cover = np.asarray(face)[..., 3:] / 255
        cells = [(np.asarray(face)[..., :3] * cover + 255 * (1 - cover)).astype(np.uint8)]
        for number in range(shots):
            taken = shot(good.looks, 1_000 * seed + shots * place + number, 2 * side, most=good.piece.most)
            cells.append(np.asarray(cv2.resize(taken, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
        strips.append(np.hstack([*cells, np.full((side, side // 4, 3), 255, np.uint8)]))
    rows = [np.hstack(strips[first : first + columns]) for first in range(0, len(strips), columns)]
    return np.vstack(rows)


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _enrolled(shown: Shots, shots: int, products: Iterable[str] = LOOSE) -> ProductIndex:
    width = shown.vectors.shape[1]
    index = ProductIndex((), np.zeros((0, width), np.float32), np.zeros(0, np.float32))
    for product in products:
        index = index.with_product(product, shown.of(product)[:shots])
    return index


def _named(shown: Sequence[Shots], asked: Shots, shots: int) -> dict[str, Any]:
    """Return how often goods are named right among all of them, and among those that look alike (%)."""
    table = defaultdict[str, list[float]](list)
    groups = _groups()
    group_of_asked = np.array([LOOSE[product].group for product in asked.products])
    for each in shown:
        index = _enrolled(each, shots)
        likeness = index.likeness(asked.vectors).astype(np.float64)
        right = np.array([index.place(product) for product in asked.products])
        table["top1"].append(figures.top(likeness, right, 1))
        table["top3"].append(figures.top(likeness, right, 3))
        of_group = np.array([LOOSE[name].group for name in index.names])
        table["group"].append(figures.percent(of_group[likeness.argmax(axis=1)] == group_of_asked))
        for group in groups:
            mine = group_of_asked == group
            table[f"{group} top1"].append(figures.top(likeness[mine], right[mine], 1))
    return {name: _mean(values) for name, values in table.items()}


def _verified(knowing: Knowing, shown: Sequence[Shots], asked: Shots) -> dict[str, float]:
    """Return how many swapped labels are caught at 1 % false alarms, each good enrolled from the most shots (%)."""
    caught = []
    for each in shown:
        told = knowing(_enrolled(each, SHOTS[-1]))
        names = told.knowledge.index.names
        kinds = sorted({LOOSE[name].group for name in names})
        said = [told.judge(vector[None]) for vector in asked.vectors]
        raw = np.stack([sight.probabilities * (1 - sight.unknown) for sight in said])
        right = np.array([names.index(product) for product in asked.products])
        caught.append(figures.swaps_caught(raw, right, np.array([kinds.index(LOOSE[name].group) for name in names])))
    return {name: _mean([each[name] for each in caught]) for name in ("any", "group")}


def _strangers(knowing: Knowing, shown: Sequence[Shots], asked: Shots, seed: int) -> dict[str, float]:
    """Return how well goods that were not enrolled are told from those that were."""
    area, taken = [], []
    for draw, each in enumerate(shown):
        names = list(LOOSE)
        left_out = set(np.random.default_rng([seed, draw]).choice(names, STRANGERS, replace=False).tolist())
        told = knowing(_enrolled(each, SHOTS[-1], (name for name in names if name not in left_out)))
        known = np.array([1 - told.judge(vector[None]).unknown for vector in asked.vectors])
        strange = np.array([product in left_out for product in asked.products])
        area.append(figures.auroc(known[~strange], known[strange]))
        taken.append(figures.taken_for_known(known[~strange], known[strange]))
    return {"auroc": round(float(np.mean(area)), 4), "fpr_95": round(float(np.mean(taken)), 4)}


def _confused(shown: Sequence[Shots], asked: Shots) -> dict[str, float]:
    """Return the pairs that are confused most, and in how many of a hundred shots of the first."""
    pairs = defaultdict[tuple[str, str], int](int)
    for each in shown:
        index = _enrolled(each, SHOTS[-1])
        for product, place in zip(asked.products, index.likeness(asked.vectors).argmax(axis=1), strict=True):
            if index.names[place] != product:
                pairs[product, index.names[place]] += 1
    of_one = len(shown) * len(asked.products) / len(LOOSE)
    most = sorted(pairs.items(), key=lambda pair: -pair[1])[:10]
    return {f"{right} as {said}": round(100 * count / of_one, 1) for (right, said), count in most}


def _groups() -> list[str]:
    """Return the groups that have more than one good."""
    groups = [good.group for good in LOOSE.values()]
    return sorted({group for group in groups if groups.count(group) > 1})


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 2)


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(metrics: dict[str, Any]) -> None:
    asked, draws = metrics["asked"], metrics["draws"]
    print(f"{metrics['goods']} painted goods, {asked} shots asked for, {draws} draws of shots to enrol")
    for shots, row in metrics["enrolled"].items():
        named = f"{row['top1']:6.2f} % named right, {row['top3']:6.2f} % within three, group {row['group']:6.2f} %"
        print(f"  from {shots} shots: {named}")
        print("     " + ", ".join(f"{group} {row[f'{group} top1']:.1f}" for group in _groups()))
    verified, strangers = metrics["verified"], metrics["strangers"]
    print(f"  swapped labels caught at 1 % false alarms: any {verified['any']} %, same group {verified['group']} %")
    print(
        f"  strangers: AUROC {strangers['auroc']}, {strangers['fpr_95']} taken for known where 95 % of the known pass"
    )
    for shots, row in metrics["taught"].items():
        print(
            f"  taught beside the shipped from {shots} shots: {row['mistaken']} % mistaken, {row['named']} % of these "
            f"named by the test, {row['unnamed']} % of all not; {row['alike']} look-alikes each, "
            f"{row['scattered']} % scattered"
        )
    mixed = ", ".join(f"of {count} goods {share} %" for count, share in metrics["mixed_up"].items())
    print(f"  called scattered, five shots {mixed}")
    print("  confused most (%): " + "; ".join(f"{pair} {share}" for pair, share in metrics["confused"].items()))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/measure painted", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asked", type=int, default=24, help="shots of each good to be named; default: %(default)s")
    parser.add_argument(
        "--draws", type=int, default=5, help="of shots to enrol, and of strangers; default: %(default)s"
    )
    parser.add_argument("--model", type=Path, default=Path("models/produce"), help="folder; default: %(default)s")
    parser.add_argument("--sheet", type=Path, help="measure nothing: write every good's portrait and shots there")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    return parser.parse_args(arguments)
