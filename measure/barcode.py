"""The reader on labelled photographs, beside what the libraries read by themselves.

Every engine sees every photograph, one after the other in turned order, in one process and on one thread; the time of
an engine on a photograph is the median of its repetitions. `false` counts retail codes (GTINs, GS1 element strings)
that are not in the photograph.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from cart_firmware.perception.reader import Reader
from cart_firmware.perception.reading import Reading
from measure.acceptance import Verdict, accepted, accepted_at_once, accepted_false, catalogue, judge
from measure.photographs import RETAIL, Code, Photograph, code_of, in_groups, load

Engine = Callable[[NDArray[np.uint8]], set[Code]]


class Answers(msgspec.Struct):
    """What one engine said of each photograph, and how long it took."""

    codes: list[set[Code]] = []
    milliseconds: list[float] = []
    verdicts: list[Verdict] = []
    """What the cart's rule of acceptance made of it; of our reader only."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0: a rate below a bar is not a failure of the measurement."""
    options = _options(arguments)
    cv2.setNumThreads(1)
    photographs = load(options.manifest)
    engines: dict[str, Engine] = {"cartwright": ours}
    if options.peers:
        engines |= peers()
    answers = ask(engines, photographs, options.repeat)
    answers["cartwright"].verdicts = judged(photographs)
    report(answers, photographs, options)
    return 0


def judged(photographs: list[Photograph]) -> list[Verdict]:
    """Return what the cart would have charged for, each photograph before a cart that has seen nothing before."""
    sold, dice, verdicts = catalogue(photographs), np.random.default_rng(1), list[Verdict]()
    for photograph in photographs:
        verdicts.append(judge(photograph.luma(), readings_of, code_of_reading, sold, dice))
        _progress(len(verdicts), len(photographs), "judged")
    return verdicts


def ask(engines: dict[str, Engine], photographs: list[Photograph], repeat: int) -> dict[str, Answers]:
    """Return every engine's answers, with progress on the terminal."""
    answers = {name: Answers() for name in engines}
    names = list(engines)
    for place, photograph in enumerate(photographs):
        luma = photograph.luma()
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(repeat):
            for at in range(len(names)):
                name = names[(place + turn + at) % len(names)]
                began = time.perf_counter()
                codes = engines[name](luma)
                taken[name].append((time.perf_counter() - began) * 1e3)
                if turn == 0:
                    answers[name].codes.append(codes)
        for name in names:
            answers[name].milliseconds.append(statistics.median(taken[name]))
        _progress(place + 1, len(photographs), "read")
    return answers


def _progress(done: int, total: int, what: str) -> None:
    line = f"{done} of {total} photographs {what}" if done < total else " " * 40 + "\r"
    if done % 20 == 0 or done == total:
        print(f"\r{line}", end="", file=sys.stderr, flush=True)


# ── the engines ──────────────────────────────────────────────────────────────────────────────────────────────────────


def ours(luma: NDArray[np.uint8]) -> set[Code]:
    """One photograph, to a reader that has seen nothing before."""
    return {code_of_reading(reading) for reading in readings_of(luma)}


def readings_of(luma: NDArray[np.uint8]) -> tuple[Reading, ...]:
    return Reader(patient=True, now=time.thread_time).read(luma)


def code_of_reading(reading: Reading) -> Code:
    """Return a reading in the form in which codes are compared."""
    text = _decoded(reading.payload)
    names = {"]E0": "ean13", "]E3": "ean13", "]E4": "ean8", "]I": "itf", "]C": "code128", "]Q": "qr"}
    if reading.symbology == "]e0":
        return code_of("databar" if len(text) == 16 else "databarexpanded", text)
    return code_of(names.get(reading.symbology) or names.get(reading.symbology[:2]) or reading.symbology, text)


def _decoded(payload: bytes) -> str:
    """QR codes without a mark of their character set are UTF-8, or Shift JIS, in which they were born."""
    for encoding in ("utf-8", "shift_jis"):
        try:
            return payload.decode(encoding)
        except UnicodeDecodeError:
            continue
    return payload.decode("latin-1")


def peers() -> dict[str, Engine]:
    """Return the libraries with their defaults. Raises ImportError where libzbar is not installed."""
    from pyzbar import pyzbar

    def zbar(luma: NDArray[np.uint8]) -> set[Code]:
        return {code_of(symbol.type, symbol.data.decode("utf-8", "replace")) for symbol in pyzbar.decode(luma)}

    def zxing(luma: NDArray[np.uint8]) -> set[Code]:
        return {code_of(str(symbol.format), _text(symbol)) for symbol in zxingcpp.read_barcodes(luma)}

    return {"pyzbar": zbar, "zxing-cpp": zxing}


def _text(symbol: Any) -> str:
    try:
        return str(symbol.text)
    except UnicodeDecodeError:
        return bytes(symbol.bytes).decode("latin-1")


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────────


