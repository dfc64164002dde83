"""Goods by sight in the cart's picture, end to end: named, weighed, charged, and labels on other goods noticed.

    scripts/bench sight [--acts 6] [--seed 1] [--json]

Painted goods go into a painted basket; the cart's own eyes find what was put there, the shipped network makes of it
what it can, and the cart's core decides with the weight. Every product is taught from five views that the same eyes cut
out, as when staff lay it into a cart. **These are figures of the machinery**: how well real goods are known is for
`scripts/measure produce` and its photographs.

An act is one hand that puts loose goods in. It is played without any label; with the right one of the counter's scale;
with one of a cheaper product, which the scale printed for this very mass; and with that one and nothing seen, as a cart
without this eye would take it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import cv2
import msgspec
import numpy as np

from bench.core import Core
from cart_firmware.core import fusion
from cart_firmware.core.decision import Passed, Sighted, Way
from cart_firmware.core.goods_by_sight import products_of
from cart_firmware.core.hypotheses import Recognised
from cart_firmware.core.scanning import Shown
from cart_firmware.core.sighting import sighted
from cart_firmware.core.weighing import Step
from cart_firmware.perception.colour import bgr
from cart_firmware.perception.embedder import Embedder, Picture
from cart_firmware.perception.hands import Hands, Passage
from cart_firmware.perception.knowledge import read
from cart_firmware.perception.product_index import ProductIndex
from cart_firmware.perception.recogniser import Recogniser
from cart_firmware.perception.rim import Rim
from cart_firmware.services.recognise import goods_of
from cart_protocol.gs1.scan import ScannedCode
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance
from cart_protocol.pricing.price_book import Prices, Product
from edge_agent.store.price_book_file import read_price_book
from sim.goods import Shelves, Unit
from sim.goods_looks import LOOSE
from sim.optics.contents import Contents
from sim.optics.scene import Scene, View, render, render_colours, seen_at

_ROOT = Path(__file__).resolve().parents[1]
_WIDTH, _HEIGHT, _FRAMES_PER_SECOND = 640, 480, 15
_LEAD_S, _FILM_S = 0.8, 3.2
_VIEWS = 5
"""From which a product is taught."""
_MOST_TRIES = 12
_MOST_LYING = 5
_NOISE_MG = 2_000
"""Of a step, one sigma (docs/PERFORMANCE.md: weighing)."""


class Act(msgspec.Struct):
    """Something was put in: what it was, what it weighs, and what the cart's eyes made of it."""

    unit: Unit
    way: Way
    sight: Sighted | None


