"""What a store taught of goods by sight: taken over only as it was signed, in any order, and kept over restarts."""

import asyncio
import base64
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_firmware.config import RecognitionSettings
from cart_firmware.core.goods_by_sight import look_alikes, products_of
from cart_firmware.devices import sight_files
from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.knowledge import Calibration, Knowledge
from cart_firmware.perception.product_index import Floats, ProductIndex, Space, unit
from cart_firmware.perception.taught import TaughtError, prototype, taught, with_taught
from cart_firmware.services.sight import SightRefusedError, Sights, accept
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import ProductId
from cart_protocol.messages import SightIssue
from cart_protocol.pricing.price_book import Prices
from cart_protocol.sight import Taught, TaughtGoods
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import KEY, Rig, on_virtual_time
from tests.cart_firmware.corner_shop import BOOK

EMBEDDER, SHIPPED = sight_files.load(RecognitionSettings())
VERIFY = Verifier(KEY.public_key()).verify
FIG, PLUM, PLU = ProductId("plu:00071"), ProductId("plu:00072"), ProductId("plu:00073")
OTHER_NETWORK = "0" * 64
SMALL = 256
"""Dimensions in which goods that have nothing to do with each other lie well apart."""


def signed(goods: TaughtGoods, *, key: Ed25519PrivateKey = KEY, version: int | None = None) -> SightIssue:
    text = msgspec.json.encode(goods)
    signature = base64.b64encode(key.sign(text)).decode()
    return SightIssue(version=goods.version if version is None else version, goods=text.decode(), signature=signature)


def lessons(version: int, *goods: Taught, out_of_season: tuple[ProductId, ...] = ()) -> TaughtGoods:
    return TaughtGoods(version=version, taught=goods, out_of_season=out_of_season)


def painted(seed: int, colour: tuple[int, int, int]) -> Picture:
    """Return discs of one colour in one light, at other places for every seed."""
    dice = np.random.default_rng(seed)
    picture = dice.integers(60, 90, (240, 240, 3), dtype=np.uint8)
    for _ in range(3):
        cv2.circle(picture, dice.integers(80, 160, 2).tolist(), int(dice.integers(40, 60)), colour, -1)
    return picture


def shots(seed: int, count: int, dimensions: int = SHIPPED.index.prototypes.shape[1]) -> Floats:
    """Return unit vectors about one direction, as shots of one product lie."""
    dice = np.random.default_rng(seed)
    middle = dice.normal(size=dimensions)
    return unit((middle + 0.5 * dice.normal(size=(count, dimensions))).astype(np.float32))


def sights(folder: Path) -> Sights:
    return Sights(EMBEDDER, SHIPPED, VERIFY, SightFolder(folder))


# ── what is taught ───────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)), min_size=1, max_size=6, unique_by=lambda each: each[0]),
    st.randoms(use_true_random=False),
)
def test_a_delta_upon_the_shipped_index_equals_teaching_in_any_order(
    plan: list[tuple[int, int]], dice: "np.random.Generator"
) -> None:
    """What staff teach one after the other on one cart is what every other cart knows by the issue."""
    known = small_knowledge()
    dimensions = known.index.prototypes.shape[1]
    one_by_one, goods = known.index, []
    for number, count in plan:
        product, seen = ProductId(f"plu:{number:05}"), shots(number, count, dimensions)
        one_by_one = one_by_one.with_product(product, seen)
        goods.append(taught(product, seen, known.space_sha256))
    dice.shuffle(goods)  # type: ignore[arg-type]
    by_issue = with_taught(known, goods).index
    assert set(by_issue.names) == set(one_by_one.names)
    look = shots(plan[0][0], 1, dimensions)[0]
    for name in one_by_one.names:
        ours, theirs = (index.likeness(look)[index.place(name)] for index in (by_issue, one_by_one))
        assert ours == pytest.approx(theirs, abs=4e-3), f"{name}: eight bits change no more than that"


def small_knowledge() -> Knowledge:
    names = [f"shipped-{number}" for number in range(5)]
    return Knowledge(
        network_sha256="a" * 64,
        space=Space(np.zeros(SMALL, np.float32), np.eye(SMALL, dtype=np.float32)),
        index=ProductIndex(names, np.vstack([shots(100 + n, 1, SMALL) for n in range(5)]), np.zeros(5, np.float32)),
        groups={},
        calibration=Calibration(sharpness=20.0, strange=0.3, strange_width=0.05, dull_sharpness=10.0),
        record={},
    )


