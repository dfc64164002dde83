"""Packs that must not be sold: dates that are over, and what the price book recalls."""

import datetime as dt

import msgspec
import pytest

from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.scan import ScannedCode, read_code
from cart_protocol.ids import ProductId
from cart_protocol.pricing.fit_for_sale import Unfit, unfit
from cart_protocol.pricing.price_book import PriceBook, Prices, Recall, SerialRange

TODAY = dt.date(2026, 11, 25)
GTIN = gtin_of("9520123456788")


def book(*recalls: Recall, refuse_past_best_before: bool = False) -> PriceBook:
    return PriceBook(
        version=1, currency="EUR", valid_from_ms=0, tax_classes=(), products=(), recalls=recalls,
        refuse_past_best_before=refuse_past_best_before,
    )  # fmt: skip


def code(elements: str) -> ScannedCode:
    read = read_code("]d2", f"01{GTIN}{elements}".encode(), (), "EUR")
    assert isinstance(read, ScannedCode)
    return read


def recall(
    *lots: str,
    serials: tuple[SerialRange, ...] = (),
    dated: tuple[dt.date | None, dt.date | None] = (None, None),
    only_if_certain: bool = False,
) -> Recall:
    return Recall(
        product=ProductId(GTIN), reason="glass", lots=lots, serials=serials, dated_from=dated[0], dated_to=dated[1],
        only_if_certain=only_if_certain,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ("", None),
        ("17261125", None),  # its last day
        ("17261124", Unfit.EXPIRED),
        ("17261100", None),  # to the end of the month
        ("17261000", Unfit.EXPIRED),
        ("70032611241200", Unfit.EXPIRED),
        ("15261124", None),  # best before: the shop's own business
        ("16261124", None),
        ("11261201", None),  # made in the future: not our rule
    ],
)
def test_a_use_by_date_that_is_over(elements: str, reason: Unfit | None) -> None:
    assert unfit(code(elements), Prices(book()), TODAY) is reason


@pytest.mark.parametrize(("elements", "reason"), [("15261124", True), ("16261124", True), ("15261125", False)])
def test_a_shop_may_refuse_what_is_past_its_best(elements: str, reason: bool) -> None:
    found = unfit(code(elements), Prices(book(refuse_past_best_before=True)), TODAY)
    assert found is (Unfit.PAST_BEST_BEFORE if reason else None)


@pytest.mark.parametrize(
    ("meant", "elements", "refused"),
    [
        (recall(), "", True),  # every pack
        (recall("A", "B"), "10B", True),
        (recall("A", "B"), "10C", False),
        (recall("A", "B"), "", True),  # may be one of them
        (recall("A", "B", only_if_certain=True), "", False),
        (recall("A", "B", only_if_certain=True), "10A", True),
        (recall(serials=(SerialRange(first="100", last="199"),)), "21150", True),
        (recall(serials=(SerialRange(first="100", last="199"),)), "2100150", True),
        (recall(serials=(SerialRange(first="100", last="199"),)), "211000", False),
        (recall(serials=(SerialRange(first="A10", last="A19"),)), "21A15", True),
        (recall(serials=(SerialRange(first="A10", last="A19"),)), "21A155", False),
        (recall(dated=(dt.date(2026, 12, 1), dt.date(2026, 12, 24))), "17261224", True),
        (recall(dated=(dt.date(2026, 12, 1), dt.date(2026, 12, 24))), "15261201", True),
        (recall(dated=(dt.date(2026, 12, 1), dt.date(2026, 12, 24))), "17261225", False),
        (recall(dated=(None, dt.date(2026, 12, 24))), "17261130", True),
        (recall("A", dated=(None, dt.date(2026, 12, 24))), "17270130" + "10A", False),  # the lot, but not of that date
        (recall("A", dated=(None, dt.date(2026, 12, 24))), "10A", True),
        (recall("A", dated=(None, dt.date(2026, 12, 24))), "10B", False),  # another lot, whatever its date
    ],
)
def test_a_recall_means_those_packs_and_all_that_may_be_of_them(meant: Recall, elements: str, refused: bool) -> None:
    assert unfit(code(elements), Prices(book(meant)), TODAY) is (Unfit.RECALLED if refused else None)


def test_of_several_recalls_each_counts() -> None:
    prices = Prices(book(recall("A"), recall("B")))
    assert unfit(code("10B"), prices, TODAY) is Unfit.RECALLED
    assert unfit(code("10C"), prices, TODAY) is None


def test_a_recall_of_another_product_does_not_matter() -> None:
    other = msgspec.structs.replace(recall(), product=ProductId("00000000000000"))
    assert unfit(code(""), Prices(book(other)), TODAY) is None


def test_recalls_travel_in_the_signed_book() -> None:
    whole = book(recall("A", serials=(SerialRange(first="1", last="9"),), dated=(TODAY, None)))
    assert msgspec.json.decode(msgspec.json.encode(whole), type=PriceBook) == whole


def test_a_book_without_recalls_is_what_carts_before_recalls_knew() -> None:
    assert set(msgspec.json.decode(msgspec.json.encode(book()))) == {
        "version", "currency", "valid_from_ms", "tax_classes", "products",
    }  # fmt: skip
