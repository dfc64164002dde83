"""Codes before the camera: when they count, how often, and which are refused."""

import datetime as dt

import msgspec
import pytest

from cart_firmware.core.scanning import Refused, Scanner, Shown, Symbol, identify
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.ids import ProductId
from cart_protocol.mass import grams
from cart_protocol.pricing.price_book import Prices, Recall
from tests.cart_firmware.corner_shop import APPLES_LABEL, CHEESE_LABEL, LOOSE, MILK, PASTA, PRICES, with_check_digit

FRAME_US = 66_667


def ean(code: str) -> Symbol:
    return "]E0", code.encode()


def frames(scanner: Scanner, *views: tuple[Symbol, ...], start_us: int = 0) -> list[Shown | Refused]:
    """Show one view per frame, fifteen frames a second."""
    return [seen for number, view in enumerate(views) for seen in scanner.feed(start_us + number * FRAME_US, view)]


def names(seen: list[Shown | Refused]) -> list[str]:
    return [one.product.name if isinstance(one, Shown) else one.reason for one in seen]


def test_one_look_is_not_enough_and_two_are() -> None:
    scanner = Scanner(PRICES)
    assert frames(scanner, (ean(MILK),)) == []
    (seen,) = scanner.feed(FRAME_US, (ean(MILK),))
    assert isinstance(seen, Shown)
    assert (seen.product.name, seen.at_us, seen.symbology) == ("Milk", FRAME_US, "]E0")


def test_two_looks_with_blurred_frames_between_them_agree() -> None:
    assert names(frames(Scanner(PRICES), (ean(MILK),), (), (), (), (ean(MILK),))) == ["Milk"]


def test_two_looks_long_apart_do_not() -> None:
    assert frames(Scanner(PRICES), (ean(MILK),), *[()] * 15, (ean(MILK),)) == []


def test_a_misread_between_two_looks_is_ignored() -> None:
    assert names(frames(Scanner(PRICES), (ean(MILK),), (ean(PASTA),), (ean(MILK),))) == ["Milk"]


def test_a_pack_that_lies_before_the_camera_counts_once() -> None:
    assert names(frames(Scanner(PRICES), *[(ean(MILK),)] * 600)) == ["Milk"]


def test_a_pack_that_left_the_view_for_a_second_counts_again() -> None:
    scanner = Scanner(PRICES)
    assert names(frames(scanner, *[(ean(MILK),)] * 3)) == ["Milk"]
    assert names(frames(scanner, (), *[(ean(MILK),)] * 3, start_us=800_000)) == []
    assert names(frames(scanner, (), *[(ean(MILK),)] * 3, start_us=2_200_000)) == ["Milk"]


def test_a_pack_that_lies_there_while_the_camera_stalls_counts_once() -> None:
    scanner = Scanner(PRICES)
    assert names(frames(scanner, *[(ean(MILK),)] * 3)) == ["Milk"]
    assert names(frames(scanner, *[(ean(MILK),)] * 3, start_us=5_000_000)) == []
    scanner.weighed(ProductId(gtin_of(MILK)))
    assert names(frames(scanner, *[(ean(MILK),)] * 3, start_us=9_000_000)) == []


def test_once_a_pack_was_weighed_the_next_of_its_kind_counts_at_once() -> None:
    scanner = Scanner(PRICES)
    frames(scanner, *[(ean(MILK),)] * 3)
    scanner.weighed(ProductId(gtin_of(MILK)))
    assert names(frames(scanner, (), *[(ean(MILK),)] * 3, start_us=600_000)) == ["Milk"]


def test_a_pack_seen_all_the_way_into_the_cart_is_not_counted_again_when_it_was_weighed() -> None:
    scanner = Scanner(PRICES)
    frames(scanner, *[(ean(MILK),)] * 30)
    scanner.weighed(ProductId(gtin_of(MILK)))
    assert frames(scanner, *[(ean(MILK),)] * 30, start_us=30 * FRAME_US) == []


def test_two_codes_of_one_product_on_one_pack_count_once() -> None:
    link = ("]Q1", f"https://id.example/01/{gtin_of(MILK)}".encode())
    assert names(frames(Scanner(PRICES), *[(ean(MILK), link)] * 5)) == ["Milk"]


def test_two_packs_side_by_side_both_count() -> None:
    assert sorted(names(frames(Scanner(PRICES), *[(ean(MILK), ean(PASTA))] * 3))) == ["Milk", "Pasta"]


def test_an_in_store_label_brings_its_mass_or_price() -> None:
    (cheese,) = frames(Scanner(PRICES), *[(ean(CHEESE_LABEL),)] * 2)
    (apples,) = frames(Scanner(PRICES), *[(ean(APPLES_LABEL),)] * 2)
    assert isinstance(cheese, Shown)
    assert isinstance(apples, Shown)
    assert cheese.code.marked_mass == grams(482)
    assert str(apples.code.marked) == "€2.99"


