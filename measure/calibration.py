"""How likeness becomes probability: what a model's constants are worth on photographs, and what others would be.

    scripts/measure calibration --model S1 --model S2 --model S3 [--best 12]

Of several models (seeds of one training) the means are printed, the smallest calibration error first. Which constants
to take is for a person: those beside the best differ by chance (docs/decisions/0039).
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.knowledge import Calibration
from cart_firmware.perception.product_index import Floats
from cart_firmware.perception.recogniser import Recogniser
from measure import looks
from measure import produce_figures as figures
from measure.produce import default_manifest, looked_at, opened, places_of, shown_progress
from models.train.photographs import Photograph, load

OTHERS = tuple(
    Calibration(sharpness, strange, width, dull)
    for sharpness, strange, width, dull in product(
        (65.0, 80.0, 95.0, 110.0, 130.0),
        (0.08, 0.12, 0.16, 0.2, 0.24, 0.28),
        (0.08, 0.1, 0.13, 0.16, 0.2),
        (13.0, 15.0, 17.0, 19.0, 22.0),
    )
)


class Judged(msgspec.Struct):
    """What one model makes of photographs."""

    once: Floats
    """Likeness at one look, photographs x products."""
    both: Floats
    """The same at both looks."""
    right: NDArray[np.int64]
    group_of: NDArray[np.int64]
    """Of each product."""


class Row(msgspec.Struct):
    """Means over several models."""

    calibration: Calibration
    error: float
    surprise: float
    any_swap: float
    group_swap: float


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0."""
    options = _options(arguments)
    asked = [one for one in load(options.manifest) if one.part == options.part]
    if not asked:
        raise SystemExit(f"{options.manifest} has no photograph of part {options.part!r}: choose with --part")
    present, judged = set[Calibration](), list[Judged]()
    for folder in options.model:
        recogniser, _ = opened(folder)
        present.add(recogniser.knowledge.calibration)
        judged.append(seen_by(recogniser, asked))
    rows = sorted((row(each, judged) for each in shown_progress([*{*present, *OTHERS}], "sets tried")), key=_error)
    print("sharpness, dull  threshold, width  calibration error  surprise  any swap  same group")
    for place, each in enumerate(rows):
        if place < options.best or each.calibration in present:
            print(f"{_line(each)}{'  as it is' if each.calibration in present else ''}")
    dice = np.random.default_rng(1)
    said = [now.shares(looks.judged_by(now, one.once, one.both)) for now in present for one in judged]
    chance = [figures.calibration_error_by_chance(each, dice) for each in said]
    print(f"\nIf every probability were right, {len(asked)} photographs would show an error of {np.mean(chance):.3f}.")
    return 0


def seen_by(recogniser: Recogniser, photographs: Sequence[Photograph]) -> Judged:
    """Return what a model makes of photographs of products that it knows."""
    right, group_of = places_of(recogniser.knowledge, photographs)
    seen, index = looked_at(recogniser, photographs), recogniser.knowledge.index
    return Judged(index.likeness(seen.once), index.likeness(seen.both), right, group_of)


def row(calibration: Calibration, judged: Sequence[Judged]) -> Row:
    """Return what these constants would be worth."""
    found = []
    for one in judged:
        likeness = looks.judged_by(calibration, one.once, one.both)
        shares = calibration.shares(likeness)
        raw = shares * (1 - calibration.unknown(likeness)[:, None])
        swaps = figures.swaps_caught(raw, one.right, one.group_of)
        error = figures.calibration_error(shares, one.right)
        found.append((error, figures.surprise(shares, one.right), swaps["any"], swaps["group"]))
    return Row(calibration, *np.mean(found, axis=0).tolist())


def _error(row: Row) -> float:
    return row.error


def _line(row: Row) -> str:
    of = row.calibration
    return (
        f"{of.sharpness:>9g}, {of.dull_sharpness:<4g}  {of.strange:>9g}, {of.strange_width:<5g}  {row.error:>17.4f}"
        f"  {row.surprise:>8.3f}  {row.any_swap:>8.2f}  {row.group_swap:>10.2f}"
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/measure calibration", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, nargs="?", default=default_manifest(), help="default: %(default)s")
    parser.add_argument("--model", type=Path, action="append", required=True, help="folder; may be repeated")
    parser.add_argument("--part", default="val", help="of the manifest; default: %(default)s")
    parser.add_argument("--best", type=int, default=12, help="how many sets to print; default: %(default)s")
    return parser.parse_args(arguments)