def report(answers: dict[str, Answers], photographs: list[Photograph], options: argparse.Namespace) -> None:
    mine = answers["cartwright"]
    disagree(mine, photographs, unread=options.unread)
    tables = {name: figures(each, photographs) for name, each in answers.items()}
    for group, _ in in_groups(photographs):
        print(f"\n{group} (n = {tables['cartwright'][group]['n']})")
        for name, table in tables.items():
            row = table[group]
            print(
                f"  {name:<12} {row['rate']:6.1f} %  false {row['false']:3d}"
                f"  median {row['median_ms']:7.2f} ms  p95 {row['p95_ms']:7.2f} ms  max {row['max_ms']:7.1f} ms"
            )
            if "accepted" in row:
                print(
                    f"  {'':<12} {row['accepted']:6.1f} %  accepted by the cart's rule ({row['accepted_at_once']:.1f} %"
                    f" at the first frame), false {row['accepted_false']}"
                )
    if options.sets:
        by_collection(answers, photographs)
    if options.json:
        right = sum(map(is_right, mine.codes, photographs))
        metrics: dict[str, Any] = {"groups": tables.pop("cartwright")}
        if tables:
            metrics["peers"] = {name: {"groups": table} for name, table in tables.items()}
        print(json.dumps({"kind": "barcode", "passed": right, "failed": len(photographs) - right, "metrics": metrics}))


def figures(answers: Answers, photographs: list[Photograph]) -> dict[str, dict[str, float]]:
    """Return the figures of each group; those of acceptance where the rule was tried."""
    return {
        group: {
            "n": len(places),
            "rate": round(100 * sum(is_right(answers.codes[at], photographs[at]) for at in places) / len(places), 2),
            "false": sum(len(wrong(answers.codes[at], photographs[at])) for at in places),
            "median_ms": round(statistics.median(answers.milliseconds[at] for at in places), 3),
            "p95_ms": round(float(np.percentile([answers.milliseconds[at] for at in places], 95)), 3),
            "max_ms": round(max(answers.milliseconds[at] for at in places), 3),
            **(acceptance(answers.verdicts, photographs, places) if answers.verdicts else {}),
        }
        for group, places in in_groups(photographs)
    }


def acceptance(verdicts: list[Verdict], photographs: list[Photograph], places: list[int]) -> dict[str, float]:
    """Return the shares (%) accepted, and how many wrong products."""
    pairs = [(verdicts[at], photographs[at]) for at in places]
    return {
        "accepted": round(100 * sum(accepted(*pair) for pair in pairs) / len(pairs), 2),
        "accepted_at_once": round(100 * sum(accepted_at_once(*pair) for pair in pairs) / len(pairs), 2),
        "accepted_false": sum(len(accepted_false(*pair)) for pair in pairs),
    }


def is_right(codes: set[Code], photograph: Photograph) -> bool:
    if not photograph.expected:
        return not wrong(codes, photograph)
    return any(photograph.shows(code) for code in codes)


def wrong(codes: set[Code], photograph: Photograph) -> list[Code]:
    return sorted(code for code in codes if code[0] in RETAIL and photograph.lacks(code))


def disagree(answers: Answers, photographs: list[Photograph], *, unread: bool) -> None:
    for codes, photograph in zip(answers.codes, photographs, strict=True):
        for code in wrong(codes, photograph):
            print(f"wrong  {photograph.collection}/{photograph.path.name}: read {code}, is {set(photograph.expected)}")
        if unread and not is_right(codes, photograph):
            print(f"unread {photograph.collection}/{photograph.path.name}: {set(photograph.expected)}")
    for verdict, photograph in zip(answers.verdicts, photographs, strict=True):
        for code in accepted_false(verdict, photograph):
            print(f"accepted though wrong  {photograph.collection}/{photograph.path.name}: {code}")


def by_collection(answers: dict[str, Answers], photographs: list[Photograph]) -> None:
    """Print the rate of every collection, and mark those where a library reads more."""
    print("\ncollection" + " " * 22 + "n" + "".join(f"{name:>13}" for name in answers))
    for collection in dict.fromkeys(one.collection for one in photographs):
        places = [at for at, one in enumerate(photographs) if one.collection == collection]
        right = {
            name: sum(is_right(each.codes[at], photographs[at]) for at in places) for name, each in answers.items()
        }
        behind = "  <- behind" if right["cartwright"] < max(right.values()) else ""
        rates = "".join(f"{100 * count / len(places):12.0f}%" for count in right.values())
        print(f"{collection:<30}{len(places):>3}{rates}{behind}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/measure barcode", description=__doc__)
    default = Path(os.environ.get("CARTWRIGHT_DATA", "../shared/data")) / "barcode" / "manifest.csv"
    parser.add_argument("manifest", type=Path, nargs="?", default=default, help="default: %(default)s")
    parser.add_argument("--peers", action="store_true", help="pyzbar and zxing-cpp with their defaults, interleaved")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument("--sets", action="store_true", help="a line for every collection of photographs")
    parser.add_argument("--unread", action="store_true", help="list what was not read, too")
    parser.add_argument("--repeat", type=int, default=3, help="runs per photograph; the median counts")
    return parser.parse_args(arguments)
