"""The decoder for blurred codes against drawn symbols: it reads what no search for edges can, and never guesses."""

from typing import get_args

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cart_firmware.perception.ean_model import LAYOUTS, Layout, Symbology, encode
from cart_firmware.perception.scanline import decode

Picture = NDArray[np.uint8]
CODES: tuple[tuple[str, Symbology], ...] = (
    ("4006381333931", "EAN13"),
    ("0036000291452", "UPCA"),
    ("96385074", "EAN8"),
    ("0042100005264", "UPCE"),
)


def symbol(digits: str, symbology: Symbology, module: int = 24) -> Picture:
    """One row of a symbol with its quiet zones, white 255, `module` columns per module."""
    layout, family, word = encode(digits, symbology)
    row = np.pad(layout.row(family, word), 11 * layout.modules // 95)
    return np.repeat((255 * (1 - row)).astype(np.uint8), module)[None]


def strip(
    row: Picture,
    blur: float,
    *,
    pitch: float = 3.0,
    noise: float = 4.0,
    motion: float = 0.0,
    rows: int = 40,
    seed: int = 5,
) -> Picture:
    """What a camera makes of a row of 24 columns per module: blur and motion in modules, contrast 150."""
    seen = cv2.GaussianBlur(row, (0, 0), 24 * blur)
    if motion:
        seen = cv2.blur(seen, (int(24 * motion) | 1, 1))
    seen = cv2.resize(seen, (int(row.shape[1] / 24 * pitch), rows), interpolation=cv2.INTER_AREA)
    dice = np.random.default_rng(seed)
    return np.clip(50 + seen * (150 / 255) + dice.normal(0, noise, seen.shape), 0, 255).astype(np.uint8)


def zxing_reads(picture: Picture) -> bool:
    tall = cv2.copyMakeBorder(picture, 20, 20, 20, 20, cv2.BORDER_REPLICATE)
    return bool(zxingcpp.read_barcodes(tall, formats=zxingcpp.barcode_formats_from_str("EANUPC")))


@pytest.mark.parametrize(("digits", "symbology"), CODES)
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_blur_that_zxing_cannot_read_is_read_either_way_up(
    digits: str, symbology: Symbology, upside_down: bool
) -> None:
    picture = strip(symbol(digits, symbology), blur=0.65)
    if upside_down:
        picture = np.ascontiguousarray(picture[::-1, ::-1])
    assert not zxing_reads(picture)
    read = decode([picture])
    assert read is not None
    assert (read.digits, read.symbology) == (digits, symbology)
    assert (read.columns[0] > read.columns[1]) is upside_down
    assert read.module_px == pytest.approx(3.0, rel=0.02)
    assert read.blur == pytest.approx(0.65, abs=0.12)


def test_a_cart_in_motion_smears_two_modules_and_the_code_is_still_read() -> None:
    read = decode([strip(symbol(*CODES[0]), blur=0.2, motion=2.0)])
    assert read is not None
    assert read.digits == CODES[0][0]


def test_a_blurred_code_that_looks_as_good_one_digit_farther_on_is_read_where_it_stands() -> None:
    read = decode([strip(symbol("0138625437731", "UPCA"), blur=0.75)])
    assert read is not None
    assert read.digits == "0138625437731"


def test_frames_too_noisy_by_themselves_are_read_together_whichever_way_up() -> None:
    frames = [strip(symbol(*CODES[0]), blur=0.8, noise=45, rows=8, seed=seed) for seed in range(3)]
    frames[1] = np.ascontiguousarray(frames[1][::-1, ::-1])
    assert [decode([frame]) for frame in frames] == [None] * 3
    read = decode(frames)
    assert read is not None
    assert read.digits == CODES[0][0]


def test_a_frame_of_another_code_is_not_mixed_in() -> None:
    mine, other = (strip(symbol(*code), blur=0.65) for code in CODES[:2])
    read = decode([mine, other])
    assert read is not None
    assert read == decode([mine])


@pytest.mark.parametrize(("digits", "symbology"), CODES)
def test_the_drawn_symbol_is_what_other_decoders_read(digits: str, symbology: Symbology) -> None:
    picture = np.repeat(symbol(digits, symbology, module=3), 60, axis=0)
    (read,) = zxingcpp.read_barcodes(picture, formats=zxingcpp.barcode_formats_from_str("EANUPC"))
    assert read.text.zfill(len(digits)) == digits


@pytest.mark.parametrize("family", ["Code128", "ITF", "DataBar", "QRCode"])
def test_other_symbologies_are_never_taken_for_a_retail_code(family: str) -> None:
    text = {"DataBar": "0100012345678905"}.get(family, "12345670123456")
    drawn = zxingcpp.create_barcode(text[-14:], getattr(zxingcpp.BarcodeFormat, family))
    picture = cv2.GaussianBlur(np.array(drawn.to_image(scale=3)), (0, 0), 1.5)
    assert decode([picture]) is None


def test_noise_is_never_taken_for_a_code() -> None:
    dice = np.random.default_rng(3)
    for size in (0.5, 2.0, 5.0):
        row = cv2.GaussianBlur(dice.normal(0, 1, (1, 320)).astype(np.float32), (0, 0), size)
        row = 128 + 60 * row / row.std()
        assert decode([np.repeat(np.clip(row, 0, 255).astype(np.uint8), 24, axis=0)]) is None


def test_a_flat_strip_and_a_tiny_one_are_none() -> None:
    assert decode([np.full((20, 300), 90, np.uint8)]) is None
    assert decode([np.full((1, 40), 90, np.uint8)]) is None


def words(layout: Layout) -> st.SearchStrategy[tuple[int, tuple[int, ...]]]:
    families = st.integers(0, len(layout.prefix) - 1)
    return st.tuples(families, st.tuples(*[st.integers(0, 9)] * layout.digits))


@given(st.data())
def test_a_number_is_printed_and_read_back(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    family, word = data.draw(words(layout))
    total = int(layout.seed[family] + layout.weights[family] @ np.array(word))
    digits, symbology = layout.gtin(family, word), layout.symbology(family)
    assert symbology in get_args(Symbology)
    if total % 10 or not layout.last[family, word[-1]]:
        return
    again, other_family, other_word = encode(digits, symbology)
    assert again.gtin(other_family, other_word) == digits