def test_a_product_taught_from_five_shots_is_named_by_another_cart(tmp_path: Path) -> None:
    teacher, learner = sights(tmp_path / "a"), sights(tmp_path / "b")
    seen = teacher.vectors([painted(seed, (40, 30, 120)) for seed in range(5)])
    assert learner.take(signed(lessons(1, taught(FIG, seen, teacher.network))))
    assert learner.recognise([painted(99, (40, 30, 120))]).best(1)[0][0] == FIG
    assert teacher.recognise([painted(99, (40, 30, 120))]).best(1)[0][0] != FIG, "nobody told this one"


def test_what_is_no_prototype_of_this_network_is_refused_by_the_product_it_is_said_of() -> None:
    good = taught(FIG, shots(1, 3), SHIPPED.space_sha256)
    short = msgspec.structs.replace(good, vector=good.vector[:-2])
    long = msgspec.structs.replace(good, vector=(3 * shots(1, 1)[0]).astype("<f2").tobytes())
    empty = msgspec.structs.replace(good, vector=b"\x00\x7e" * (len(good.vector) // 2))  # not a number
    for wrong in (short, long, empty):
        with pytest.raises(TaughtError, match=FIG):
            prototype(wrong, SHIPPED.index.prototypes.shape[1])
        with pytest.raises(SightRefusedError, match=FIG):
            accept(signed(lessons(1, wrong)), VERIFY, SHIPPED, present=0)


# ── issues ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("issue", "why"),
    [
        (signed(lessons(3)), "3 is not newer than 3"),
        (signed(lessons(2)), "2 is not newer than 3"),
        (signed(lessons(4), key=Ed25519PrivateKey.from_private_bytes(bytes(32))), "not signed by our store"),
        (SightIssue(version=4, goods="{}", signature="no base64"), "not base64"),
        (signed(lessons(4), version=5), "what is signed says 4"),
    ],
)
def test_an_issue_that_is_old_or_forged_is_refused_by_name(issue: SightIssue, why: str) -> None:
    with pytest.raises(SightRefusedError, match=why):
        accept(issue, VERIFY, SHIPPED, present=3)


def test_a_signed_price_book_is_no_sight() -> None:
    """The store signs several things with one key: none of them may pass for another."""
    text = msgspec.json.encode(BOOK)
    issue = SightIssue(version=9, goods=text.decode(), signature=base64.b64encode(KEY.sign(text)).decode())
    with pytest.raises(SightRefusedError, match="version 9"):
        accept(issue, VERIFY, SHIPPED, present=0)


def test_what_was_taught_for_another_network_is_kept_and_not_used(tmp_path: Path) -> None:
    ours = taught(FIG, shots(1, 3), SHIPPED.space_sha256)
    theirs = taught(PLUM, shots(2, 3, 64), OTHER_NETWORK)
    cart = sights(tmp_path)
    assert cart.take(signed(lessons(1, ours, theirs)))
    assert FIG in cart.knowledge.index
    assert PLUM not in cart.knowledge.index
    assert list(cart.of_another_network) == [PLUM]


def test_a_refused_issue_is_counted_and_the_present_one_stays(tmp_path: Path) -> None:
    cart = sights(tmp_path)
    cart.take(signed(lessons(2, taught(FIG, shots(1, 3), SHIPPED.space_sha256))))
    assert not cart.take(signed(lessons(1)))
    assert not cart.take(signed(lessons(9), key=Ed25519PrivateKey.from_private_bytes(bytes(32))))
    assert (cart.version, cart.refused) == (2, 2)
    assert FIG in cart.knowledge.index
    assert not cart.take(signed(lessons(2))), "the same version again is no news"
    assert cart.refused == 2


def test_what_was_taken_is_there_after_a_restart_without_the_store(tmp_path: Path) -> None:
    sights(tmp_path).take(signed(lessons(4, taught(FIG, shots(1, 3), SHIPPED.space_sha256))))
    again = sights(tmp_path)
    assert again.version == 4
    assert FIG in again.knowledge.index


def test_a_damaged_or_forged_file_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "sight.json"
    sights(tmp_path).take(signed(lessons(4, taught(FIG, shots(1, 3), SHIPPED.space_sha256))))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert sights(tmp_path).version == 0
    file.write_bytes(msgspec.json.encode(signed(lessons(4), key=Ed25519PrivateKey.from_private_bytes(bytes(32)))))
    assert sights(tmp_path).version == 0


def test_going_back_is_a_new_version_with_an_older_content(tmp_path: Path) -> None:
    cart = sights(tmp_path)
    fig = taught(FIG, shots(1, 3), SHIPPED.space_sha256)
    for goods in (lessons(1, fig), lessons(2, fig, taught(PLUM, shots(2, 3), SHIPPED.space_sha256)), lessons(3, fig)):
        assert cart.take(signed(goods))
    assert FIG in cart.knowledge.index
    assert PLUM not in cart.knowledge.index


def test_a_cart_takes_an_issue_while_it_serves_and_says_which_one_it_has(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path)
        rig.sights = lambda: sights(rig.folder)
        await rig.start()
        assert (rig.store.said.sight_network, rig.store.said.sight_version) == (SHIPPED.space_sha256, 0)
        rig.store.say(signed(lessons(3, taught(FIG, shots(1, 3), SHIPPED.space_sha256))))
        for _ in range(100):
            await asyncio.sleep(0.1)
            if rig.store.said.sight_version == 3:
                break
        assert rig.store.said.sight_version == 3
        await rig.kill()
        await rig.start(online=False)
        assert rig.cart.status().sight_version == 3, "killed, offline, and it still knows"
        await rig.stop()

    on_virtual_time(story)


# ── which products ───────────────────────────────────────────────────────────────────────────────────────────────────

MILK, PASTA, JAM = BOOK.products[0].id, BOOK.products[1].id, BOOK.products[2].id


def book_with(**sight: str) -> Prices:
    """Return the corner shop's book with names for goods by sight: by the place of the product in it."""
    named = {int(place.removeprefix("p")): name for place, name in sight.items()}
    products = tuple(
        msgspec.structs.replace(product, sight=named.get(place, "")) for place, product in enumerate(BOOK.products)
    )
    return Prices(msgspec.structs.replace(BOOK, products=products))


def test_shipped_names_and_taught_products_are_products_of_the_book() -> None:
    prices = book_with(p0="Milk", p1="Grain", p2="Grain")
    found = products_of([("Milk", 0.5), ("Grain", 0.2), (MILK, 0.1), ("Kiwi", 0.2)], prices)
    assert [product for product, _ in found] == [MILK, *sorted((PASTA, JAM))]
    assert [share for _, share in found] == pytest.approx([0.6, 0.1, 0.1])


def test_goods_out_of_season_are_not_named(tmp_path: Path) -> None:
    prices = book_with(p0="Milk", p1="Grain", p2="Grain")
    assert dict(products_of([("Grain", 1.0)], prices, {JAM})) == {PASTA: 1.0}
    cart = sights(tmp_path)
    cart.take(signed(lessons(1, taught(FIG, shots(1, 3), SHIPPED.space_sha256), out_of_season=(FIG,))))
    assert FIG not in cart.knowledge.index


def test_look_alikes_hold_both_ways_and_through_shared_names() -> None:
    prices = book_with(p0="Milk", p1="Grain", p2="Grain")
    assert look_alikes(PASTA, {}, prices) == {JAM}
    assert look_alikes(MILK, {}, prices) == set()
    assert look_alikes(MILK, {PASTA: ["Milk"]}, prices) == {PASTA}
    assert look_alikes(PASTA, {PASTA: ["Milk"]}, prices) == {MILK, JAM}
    assert look_alikes(PASTA, {PASTA: ["Milk"]}, prices, {JAM}) == {MILK}


def test_a_book_without_names_for_sight_reads_on_an_older_cart() -> None:
    assert b"sight" not in msgspec.json.encode(BOOK)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_that_do_not_belong_together_stop_the_start_with_a_remedy(tmp_path: Path) -> None:
    (other := tmp_path / "network.tflite").write_bytes(b"no network")
    with pytest.raises(ConfigurationError, match="files of one training"):
        sight_files.load(RecognitionSettings(network=other))
    with pytest.raises(ConfigurationError, match="files of one training"):
        sight_files.load(RecognitionSettings(knowledge=tmp_path / "missing.npz"))
