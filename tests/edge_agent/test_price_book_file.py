"""The catalogue that a shop keeps by hand: read exactly, or refused with file, line, product and remedy."""

import datetime as dt
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1.restricted import pattern_of
from cart_protocol.gs1.scan import ScannedCode, read_code
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, grams, sigma
from cart_protocol.money import Money
from cart_protocol.pricing.line import price_line
from cart_protocol.pricing.price_book import (
    Nutrition,
    PriceBook,
    Prices,
    Product,
    Provenance,
    Recall,
    RestrictedPattern,
    SerialRange,
    SoldBy,
    TaxClass,
)
from edge_agent.store.price_book_file import ALLERGENS, PriceBookFileError, default_spread, read_price_book

HEAD = """
version = 7
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
[tax.standard]
name = "VAT 19 %"
percent = "19"
[[label]]
prefix = "28"
holds = "mass"
"""
TEA = """
[[product]]
gtin = "4006381333931"
name = "Green tea"
department = "Drinks"
price = "2.49"
tax = "standard"
mass_g = 65.5
spread_g = 1.2
"""


def read(tmp_path: Path, text: str) -> PriceBook:
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    return read_price_book(path)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PriceBookFileError) as refusal:
        read(tmp_path, text)
    return refusal.value.problems


def test_a_piece_is_read_exactly(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        HEAD
        + TEA
        + """
tagged = true
origin = "Shizuoka"
producer = "Tea House"
inspected_by = "Laboratory"
note = "First flush"
allergens = ["sulphites"]
[product.nutrition]
energy_kj = 5
fat_g = 0.2
saturates_g = 0.1
carbohydrate_g = 0.3
sugars_g = 0
protein_g = 0.15
salt_g = 0.001
""",
    )
    assert book == PriceBook(
        version=7,
        currency="EUR",
        valid_from_ms=1_767_225_600_000,
        tax_classes=(TaxClass(code="standard", name="VAT 19 %", basis_points=1900),),
        restricted_patterns=(RestrictedPattern(prefix="28", kind="mass"),),
        products=(
            Product(
                id="04006381333931",
                name="Green tea",
                sold_by=SoldBy.PIECE,
                price=Money(249, "EUR"),
                tax_class="standard",
                mass=grams(65.5),
                mass_variance=sigma(grams(1.2)),
                department="Drinks",
                tagged=True,
                nutrition=Nutrition(
                    energy_kj=5,
                    fat_mg=200,
                    saturates_mg=100,
                    carbohydrate_mg=300,
                    sugars_mg=0,
                    protein_mg=150,
                    salt_mg=1,
                ),
                provenance=Provenance(
                    origin="Shizuoka", producer="Tea House", inspected_by="Laboratory", note="First flush"
                ),
                allergens=("sulphites",),
            ),
        ),
    )


def test_loose_goods_have_a_price_per_kilogram_and_no_mass(tmp_path: Path) -> None:
    loose = (
        '[[product]]\nplu = "00042"\nname = "Plums"\ndepartment = "Fruit"\nprice_per_kg = "3.99"\ntax = "standard"\n'
    )
    (plums,) = read(tmp_path, HEAD + loose).products
    assert (plums.id, plums.sold_by, plums.price) == ("plu:00042", SoldBy.KILOGRAM, Money(399, "EUR"))
    assert (plums.mass, plums.mass_variance) == (0, 0)


def test_the_same_catalogue_may_be_json(tmp_path: Path) -> None:
    tree = tomllib.loads(HEAD + TEA)
    tree["valid_from"] = tree["valid_from"].isoformat()
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(tree))
    assert read_price_book(path) == read(tmp_path, HEAD + TEA)


