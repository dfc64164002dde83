"""The one price arithmetic: tax-inclusive lines by the piece and by the kilogram, rounded once, half up."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance, grams
from cart_protocol.money import Money, total
from cart_protocol.pricing.line import LinePrice, NotPriceableError, contained_tax, price_basket, price_line
from cart_protocol.pricing.price_book import PriceBook, Prices, Product, SoldBy, TaxClass, UnknownProductError

STANDARD = TaxClass(code="standard", name="VAT 19 %", basis_points=1_900)
REDUCED = TaxClass(code="reduced", name="VAT 7 %", basis_points=700)
FREE = TaxClass(code="free", name="tax free", basis_points=0)


def product(
    number: str, minor: int, *, sold_by: SoldBy = SoldBy.PIECE, tax: str = "reduced", currency: str = "EUR"
) -> Product:
    return Product(
        id=ProductId(number),
        name=number,
        sold_by=sold_by,
        price=Money(minor, currency),
        tax_class=tax,
        mass=grams(100),
        mass_variance=Variance(1),
        department="all",
    )


MILK = product("milk", 119)
SOAP = product("soap", 195, tax="standard")
PLUMS = product("plums", 399, sold_by=SoldBy.KILOGRAM)
STAMP = product("stamp", 85, tax="free")
BOOK = PriceBook(
    version=4,
    currency="EUR",
    valid_from_ms=0,
    tax_classes=(STANDARD, REDUCED, FREE),
    products=(MILK, SOAP, PLUMS, STAMP),
)
PRICES = Prices(BOOK)


def test_a_piece_costs_its_shelf_price_tax_included() -> None:
    assert price_line(PRICES, MILK) == LinePrice(
        unit=Money(119, "EUR"),
        sold_by=SoldBy.PIECE,
        total=Money(119, "EUR"),
        tax=Money(8, "EUR"),  # 119 x 7/107 = 7.785…
        tax_class="reduced",
        book_version=4,
    )


def test_three_pieces_cost_three_times_as_much_and_tax_is_rounded_once() -> None:
    line = price_line(PRICES, MILK, quantity=3)
    assert line.total == Money(357, "EUR")
    assert line.tax == Money(23, "EUR"), "23.36 of the sum, not three times 8"


@pytest.mark.parametrize(
    ("mass", "minor"),
    [
        (grams(1_000), 399),
        (grams(482), 192),  # 192.318
        (grams(125), 50),  # 49.875
        (Mass(1), 0),
    ],
)
def test_loose_goods_cost_by_the_milligram(mass: Mass, minor: int) -> None:
    assert price_line(PRICES, PLUMS, mass=mass).total == Money(minor, "EUR")


def test_half_a_cent_is_rounded_up() -> None:
    loose = product("nuts", 1_000, sold_by=SoldBy.KILOGRAM)
    assert price_line(PRICES, loose, mass=Mass(500)).total == Money(1, "EUR")
    assert price_line(PRICES, loose, mass=Mass(499)).total == Money(0, "EUR")
    assert price_line(PRICES, loose, mass=Mass(1_500)).total == Money(2, "EUR")


def test_the_price_on_the_pack_wins_over_the_scale() -> None:
    marked = Money(250, "EUR")
    assert price_line(PRICES, PLUMS, mass=grams(700), marked=marked).total == marked
    assert price_line(PRICES, PLUMS, marked=marked).total == marked, "and needs no mass"
    assert price_line(PRICES, PLUMS, marked=marked).unit == Money(399, "EUR")


@pytest.mark.parametrize("mass", [None, Mass(0), grams(-100)])
def test_loose_goods_without_a_mass_have_no_price(mass: Mass | None) -> None:
    with pytest.raises(NotPriceableError, match="plums is sold by the kilogram and needs a mass above zero"):
        price_line(PRICES, PLUMS, mass=mass)


@pytest.mark.parametrize("quantity", [0, -1])
@pytest.mark.parametrize("marked", [None, Money(250, "EUR")])
def test_nothing_and_less_have_no_price(quantity: int, marked: Money | None) -> None:
    for goods in (MILK, PLUMS):
        with pytest.raises(NotPriceableError, match="quantity of at least 1"):
            price_line(PRICES, goods, quantity=quantity, mass=grams(100), marked=marked)


@pytest.mark.parametrize(
    ("gross", "basis_points", "tax"), [(119, 1_900, 19), (107, 700, 7), (100, 0, 0), (1, 1_900, 0), (199, 10_000, 100)]
)
def test_the_tax_contained_in_a_price(gross: int, basis_points: int, tax: int) -> None:
    assert contained_tax(Money(gross, "EUR"), basis_points) == Money(tax, "EUR")


@given(st.integers(0, 10**9), st.integers(0, 10_000))
def test_tax_is_within_half_a_cent_and_never_more_than_half_the_price(gross: int, basis_points: int) -> None:
    tax = contained_tax(Money(gross, "EUR"), basis_points).minor
    exact = Fraction(gross * basis_points, 10_000 + basis_points)
    assert abs(tax - exact) <= Fraction(1, 2)
    assert 0 <= 2 * tax <= gross + 1


@given(st.integers(1, 10**6), st.integers(1, 10**8))
def test_by_weight_prices_are_within_half_a_cent(minor: int, mass: int) -> None:
    loose = product("loose", minor, sold_by=SoldBy.KILOGRAM)
    line = price_line(PRICES, loose, mass=Mass(mass))
    exact = Fraction(minor * mass, 1_000_000)
    assert -Fraction(1, 2) < line.total.minor - exact <= Fraction(1, 2)


@given(st.integers(1, 10**6), st.integers(1, 10**8), st.integers(1, 10**8))
def test_more_goods_never_cost_less(minor: int, one: int, other: int) -> None:
    loose = product("loose", minor, sold_by=SoldBy.KILOGRAM)
    light, heavy = sorted((one, other))
    assert price_line(PRICES, loose, mass=Mass(light)).total <= price_line(PRICES, loose, mass=Mass(heavy)).total


LINES = st.lists(
    st.one_of(
        st.builds(
            lambda goods, count: price_line(PRICES, goods, quantity=count),
            st.sampled_from([MILK, SOAP, STAMP]),
            st.integers(1, 20),
        ),
        st.builds(lambda mass: price_line(PRICES, PLUMS, mass=Mass(mass)), st.integers(1, 5_000_000)),
    ),
    max_size=30,
)


@given(LINES)
def test_a_basket_adds_up_line_by_line_and_rate_by_rate(lines: list[LinePrice]) -> None:
    totals = price_basket(PRICES, lines)
    assert totals.total == total([line.total for line in lines], "EUR")
    assert totals.tax == total([line.tax for line in lines], "EUR")
    assert totals.total == total([rate.gross for rate in totals.by_rate], "EUR")
    assert totals.tax == total([rate.tax for rate in totals.by_rate], "EUR")
    assert totals.tax <= totals.total


@given(LINES, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(lines: list[LinePrice], dice: object) -> None:
    shuffled = list(lines)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert price_basket(PRICES, shuffled) == price_basket(PRICES, lines)


def test_rates_stand_in_the_order_of_the_book_and_only_those_that_occur() -> None:
    totals = price_basket(PRICES, [price_line(PRICES, MILK), price_line(PRICES, SOAP), price_line(PRICES, MILK)])
    assert [(rate.name, rate.gross.minor, rate.tax.minor) for rate in totals.by_rate] == [
        ("VAT 19 %", 195, 31),
        ("VAT 7 %", 238, 16),
    ]


def test_an_empty_basket_costs_nothing() -> None:
    totals = price_basket(PRICES, [])
    assert (totals.total, totals.tax, totals.by_rate) == (Money(0, "EUR"), Money(0, "EUR"), ())


def test_yen_are_priced_without_decimals() -> None:
    rice = product("rice", 998, sold_by=SoldBy.KILOGRAM, currency="JPY")
    prices = Prices(PriceBook(version=1, currency="JPY", valid_from_ms=0, tax_classes=(REDUCED,), products=(rice,)))
    assert price_line(prices, rice, mass=grams(250)).total == Money(250, "JPY")  # 249.5


def test_the_book_finds_products_or_says_which_is_missing() -> None:
    assert PRICES.find(MILK.id) == MILK == PRICES[MILK.id]
    assert PRICES.find(ProductId("bread")) is None
    with pytest.raises(UnknownProductError, match="product bread is not in price book version 4"):
        PRICES[ProductId("bread")]
    assert (PRICES.version, PRICES.currency) == (4, "EUR")
