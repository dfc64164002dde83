"""Hands over the rim: what is said of labelled passages, and what a frame costs, and OpenCV's MOG2 with a plain rule.

    scripts/bench hands [--passages 50] [--seed 1] [--json]
    scripts/bench hands --fit [--passages 100] [--seed 1001]

Both see the same frames, one after the other in turned order, in one process and on one thread; each is new for every
clip. The plain rule follows the largest blob that MOG2 finds: where its centre goes in over the rim larger than it
comes out, something was put in. A passage is right, wrong, or abstained of; of an empty hand, silence is right.
Disturbances are clips in which nothing goes over the rim: whatever is said of them is false. Passages of painted fruit
and vegetables are counted apart.

`--fit` measures passages and prints the weights of cart_firmware/perception/ways.py. Fit and measure with other seeds.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.core.decision import Way
from cart_firmware.perception.hands import WIDTH, Hands
from cart_firmware.perception.remains import Remains
from cart_firmware.perception.rim import Rim
from cart_firmware.perception.ways import SURE, WAYS, measures
from sim.optics.passages import DISTURBANCES, HEIGHT, PAINTED, PASSAGES, Clip
from sim.optics.passages import WIDTH as FRAME_WIDTH

BARS = {"wrong_pct": 1.0, "abstained_pct": 15.0, "false_per_10_min": 1.0, "median_ms": 2.0}
_WAY_OF = {"in": Way.IN, "out": Way.OUT, "both": Way.BOTH, "nothing": Way.UNSEEN}
_LATE_S = 2.0
"""How long after a passage something may still be said of it."""
_STILL = slice(2, 24)
"""Frames of every clip before anything happens in it; the first two find libraries that are not warm."""
_PAINTED_FITS = 3
"""Clips of painted goods for each of plain shapes: there are 20 situations with these, and 3 with those."""
_SHRINK = 1.2
"""How many times larger a blob is with goods than without, for the plain rule."""


class Watcher(Protocol):
    def ways(self, at_us: int, luma: NDArray[np.uint8]) -> list[Way]: ...


class Ours:
    def __init__(self) -> None:
        self._hands = Hands(Rim())
        self.found: list[Remains] = []

    def ways(self, at_us: int, luma: NDArray[np.uint8]) -> list[Way]:
        passage = self._hands.see(at_us, luma)
        if passage is None:
            return []
        self.found.append(passage.found)
        return [passage.way] if passage.way is not Way.UNSEEN else []


class Plain:
    """MOG2 at the same resolution, and how large its largest blob is where its centre crosses the rim."""

    def __init__(self) -> None:
        self._mog2 = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
        self._depth = Rim().depth(WIDTH, WIDTH * HEIGHT // FRAME_WIDTH)
        self._inside = False
        self._entered = self._left = 0

    def ways(self, at_us: int, luma: NDArray[np.uint8]) -> list[Way]:
        del at_us
        half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.resize(half, self._depth.shape[::-1], interpolation=cv2.INTER_AREA)
        mask = cv2.morphologyEx(self._mog2.apply(small), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, _, stats, centres = cv2.connectedComponentsWithStats(mask)
        largest = max(range(1, count), key=lambda each: stats[each, cv2.CC_STAT_AREA], default=0)
        area = int(stats[largest, cv2.CC_STAT_AREA]) if largest else 0
        if area < 40:
            return self._gone()
        x, y = centres[largest]
        was, self._inside = self._inside, bool(self._depth[int(y), int(x)] > 0)
        if self._inside and not was and not self._entered:
            self._entered = area
        if was and not self._inside:
            self._left = area
        return []

    def _gone(self) -> list[Way]:
        """Nothing moves any more: what never came out again was put in."""
        entered, left = self._entered, self._left
        self._inside, self._entered, self._left = False, 0, 0
        if not entered:
            return []
        if entered > _SHRINK * left:
            return [Way.IN]
        return [Way.OUT] if left > _SHRINK * entered else []


class Seen(msgspec.Struct):
    """What one watcher made of one clip."""

    said: list[tuple[float, Way]] = []
    cpu_ms: list[float] = []

    def ask(self, watcher: Watcher, at_us: int, luma: NDArray[np.uint8]) -> None:
        began = time.thread_time()
        ways = watcher.ways(at_us, luma)
        self.cpu_ms.append((time.thread_time() - began) * 1e3)
        self.said += [(at_us / 1e6, way) for way in ways]


class Row(msgspec.Struct):
    passages: int = 0
    right: int = 0
    wrong: int = 0
    abstained: int = 0

    def count(self, truth: Way, said: Iterable[Way]) -> None:
        ways = set(said)
        way = Way.UNSEEN if not ways else ways.pop() if len(ways) == 1 else Way.BOTH
        self.passages += 1
        self.right += way is truth
        self.abstained += way is Way.UNSEEN and truth is not Way.UNSEEN
        self.wrong += way not in {truth, Way.UNSEEN}


def watch(clip: Clip) -> tuple[Seen, Seen, list[Remains]]:
    """Show a clip to both."""
    ours, plain = Ours(), Plain()
    pairs: list[tuple[Seen, Watcher]] = [(Seen(), ours), (Seen(), plain)]
    for number, (at_us, luma) in enumerate(clip.frames()):
        for seen, watcher in pairs[:: -1 if number % 2 else 1]:
            seen.ask(watcher, at_us, luma)
    return pairs[0][0], pairs[1][0], ours.found


def measure(passages: int, seed: int) -> dict[str, Any]:
    """Return the figures; clips are shared among the processors, each is watched on one thread."""
    clips = [(name, f"{name}/{seed}/{number}") for name in PASSAGES | PAINTED for number in range(passages)]
    clips += [(name, f"{name}/{seed}/{number}") for name in DISTURBANCES for number in range(max(1, passages // 5))]
    rows: dict[str, tuple[Row, Row]] = {name: (Row(), Row()) for name in PASSAGES | PAINTED}
    confusion = {truth.value: {way.value: 0 for way in Way} for truth in Way}
    false: dict[str, list[int]] = {name: [0, 0, 0] for name in DISTURBANCES}
    costs: tuple[list[float], list[float]] = ([], [])
    still: tuple[list[float], list[float]] = ([], [])
    for name, clip, ours, plain in _watched(clips):
        for number, seen in enumerate((ours, plain)):
            costs[number].extend(seen.cpu_ms)
            still[number].extend(seen.cpu_ms[_STILL])
        if name in false:
            false[name] = [a + b for a, b in zip(false[name], (1, len(ours.said), len(plain.said)), strict=True)]
            continue
        passage = clip.truth[0]
        truth = _WAY_OF[passage.way]
        for row, seen in zip(rows[name], (ours, plain), strict=True):
            row.count(truth, [way for at_s, way in seen.said if passage.from_s <= at_s <= passage.until_s + _LATE_S])
        if name in PAINTED:
            continue
        said = {way for _, way in ours.said}
        confusion[truth.value][(said.pop() if len(said) == 1 else Way.BOTH if said else Way.UNSEEN).value] += 1
    return {
        "passages": passages, "seed": seed, "sure": SURE,
        "rows": {name: [msgspec.to_builtins(row) for row in rows[name]] for name in PASSAGES},
        "painted": {name: [msgspec.to_builtins(row) for row in rows[name]] for name in PAINTED},
        "confusion": confusion,
        "disturbances": {name: {"seconds": 10 * clips_, "ours": mine, "plain": theirs}
                         for name, (clips_, mine, theirs) in false.items()},
        "frame_ms": [_times(cost) for cost in costs],
        "still_ms": [_times(cost) for cost in still],
    }  # fmt: skip


def fit(passages: int, seed: int) -> dict[str, list[float]]:
    """Return weights for ways.py, from passages of plain shapes and, for a fifth of them, of painted goods."""
    clips = [(name, f"{name}/{seed}/{number}") for name in PASSAGES for number in range(passages)]
    clips += [(name, f"{name}/{seed}/{number}") for name in PAINTED for number in range(_PAINTED_FITS * passages)]
    measured, truths = [], []
    with multiprocessing.Pool() as pool:
        for (name, dice), found in zip(clips, pool.imap(_found, clips, chunksize=4), strict=True):
            for remains in found:
                if remains.area:
                    measured.append(measures(remains))
                    truths.append(WAYS.index(_WAY_OF[_make(name, dice).truth[0].way]))
    return logistic(measured, np.array(truths))


def logistic(measured: list[dict[str, float]], truths: NDArray[np.int64]) -> dict[str, list[float]]:
    """Return weights of each measure for each way: multinomial, ridge of one half, by Newton's method."""
    values = np.array([list(each.values()) for each in measured])
    scale = np.abs(values).max(axis=0)
    given, wanted = values / scale, np.eye(len(WAYS))[truths]
    weights = np.zeros((len(WAYS), given.shape[1]))
    size = weights.size
    for _ in range(60):
        scores = given @ weights.T
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        slope = (chances - wanted).T @ given + 0.5 * weights
        curve = np.zeros((size, size))
        for one in range(len(WAYS)):
            for other in range(len(WAYS)):
                share = chances[:, one] * ((one == other) - chances[:, other])
                columns = given.shape[1]
                curve[one * columns : (one + 1) * columns, other * columns : (other + 1) * columns] = (
                    given * share[:, None]
                ).T @ given
        weights -= np.linalg.solve(curve + 0.5 * np.eye(size), slope.ravel()).reshape(weights.shape)
    return dict(zip(measured[0], (weights / scale).T.tolist(), strict=True))