def test_yen_have_no_decimals(tmp_path: Path) -> None:
    book = read(tmp_path, (HEAD + TEA).replace('"EUR"', '"JPY"').replace('"2.49"', '"249"'))
    assert book.products[0].price == Money(249, "JPY")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('gtin = "4006381333931"', 'gtin = "4006381333932"', "gtin '4006381333932' ends in check digit 2; 1 expected"),
        ('gtin = "4006381333931"', 'gtin = "400638133393"', "gtin '400638133393' ends in check digit 3"),
        ('gtin = "4006381333931"', 'gtin = "40063813339"', "8, 12, 13 or 14 digits expected"),
        ('gtin = "4006381333931"', "", "needs either a gtin or a plu"),
        ('gtin = "4006381333931"', 'gtin = "4006381333931"\nplu = "00001"', "needs either a gtin or a plu"),
        ('gtin = "4006381333931"', 'plu = "42"', "plu '42' is not five digits; write it as on the label"),
        ('tax = "standard"', 'tax = "luxury"', "tax class 'luxury' is unknown; use one of standard"),
        ('price = "2.49"', 'price = "-2.49"', "price -2.49 is not above zero; correct it"),
        ('price = "2.49"', 'price = "0"', "price 0 is not above zero"),
        ('price = "2.49"', "price = nan", "price NaN is not above zero"),
        ('price = "2.49"', 'price = "2.499"', "fractions of the smallest coin of EUR; round it"),
        ('price = "2.49"', 'price = "2,49"', "at `$.price`; correct or remove it"),
        ('price = "2.49"', "", "needs either price (each) or price_per_kg"),
        ('price = "2.49"', 'price = "2.49"\nprice_per_kg = "9.99"', "needs either price (each) or price_per_kg"),
        ('price = "2.49"', 'price_per_kg = "9.99"', "remove mass_g and spread_g"),
        ("mass_g = 65.5", "", "has no mass_g; weigh one piece"),
        ("mass_g = 65.5", "mass_g = -1", "mass_g -1 is too small"),
        ("mass_g = 65.5", "mass_g = inf", "mass_g Infinity is too small"),
        ("spread_g = 1.2", "spread_g = 40", "spread_g 40 is more than half of mass_g 65.5"),
        ('name = "Green tea"', 'name = " "', "has no name or no department"),
        ('name = "Green tea"', "", "missing required field `name`"),
        ("spread_g = 1.2", "spraed_g = 1.2", "unknown field `spraed_g`; correct or remove it"),
        ("spread_g = 1.2", 'allergens = ["glutten"]', "allergens glutten are unknown; use gluten, crustaceans"),
    ],
)
def test_a_mistake_is_reported_with_file_line_product_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    good = HEAD + TEA
    assert old in good
    (problem,) = problems(tmp_path, good.replace(old, new))
    assert problem.startswith(f"{tmp_path / 'catalogue.toml'}, line 12: product ")
    assert said in problem


NUTRITION = (
    "{ energy_kj = 5, fat_g = 1, saturates_g = 1, carbohydrate_g = 30, sugars_g = 2, protein_g = 1, salt_g = 1 }"
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("energy_kj = 5", "energy_kj = -5", "energy_kj -5 is below zero"),
        ("salt_g = 1", "salt_g = -1", "salt_g -1 is too small"),
        ("saturates_g = 1", "saturates_g = 2", "more saturates than fat"),
        ("sugars_g = 2", "sugars_g = 31", "more sugars than carbohydrate"),
        ("protein_g = 1", "protein_g = 70", "more than 100 g of nutrients in 100 g"),
    ],
)
def test_impossible_nutrition_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    read(tmp_path, f"{HEAD}{TEA}nutrition = {NUTRITION}\n")
    (problem,) = problems(tmp_path, f"{HEAD}{TEA}nutrition = {NUTRITION.replace(old, new)}\n")
    assert said in problem


