"""A shop's folder of pictures: named by numbers, checked as a whole, made small from photographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from cart_protocol.product_picture import MOST_BYTES, media_type, name_of
from edge_agent.__main__ import app
from edge_agent.store.picture_files import PictureFileError, shrink
from edge_agent.store.price_book_file import Catalogue, PriceBookFileError, read_catalogue

HEAD = """
version = 7
currency = "EUR"
valid_from = 2026-01-01T00:00:00Z
pictures = "pictures"
[tax.standard]
name = "VAT 19 %"
percent = "19"
"""
TEA, PEARS = (
    f"""
[[product]]
{number}
name = "Sold here"
department = "Food"
{price}
tax = "standard"
"""
    for number, price in (
        ('gtin = "4006381333931"', 'price = "2.49"\nmass_g = 65.5'),
        ('plu = "00042"', 'price_per_kg = "2.49"'),
    )
)


def picture(side: int = 40, kind: str = ".png") -> bytes:
    pixels = np.full((side, side, 3), 90, np.uint8)
    return cv2.imencode(kind, pixels)[1].tobytes()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


def catalogue(folder: Path) -> Catalogue:
    path = folder.parent / "price_book.toml"
    path.write_text(HEAD + TEA + PEARS)
    return read_catalogue(path)


def test_pictures_are_found_by_gtin_by_plu_and_by_the_trades_own_names(folder: Path) -> None:
    (folder / "04006381333931_C1N1.png").write_bytes(picture())
    (folder / "00042.JPG").write_bytes(picture(kind=".jpg"))
    (folder / "9780201379624.png").write_bytes(picture())  # of another shop's product
    (folder / "notes.txt").write_text("not a picture")
    found = catalogue(folder)
    tea, pears = found.book.products
    assert found.pictures == {tea.picture: picture(), pears.picture: picture(kind=".jpg")}
    assert all(name_of(content) == name for name, content in found.pictures.items())


def test_a_book_without_pictures_is_as_it_was(folder: Path) -> None:
    found = catalogue(folder)
    assert [product.picture for product in found.book.products] == ["", ""]
    assert found.pictures == {}


def test_all_that_is_wrong_with_pictures_is_told_at_once_with_the_remedy(folder: Path) -> None:
    (folder / "4006381333931.png").write_bytes(picture())
    (folder / "4006381333931_2.png").write_bytes(picture(50))
    (folder / "00042.webp").write_bytes(picture())
    with pytest.raises(PriceBookFileError) as refusal:
        catalogue(folder)
    assert [Path(problem.partition(": ")[0]).name for problem in refusal.value.problems] == [
        "00042.webp",
        "4006381333931_2.png",
    ]
    assert "no image/webp within" in refusal.value.problems[0]
    assert "second picture" in refusal.value.problems[1]


def test_a_picture_too_large_for_carts_is_refused_and_the_command_that_helps_is_named(folder: Path) -> None:
    (folder / "00042.png").write_bytes(cv2.imencode(".png", noise(300, 300))[1].tobytes())
    with pytest.raises(PriceBookFileError, match=f"at most {MOST_BYTES}; 'edge-agent shrink-pictures'"):
        catalogue(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "price_book.toml"
    path.write_text(HEAD + TEA)
    with pytest.raises(PriceBookFileError, match="is no folder"):
        read_catalogue(path)


@pytest.mark.parametrize(
    "photograph",
    [noise(900, 1_600), noise(1_600, 900), noise(20, 30), noise(400, 400, 4), noise(500, 400)[:, :, 0]],
    ids=["wide", "tall", "tiny", "transparent", "grey"],
)
def test_any_photograph_becomes_a_picture_that_every_cart_can_keep(tmp_path: Path, photograph: np.ndarray) -> None:
    source, target = tmp_path / "photographs", tmp_path / "pictures"
    source.mkdir()
    cv2.imwrite(str(source / "00042.png"), photograph)
    (made,) = shrink(source, target)
    content = made.read_bytes()
    assert made == target / "00042.webp"
    assert media_type(content) == "image/webp"
    assert len(content) <= MOST_BYTES
    assert cv2.imread(str(made)).shape == (256, 256, 3)
    assert list(catalogue(target).pictures.values()) == [content]


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    cv2.imwrite(str(tmp_path / "00042.png"), pixels)
    (made,) = shrink(tmp_path, tmp_path / "made")
    assert cv2.imread(str(made)).min() > 250


def test_what_is_no_photograph_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureFileError, match="no photographs"):
        list(shrink(tmp_path, tmp_path / "made"))
    (tmp_path / "00042.jpg").write_text("not at all")
    with pytest.raises(PictureFileError, match=r"00042\.jpg: no picture"):
        list(shrink(tmp_path, tmp_path / "made"))


def test_a_new_store_takes_the_catalogues_pictures_along(folder: Path) -> None:
    (folder / "00042.png").write_bytes(picture())
    catalogue(folder)
    store = folder.parent / "store"
    arguments = ["init", str(store), "--store", "s1", "--name", "Shop", "--state", str(store / "state")]
    made = CliRunner().invoke(app, [*arguments, "--catalogue", str(folder.parent / "price_book.toml")])
    assert made.exit_code == 0, made.output
    assert list(read_catalogue(store / "price_book.toml").pictures.values()) == [picture()]