def line_of(measure: str, weights: list[float]) -> str:
    """Return a line of ways.py."""
    return f'    "{measure}": ({", ".join(f"{weight:.3f}" for weight in weights)}),'


def _watched(clips: list[tuple[str, str]]) -> Iterable[tuple[str, Clip, Seen, Seen]]:
    with multiprocessing.Pool() as pool:
        for (name, dice), (ours, plain) in zip(clips, pool.imap(_seen, clips, chunksize=4), strict=True):
            yield name, _make(name, dice), ours, plain


def _seen(clip: tuple[str, str]) -> tuple[Seen, Seen]:
    cv2.setNumThreads(1)
    return watch(_make(*clip))[:2]


def _found(clip: tuple[str, str]) -> list[Remains]:
    cv2.setNumThreads(1)
    ours = Ours()
    for at_us, luma in _make(*clip).frames():
        ours.ways(at_us, luma)
    return ours.found


def _make(name: str, dice: str) -> Clip:
    return (PASSAGES | PAINTED | DISTURBANCES)[name](Random(dice))


def _times(cost: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(cost), 3),
        "p95": round(float(np.percentile(cost, 95)), 3),
        "max": round(max(cost), 2),
    }


def show(result: dict[str, Any]) -> None:
    print(f"{'':24}{'':>6}{'ours':>24}{'MOG2, centre':>30}")
    print(f"{'situation':<24}{'of':>6}" + f"{'right':>10}{'wrong':>8}{'abst.':>8}  " * 2)
    totals = [Row(), Row()]
    for name, pair in result["rows"].items():
        print(f"{name:<24}{pair[0]['passages']:>6}" + "  ".join(_shares(row) for row in pair))
        for total, row in zip(totals, pair, strict=True):
            for field in row:
                setattr(total, field, getattr(total, field) + row[field])
    built = [msgspec.to_builtins(total) for total in totals]
    print(f"{'all':<24}{built[0]['passages']:>6}" + "  ".join(_shares(row) for row in built))
    for name, pair in result["painted"].items():
        print(f"{name:<24}{pair[0]['passages']:>6}" + "  ".join(_shares(row) for row in pair))
    moved = sum(sum(said.values()) for truth, said in result["confusion"].items() if truth != "unseen")
    print(f"abstained of {100 * totals[0].abstained / max(1, moved):.1f} % of the passages of goods")
    print(f"\n{'truly':<10}" + "".join(f"said {way.value:<8}" for way in Way))
    for truth, said in result["confusion"].items():
        print(
            f"{'nothing' if truth == 'unseen' else truth:<10}" + "".join(f"{count:>8}     " for count in said.values())
        )
    print(f"\n{'disturbance':<24}{'seconds':>8}{'false, ours':>14}{'false, MOG2':>14}")
    for name, row in result["disturbances"].items():
        print(f"{name:<24}{row['seconds']:>8}{row['ours']:>14}{row['plain']:>14}")
    ours, plain = result["frame_ms"]
    calm, plain_calm = result["still_ms"]
    print(
        f"\na frame of 640x480 on one thread: median {ours['median']} ms, p95 {ours['p95']}, most {ours['max']}; "
        f"MOG2 {plain['median']}, {plain['p95']}, {plain['max']}: {plain['median'] / ours['median']:.1f} times ours"
        f"\nof a still scene: {calm['median']} ms; MOG2 {plain_calm['median']}"
    )


def _shares(row: dict[str, int]) -> str:
    of = max(1, row["passages"])
    return "".join(
        f"{100 * row[field] / of:>{width}.1f}" for field, width in (("right", 10), ("wrong", 8), ("abstained", 8))
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench hands", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=50, help="of each situation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fit", action="store_true", help="print weights instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    if options.fit:
        for name, weights in fit(options.passages, options.seed).items():
            print(line_of(name, weights))
        return 0
    result = measure(options.passages, options.seed)
    show(result)
    if options.json:
        print(json.dumps({"bench": "hands", "bars": BARS, **result}))
    return 0