def test_a_number_given_twice_is_refused_also_in_another_notation(tmp_path: Path) -> None:
    upc = TEA.replace("4006381333931", "036000291452").replace("Green", "Black")
    ean = TEA.replace("4006381333931", "0036000291452").replace("Green", "White")
    (problem,) = problems(tmp_path, HEAD + upc + ean)
    assert "line 21: product 'White tea' (0036000291452): has the number of 'Black tea'" in problem


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    bad = TEA.replace("4006381333931", "4006381333932")
    text = HEAD.replace('percent = "19"', 'percent = "190"') + bad * 30
    found = problems(tmp_path, text)
    assert len(found) == 31
    assert "tax 'standard': 190 %" in found[0]
    with pytest.raises(PriceBookFileError, match="… and 11 more"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 7", "version = 0", "version 0 is below 1"),
        ("version = 7", 'version = "7"', "Expected `int`, got `str` - at `$.version`"),
        ("version = 7", "version = 7\nshop = 1", "unknown field `shop`"),
        ('currency = "EUR"', 'currency = "XAU"', "currency 'XAU' is not one of CHF"),
        ("00:00Z", "00:00", "valid_from has no time zone"),
        ('percent = "19"', 'percent = "19.125"', "tax 'standard': 19.125 %"),
        ('percent = "19"', "percent = nan", "tax 'standard': NaN %"),
        ('prefix = "28"', 'prefix = "40"', "label prefix '40' is not for in-store use; begin with 02 or 20 to 29"),
        ('holds = "mass"', 'holds = "colour"', "label '28' holds 'colour'; write 'price' or 'mass'"),
        ("[[label]]", "[[label]", "neither TOML nor JSON"),
    ],
)
def test_a_mistake_outside_the_products_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    (problem,) = problems(tmp_path, (HEAD + TEA).replace(old, new))
    assert problem.startswith(str(tmp_path / "catalogue.toml"))
    assert said in problem


def test_a_missing_or_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name an existing catalogue"):
        read_price_book(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_price_book(tmp_path / "latin.toml")


# ── what a pack may weigh before any was weighed ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("nominal_g", "tolerable_error_g"),
    [(50, 4.5), (80, 4.5), (150, 6.75), (250, 9), (400, 12), (750, 15), (2_000, 30), (20_000, 150)],
)
def test_the_default_spread_is_half_the_tolerable_error(nominal_g: int, tolerable_error_g: float) -> None:
    assert default_spread(grams(nominal_g)) == pytest.approx(grams(tolerable_error_g) / 2, abs=1)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_heavier_pack_never_has_a_smaller_default_spread(one: int, other: int) -> None:
    light, heavy = sorted((one, other))
    assert 1 <= default_spread(Mass(light)) <= default_spread(Mass(heavy))


def test_a_product_without_a_spread_gets_the_default(tmp_path: Path) -> None:
    (tea,) = read(tmp_path, HEAD + TEA.replace("spread_g = 1.2", "")).products
    assert tea.mass_variance == sigma(grams(2.25))


# ── the demo shop ────────────────────────────────────────────────────────────────────────────────────────────────────

DEMO = Path(__file__).parents[2] / "edge_agent" / "catalogue" / "demo.toml"


@pytest.fixture(scope="module")
def demo() -> PriceBook:
    return read_price_book(DEMO)


def test_the_demo_shop_has_about_150_products_of_every_kind(demo: PriceBook) -> None:
    assert 140 <= len(demo.products) <= 180
    assert sum(product.sold_by is SoldBy.KILOGRAM for product in demo.products) >= 12
    assert sum(product.tagged for product in demo.products) >= 12
    assert len({product.department for product in demo.products}) >= 12
    lengths = {len(product.id.lstrip("0")) for product in demo.products if not product.id.startswith("plu:")}
    assert lengths == {8, 12, 13}, "EAN-8, UPC-A and EAN-13"
    assert {tax.basis_points for tax in demo.tax_classes} == {700, 1900}
    assert {pattern.kind for pattern in demo.restricted_patterns} == {"mass", "price"}


def test_the_demo_shop_uses_nobody_elses_numbers(demo: PriceBook) -> None:
    for product in demo.products:
        digits = product.id.lstrip("0")
        assert product.id.startswith("plu:") or digits.startswith("952") or (len(digits) == 12 and digits[0] == "4")