def test_a_printed_net_mass_counts_for_goods_by_weight_and_not_for_pieces() -> None:
    loose = ("]e0", f"01{gtin_of(LOOSE)}3103000250".encode())
    piece = ("]e0", f"01{gtin_of(MILK)}310300100039220119".encode())
    (nuts,) = frames(Scanner(PRICES), *[(loose,)] * 2)
    (milk,) = frames(Scanner(PRICES), *[(piece,)] * 2)
    assert isinstance(nuts, Shown)
    assert isinstance(milk, Shown)
    assert nuts.code.marked_mass == grams(250)
    assert (milk.code.marked_mass, milk.code.marked) == (None, None)


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        (ean(with_check_digit("409999999999")), "unknown-product"),
        (ean(MILK[:-1] + str((int(MILK[-1]) + 1) % 10)), "check-digit"),
        (("]Q1", b"https://example.org/win-a-car"), "not-a-product"),
        (("]Q1", b"\xff\xfe"), "not-a-product"),
        (("]X9", b"4099999999994"), "not-a-product"),
    ],
)
def test_a_code_that_is_nothing_to_sell_is_refused_once_and_counted(symbol: Symbol, reason: str) -> None:
    scanner = Scanner(PRICES)
    assert names(frames(scanner, *[(symbol,)] * 200)) == [reason]
    assert scanner.counts == {reason: 1}


def test_without_a_price_book_nothing_is_known() -> None:
    scanner = Scanner()
    assert names(frames(scanner, *[(ean(MILK),)] * 2)) == ["unknown-product"]
    scanner.use(PRICES)
    assert names(frames(scanner, *[(ean(MILK),)] * 2, start_us=200_000)) == ["Milk"]


# ── packs that must not be sold ──────────────────────────────────────────────────────────────────────────────────────

TODAY = dt.date(2026, 11, 25)


def milk(elements: str) -> Symbol:
    return "]d2", f"01{gtin_of(MILK)}{elements}".encode()


def shop(*recalls: Recall) -> Prices:
    return Prices(msgspec.structs.replace(PRICES.book, recalls=recalls))


def day(scanner: Scanner, *views: tuple[Symbol, ...], start_us: int = 0) -> list[Shown | Refused]:
    return [
        seen for number, view in enumerate(views) for seen in scanner.feed(start_us + number * FRAME_US, view, TODAY)
    ]


def test_an_expired_pack_is_refused_once_and_counted_with_its_product() -> None:
    scanner = Scanner(PRICES)
    (refused,) = day(scanner, *[(milk("17261124"),)] * 30)
    assert isinstance(refused, Refused)
    assert refused.product is not None
    assert (refused.reason, refused.product.name) == ("expired", "Milk")
    assert scanner.counts == {"expired": 1}


def test_a_fresh_pack_is_not() -> None:
    assert names(day(Scanner(PRICES), *[(milk("17261126"),)] * 3)) == ["Milk"]


def test_without_a_clock_the_day_is_that_of_the_price_book() -> None:
    book = msgspec.structs.replace(PRICES.book, valid_from_ms=1_795_564_800_000)  # 25 November 2026
    scanner = Scanner(Prices(book))
    assert names(frames(scanner, *[(milk("17261124"),)] * 3)) == ["expired"]
    seen = identify(0, milk("17261124"), Prices(book), dt.date(1970, 1, 1))
    assert isinstance(seen, Refused)


def test_an_expired_pack_is_not_sold_by_its_other_code() -> None:
    """The EAN beside the dated code says nothing of the date: in the same frames, or when the pack is turned round."""
    assert names(day(Scanner(PRICES), *[(ean(MILK), milk("17261124"))] * 5)) == ["expired"]
    scanner = Scanner(PRICES)
    assert names(day(scanner, *[(milk("17261124"),)] * 3)) == ["expired"]
    assert names(day(scanner, *[(ean(MILK),)] * 3, start_us=2_000_000)) == []
    assert names(day(scanner, *[(ean(MILK),)] * 3, start_us=40_000_000)) == ["expired"]


def test_the_next_pack_of_that_product_is_sold() -> None:
    scanner = Scanner(PRICES)
    day(scanner, *[(milk("17261124"),)] * 3)
    assert names(day(scanner, *[(milk("17261224"),)] * 3, start_us=3_000_000)) == ["Milk"]
    assert names(day(scanner, (), *[(ean(MILK),)] * 3, start_us=9_000_000)) == ["Milk"]


def test_a_misread_date_does_not_spoil_the_pack_beside_it() -> None:
    assert names(day(Scanner(PRICES), (ean(MILK),), (ean(MILK), milk("17261124")), (ean(MILK),))) == ["Milk"]


def test_a_recalled_lot_is_refused_as_soon_as_the_book_says_so() -> None:
    scanner = Scanner(PRICES)
    assert names(day(scanner, *[(milk("10A"),)] * 3)) == ["Milk"]
    scanner.use(shop(Recall(product=ProductId(gtin_of(MILK)), reason="glass", lots=("A",))))
    assert names(day(scanner, *[(milk("10A"),)] * 3, start_us=3_000_000)) == ["recalled"]
    assert names(day(scanner, *[(milk("10B"),)] * 3, start_us=6_000_000)) == ["Milk"]


def test_a_coupon_is_no_product() -> None:
    coupon = ("]e0", b"8112001234561234560123456")
    assert names(frames(Scanner(PRICES), *[(coupon,)] * 3)) == ["coupon"]
