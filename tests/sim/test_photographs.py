"""A folder of photographs becomes shelves, or says what it lacks."""

from pathlib import Path
from random import Random

import pytest

from cart_protocol.gs1.check_digit import check_digit
from edge_agent.store.price_book_file import read_price_book
from sim.photographs import PhotographsError, PhotographShelves, photographs, write_catalogue

MANIFEST = """path,symbology,expected
a.jpg,EAN13,9520123000035
b.jpg,UPCE,01234565
c.jpg,QR,https://example.org
d.jpg,EAN13,2012345678900
e.jpg,EAN13,9520123000036
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    return tmp_path


def test_only_codes_that_a_shop_could_sell_come_onto_the_shelves(folder: Path) -> None:
    assert [photograph.gtin for photograph in photographs(folder)] == ["09520123000035", "00012345000065"]


def test_the_store_can_sell_what_was_photographed(folder: Path) -> None:
    found = photographs(folder) * 10
    write_catalogue(folder / "catalogue.json", found)
    book = read_price_book(folder / "catalogue.json")
    assert {product.id for product in book.products} == {photograph.gtin for photograph in found}


def test_every_photograph_is_shown_once_before_any_comes_twice(tmp_path: Path) -> None:
    bodies = [f"95209990{number:04d}" for number in range(10)]
    rows = [f"{body}.jpg,EAN13,{body}{check_digit(body)}" for body in bodies]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,symbology,expected", *rows]))
    found = photographs(tmp_path)
    write_catalogue(tmp_path / "catalogue.json", found)
    shelves = PhotographShelves(read_price_book(tmp_path / "catalogue.json"), found)
    shown = [shelves.pick(Random(1)).photograph for _ in found]
    assert sorted(filter(None, shown)) == sorted(str(photograph.path) for photograph in found)


@pytest.mark.parametrize(("text", "said"), [(None, "is missing"), ("path,symbology,expected\n", "names no EAN")])
def test_a_folder_without_photographs_says_what_it_lacks(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(PhotographsError, match=said):
        photographs(tmp_path)