def test_every_demo_product_says_where_it_is_from_and_can_be_weighed(demo: PriceBook) -> None:
    for product in demo.products:
        assert product.provenance is not None, product.name
        assert product.provenance.origin, product.name
        assert product.provenance.inspected_by, product.name
        assert set(product.allergens) <= set(ALLERGENS)
        if product.sold_by is SoldBy.PIECE:
            assert grams(30) <= product.mass <= grams(5_000), product.name
            grown = product.mass // 6  # what grows differs more than what is filled
            widest = grown if product.id.startswith("plu:") else grams(20)
            assert grams(0.3) ** 2 <= product.mass_variance <= widest**2, product.name
    assert sum(product.nutrition is not None for product in demo.products) > 80


def test_every_demo_pack_can_be_scanned_and_priced(demo: PriceBook) -> None:
    prices = Prices(demo)
    for product in demo.products:
        if product.id.startswith("plu:"):
            continue
        printed = product.id[1:].encode()
        symbology = "]E4" if product.id.startswith("000000") else "]E0"
        scanned = read_code(
            symbology, printed[-8:] if symbology == "]E4" else printed, demo.restricted_patterns, demo.currency
        )
        assert isinstance(scanned, ScannedCode)
        line = price_line(prices, prices[scanned.product])
        assert line.total == product.price
        assert 0 < line.tax.minor < line.total.minor


# ── recalls and layouts ──────────────────────────────────────────────────────────────────────────────────────────────

RECALL = """
[[recall]]
gtin = "4006381333931"
reason = "Pieces of glass"
lots = ["L1", "L2"]
serials = [["1000", "1999"]]
dated_from = 2026-11-01
dated_to = 2026-11-30
"""


def test_a_recall_is_read_exactly(tmp_path: Path) -> None:
    book = read(tmp_path, HEAD.replace("version = 7", "version = 7\nrefuse_past_best_before = true") + TEA + RECALL)
    assert book.recalls == (
        Recall(
            product=ProductId("04006381333931"), reason="Pieces of glass", lots=("L1", "L2"),
            serials=(SerialRange(first="1000", last="1999"),),
            dated_from=dt.date(2026, 11, 1), dated_to=dt.date(2026, 11, 30),
        ),
    )  # fmt: skip
    assert book.refuse_past_best_before


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ('gtin = "4006381333931"', 'gtin = "9520123456788"', "not in this file"),
        ('gtin = "4006381333931"', 'gtin = "4006381333932"', "copy it from the pack"),
        ('gtin = "4006381333931"', "", "either a gtin or a plu"),
        ('"Pieces of glass"', '" "', "write for staff"),
        ("dated_to = 2026-11-30", "dated_to = 2026-10-30", "swap them"),
        ('"L2"', '""', "1 to 20 characters"),
        ('"1999"', f'"{"9" * 21}"', "1 to 20 characters"),
    ],
)
def test_a_recall_that_means_nothing_is_refused(tmp_path: Path, written: str, instead: str, told: str) -> None:
    assert written in RECALL
    (problem,) = problems(tmp_path, HEAD + TEA + RECALL.replace(written, instead))
    assert "recall 1" in problem
    assert told in problem


def test_a_label_of_the_shops_own_layout(tmp_path: Path) -> None:
    book = read(tmp_path, HEAD + '[[label]]\nlayout = "21IIIIIVPPPPC"\n' + TEA)
    assert book.restricted_patterns[1] == pattern_of("21IIIIIVPPPPC")


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ('layout = "21IIIIIVPPPP"', "write it as 21IIIIIVPPPPC"),
        ('layout = "21IIIIIVPPPPC"\nprefix = "21"', "remove them"),
        ("", "not for in-store use"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(tmp_path: Path, label: str, told: str) -> None:
    assert any(told in problem for problem in problems(tmp_path, HEAD + f"[[label]]\n{label}\n" + TEA))