class Watched(msgspec.Struct):
    unit: Unit
    way: Way
    goods: Picture | None


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 0."""
    options = _options(arguments)
    cv2.setNumThreads(1)
    network, known = ((options.model / name).read_bytes() for name in ("network.tflite", "knowledge.npz"))
    knowledge = read(known, network)
    recogniser = Recogniser(Embedder(network), knowledge)
    prices = Prices(read_price_book(_ROOT / "edge_agent" / "catalogue" / "demo.toml"))
    stage = Stage(Shelves(prices.book), options.seed)
    index = stage.taught(recogniser)
    recogniser = Recogniser(Embedder(network), msgspec.structs.replace(knowledge, index=index))
    acts = stage.acts(recogniser, prices, options.acts)
    packs = stage.packs(recogniser, prices, len(acts))
    figures = _figures(acts, packs, prices, Random(f"{options.seed}/labels"))
    for name, value in figures.items():
        print(f"  {name:<58} {value}")
    if options.json:
        print(json.dumps({"acts": len(acts), "metrics": figures}))
    return 0


class Stage:
    """A basket, a camera over it, and goods from a seed."""

    def __init__(self, shelves: Shelves, seed: int) -> None:
        self._shelves, self._seed = shelves, seed

    def taught(self, recogniser: Recogniser) -> ProductIndex:
        """Return the index of a cart to which staff showed every product; what was shipped it knows as well."""
        index = recogniser.knowledge.index
        for place, product in enumerate(self._shelves.loose):
            print(f"\r{place} of {len(self._shelves.loose)} products taught ", end="", file=sys.stderr, flush=True)
            shots = list[Picture]()
            for number in range(_MOST_TRIES):
                if (
                    len(shots) < _VIEWS
                    and (goods := self._watch(product, f"taught/{number}", lying=0).goods) is not None
                ):
                    shots.append(goods)
            index = index.with_product(product.id, recogniser.vectors(shots))
        return index

    def acts(self, recogniser: Recogniser, prices: Prices, each: int) -> list[Act]:
        """Return so many acts with every product."""
        found = list[Act]()
        for number in range(each):
            print(f"\r{number} of {each} rounds of acts          ", end="", file=sys.stderr, flush=True)
            found += [self._act(recogniser, prices, product, str(number)) for product in self._shelves.loose]
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
        return found

    def packs(self, recogniser: Recogniser, prices: Prices, count: int) -> list[Act]:
        """Return so many acts with packs, which nobody taught."""
        dice = Random(f"{self._seed}/packs")
        sold = [product for product in self._shelves.products if product.id not in LOOSE]
        return [self._act(recogniser, prices, dice.choice(sold), f"pack {number}") for number in range(count)]

    def _act(self, recogniser: Recogniser, prices: Prices, product: Product, what: str) -> Act:
        dice = Random(f"{self._seed}/{product.id}/{what}/lying")
        watched = self._watch(product, what, lying=dice.randint(0, _MOST_LYING))
        if watched.goods is None:
            return Act(watched.unit, watched.way, None)
        said = recogniser.recognise([watched.goods])
        products = products_of(zip(said.names, map(float, said.probabilities), strict=True), prices)
        return Act(watched.unit, watched.way, sighted(0, 1, products, names=len(said.names), unknown=said.unknown))

    def _watch(self, product: Product, what: str, *, lying: int) -> Watched:
        dice = Random(f"{self._seed}/{product.id}/{what}")
        contents, hands = Contents(dice), Hands(Rim())
        for _ in range(lying):
            contents.put(self._shelves.take_loose(dice.choice(self._shelves.loose), dice), 0.0)
        grain = np.random.default_rng(dice.randrange(1 << 30))
        _film(hands, Scene(inside=contents.inside), 0.0, _LEAD_S, grain)
        loose = product.id in LOOSE
        unit = self._shelves.take_loose(product, dice) if loose else self._shelves.take(product, dice)
        view, _ = contents.put(unit, _LEAD_S)
        passages = _film(hands, view, _LEAD_S, _FILM_S, grain)
        seen = [(passage.way, crop) for passage in passages for crop in goods_of(passage)]
        if not seen:
            return Watched(unit, passages[-1].way if passages else Way.UNSEEN, None)
        way, crop = seen[-1]
        return Watched(unit, way, bgr(crop.luma, crop.planes))


def _film(hands: Hands, view: View, from_s: float, seconds: float, grain: np.random.Generator) -> list[Passage]:
    found = list[Passage]()
    for number in range(round(seconds * _FRAMES_PER_SECOND)):
        at_s = from_s + number / _FRAMES_PER_SECOND
        scene = seen_at(view, at_s)
        luma, planes = render(scene, _WIDTH, _HEIGHT, grain), render_colours(scene, _WIDTH, _HEIGHT)
        passage = hands.see(round(at_s * 1e6), luma, planes)
        if passage is not None:
            found.append(passage)
    return found


# ── what the core makes of it ────────────────────────────────────────────────────────────────────────────────────────


def _figures(acts: Sequence[Act], packs: Sequence[Act], prices: Prices, dice: Random) -> dict[str, Any]:
    count = Counter[str]()
    for act in acts:
        count["goods found"] += act.sight is not None
        count["way told"] += act.way is Way.IN
        count["wrong way"] += act.way in (Way.OUT, Way.BOTH)
        named = _named(act, prices, dice)
        count["first"] += named == 0
        count["offered"] += named is not None
        count["charged unasked"] += _unasked(act, prices, dice)
        count["right label asked about"] += not _passes(act, act.unit.product, prices, dice)
        for kind, others in (("any", _cheaper(act, prices)), ("alike", _cheaper(act, prices, alike=True))):
            if others:
                label = dice.choice(others)
                count[f"switched {kind}"] += 1
                count[f"caught {kind}"] += not _passes(act, label, prices, dice)
                blind = msgspec.structs.replace(act, sight=None)
                count[f"caught blind {kind}"] += not _passes(blind, label, prices, dice)
    count["packs asked about"] = sum(not _passes(pack, pack.unit.product, prices, dice) for pack in packs)
    count["packs asked about blind"] = sum(
        not _passes(msgspec.structs.replace(pack, sight=None), pack.unit.product, prices, dice) for pack in packs
    )
    everyone = len(acts)
    return {
        "acts": everyone,
        "goods found in the picture, %": _pct(count["goods found"], everyone),
        "way of the hand told, %": _pct(count["way told"], everyone),
        "way of the hand told wrongly, %": _pct(count["wrong way"], everyone),
        "loose goods: first tile right, %": _pct(count["first"], everyone),
        "loose goods: right tile among three, %": _pct(count["offered"], everyone),
        "loose goods: charged without a tap, %": _pct(count["charged unasked"], everyone),
        "right label asked about (false alarm), %": _pct(count["right label asked about"], everyone),
        "scanned pack asked about (false alarm), %": _pct(count["packs asked about"], len(packs)),
        "the same without a picture, %": _pct(count["packs asked about blind"], len(packs)),
        "label of cheaper goods caught, %": _pct(count["caught any"], count["switched any"]),
        "label of cheaper goods that look alike caught, %": _pct(count["caught alike"], count["switched alike"]),
        "the same by weight alone, %": _pct(count["caught blind any"], count["switched any"]),
    }


def _cheaper(act: Act, prices: Prices, *, alike: bool = False) -> list[Product]:
    """Return products whose label somebody would rather pay for."""
    own, group = act.unit.product, LOOSE[act.unit.product.id].group
    labels = [prices[ProductId(other)] for other in LOOSE if not alike or LOOSE[other].group == group]
    return [each for each in labels if each.sold_by is own.sold_by and each.price.minor < own.price.minor]


def _named(act: Act, prices: Prices, dice: Random) -> int | None:
    """Return at which place the right answer stands when the cart asks, None where it does not."""
    core = _weighed(act, prices, dice)
    for place, choice in enumerate(core.choices()):
        if isinstance(choice.story, Recognised) and choice.story.product == act.unit.product.id:
            return place
    return None


def _unasked(act: Act, prices: Prices, dice: Random) -> bool:
    return bool(_weighed(act, prices, dice).basket.lines)


def _passes(act: Act, label: Product, prices: Prices, dice: Random) -> bool:
    """Return whether goods with that label, printed for their mass, become a line without a question."""
    core = Core(prices)
    marked = Mass(round(act.unit.mass_mg / 1_000) * 1_000) if label.mass == 0 else None
    code = ScannedCode(product=label.id, gtin=None, marked=None, marked_mass=marked, text=label.id)
    core.tell(fusion.scan_seen, Shown(at_us=core.now_us, symbology="]E0", code=code, product=label))
    return core.line_of(label) is None and _put(core, act, dice).line_of(label) is not None


def _weighed(act: Act, prices: Prices, dice: Random) -> Core:
    return _put(Core(prices), act, dice)


def _put(core: Core, act: Act, dice: Random) -> Core:
    """The load changes, and what the camera saw of it is known; then three seconds pass."""
    core.now_us += 2_000_000
    passed = Passed(core.now_us - 900_000, core.now_us - 100_000, act.way)
    core.tell(fusion.passage_seen, passed)
    if act.sight:
        seen = msgspec.structs.replace(act.sight, from_us=passed.from_us, until_us=passed.until_us)
        core.tell(fusion.goods_sighted, seen)
    mass = Mass(act.unit.mass_mg + round(dice.gauss(0, _NOISE_MG)))
    core.step(
        Step(at_us=core.now_us, mass=mass, variance=Variance(_NOISE_MG**2), level=Mass(core.evidence.level + mass))
    )
    for _ in range(14):
        core.now_us += 250_000
        core.tick()
    return core


def _pct(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench sight", description=__doc__.splitlines()[0])
    parser.add_argument("--acts", type=int, default=6, help="with every product; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=_ROOT / "models" / "produce", help="default: the shipped one")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser.parse_args(arguments)
