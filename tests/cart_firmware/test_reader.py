"""The reader against rendered symbols of every family, as a camera would see them."""

import io

import cv2
import numpy as np
import pytest
import segno
import zxingcpp
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat

from cart_firmware.perception.reader import Reader
from cart_firmware.perception.reading import Reading

Picture = NDArray[np.uint8]

MILK = "4006381333931"


def symbol(text: str, family: BarcodeFormat, scale: int = 3) -> Picture:
    return np.array(zxingcpp.create_barcode(text, family).to_image(scale=scale))


def scene(*placed: tuple[Picture, int, int], width: int = 640, height: int = 480) -> Picture:
    """A grey table on which the symbols lie at (x, y), a little out of focus and with sensor noise."""
    dice = np.random.default_rng(7)
    picture = np.full((height, width), 150, np.uint8)
    for label, x, y in placed:
        picture[y : y + label.shape[0], x : x + label.shape[1]] = label
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7)
    return np.clip(picture + dice.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def looked_at(picture: Picture, frames: int, reader: Reader | None = None) -> list[tuple[Reading, ...]]:
    reader = reader or Reader()
    return [reader.read(picture) for _ in range(frames)]


def seen(picture: Picture, frames: int = 3) -> set[tuple[str, bytes]]:
    return {(reading.symbology, reading.payload) for readings in looked_at(picture, frames) for reading in readings}


@pytest.mark.parametrize(
    ("text", "family", "symbology", "payload"),
    [
        (MILK, BarcodeFormat.EAN13, "]E0", MILK.encode()),
        ("96385074", BarcodeFormat.EAN8, "]E4", b"96385074"),
        ("036000291452", BarcodeFormat.UPCA, "]E0", b"0036000291452"),
        ("04252614", BarcodeFormat.UPCE, "]E0", b"0042100005264"),
        ("2112345015002", BarcodeFormat.EAN13, "]E0", b"2112345015002"),
    ],
)
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_retail_codes_are_read_whichever_way_up_in_two_frames(
    text: str, family: BarcodeFormat, symbology: str, payload: bytes, turns: int
) -> None:
    picture = np.ascontiguousarray(np.rot90(scene((symbol(text, family), 150, 120)), turns))
    assert seen(picture, frames=2) == {(symbology, payload)}


@pytest.mark.parametrize(
    ("text", "family", "symbology", "payload"),
    [
        ("0104006381333931", BarcodeFormat.DataBarOmni, "]e0", b"0104006381333931"),
        ("(01)04006381333931(3103)001750", BarcodeFormat.DataBarExp, "]e0", b"01040063813339313103001750"),
        ("CARTWRIGHT-128", BarcodeFormat.Code128, "]C0", b"CARTWRIGHT-128"),
        ("14006381333938", BarcodeFormat.ITF, "]I1", b"14006381333938"),
    ],
)
@pytest.mark.parametrize("turns", [0, 1])
def test_the_other_families_are_read_within_three_frames(
    text: str, family: BarcodeFormat, symbology: str, payload: bytes, turns: int
) -> None:
    scale = 3 if len(text) < 20 else 1
    picture = scene((cv2.resize(symbol(text, family, scale), None, fx=0.9, fy=0.9), 40, 120))
    if scale == 1:
        picture = scene((symbol(text, family, 2), 100, 120))
    assert seen(np.ascontiguousarray(np.rot90(picture, turns))) == {(symbology, payload)}


def test_a_qr_code_made_by_another_library_is_read() -> None:
    out = io.BytesIO()
    segno.make("https://shop.example/01/04006381333931", error="m").save(out, kind="png", scale=4, border=4)
    label = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert seen(scene((label, 200, 100))) == {("]Q1", b"https://shop.example/01/04006381333931")}


def test_payload_bytes_come_through_that_are_no_text() -> None:
    out = io.BytesIO()
    segno.make(b"\xff\xfe\x00\x80", mode="byte", micro=False).save(out, kind="png", scale=5, border=4)
    label = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert seen(scene((label, 200, 100))) == {("]Q1", b"\xff\xfe\x00\x80")}


def test_a_code_that_was_read_is_read_on_every_frame_after() -> None:
    picture = scene((symbol("CARTWRIGHT-128", BarcodeFormat.Code128, 2), 100, 120))
    assert all(looked_at(picture, 6)[1:])


@pytest.mark.parametrize("degrees", [25, 45, 70, 115])
def test_a_code_is_read_at_any_angle(degrees: int) -> None:
    upright = scene((symbol(MILK, BarcodeFormat.EAN13), 150, 120))
    turn = cv2.getRotationMatrix2D((320.0, 240.0), degrees, 0.8)
    picture = cv2.warpAffine(upright, turn, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    assert seen(picture, 2) == {("]E0", MILK.encode())}


def test_a_stage_that_does_not_fit_the_deadline_is_left_out_and_counted() -> None:
    reader = Reader(patient=True, deadline_s=0.0)
    assert reader.read(scene((symbol(MILK, BarcodeFormat.EAN13), 150, 120))) == ()
    assert reader.left_out["ean"] == 1


def test_two_codes_in_one_frame_are_both_read() -> None:
    picture = scene(
        (symbol(MILK, BarcodeFormat.EAN13, 2), 20, 40), (symbol("96385074", BarcodeFormat.EAN8, 2), 380, 300)
    )
    assert seen(picture, 1) == {("]E0", MILK.encode()), ("]E4", b"96385074")}


@pytest.mark.parametrize("add_on", ["12", "51299"])
def test_the_issue_of_a_magazine_is_read_with_its_code(add_on: str) -> None:
    label = symbol(f"{MILK} {add_on}", BarcodeFormat.EAN13, 2)
    (reading,) = next(filter(None, looked_at(scene((label, 150, 60)), 2)))
    assert (reading.symbology, reading.payload) == ("]E3", f"{MILK}{add_on}".encode())
    xs = [x for x, _ in reading.corners]
    assert max(xs) - min(xs) == pytest.approx(95 * 2, abs=8)


@pytest.mark.parametrize("turns", [0, 1])
def test_the_corners_are_where_the_code_is(turns: int) -> None:
    label = symbol(MILK, BarcodeFormat.EAN13)
    if turns:
        label = np.ascontiguousarray(label.T)
    (reading,) = next(filter(None, looked_at(scene((label, 150, 60)), 2)))
    xs, ys = [x for x, _ in reading.corners], [y for _, y in reading.corners]
    height, width = label.shape
    assert 150 <= min(xs) < max(xs) <= 150 + width
    assert 60 <= min(ys) < max(ys) <= 60 + height
    assert (max(xs) - min(xs) > max(ys) - min(ys)) is (turns == 0)


@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920), (301, 457), (1, 1)])
def test_an_empty_scene_of_any_size_reads_nothing(shape: tuple[int, int]) -> None:
    dice = np.random.default_rng(3)
    picture = np.clip(dice.normal(128, 40, shape), 0, 255).astype(np.uint8)
    assert seen(picture, 6) == set()


def test_the_same_frames_are_read_the_same() -> None:
    pictures = [scene((symbol(MILK, BarcodeFormat.EAN13), 100, 100)), scene(), scene()]
    one, other = Reader(), Reader()
    assert [one.read(picture) for picture in pictures] == [other.read(picture) for picture in pictures]


def test_what_comes_into_a_resting_scene_is_read_within_two_frames() -> None:
    reader = Reader()
    empty, dice = np.full((480, 640), 150, np.uint8), np.random.default_rng(5)
    for _ in range(60):
        assert reader.read(np.clip(empty + dice.normal(0, 3, empty.shape), 0, 255).astype(np.uint8)) == ()
    picture = scene((symbol(MILK, BarcodeFormat.EAN13, 2), 300, 200))
    assert reader.read(picture) or reader.read(picture)


def test_a_hard_code_that_lies_still_is_looked_at_again_and_again() -> None:
    """The scene seems to rest; then the focus comes right, which changes no block of it by much."""
    reader, bars = Reader(), symbol(MILK, BarcodeFormat.EAN13, 2) // 10 + 100
    sharp = np.full((480, 640), int(bars.mean()), np.uint8)
    sharp[200 : 200 + bars.shape[0], 200 : 200 + bars.shape[1]] = bars
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    for _ in range(60):
        assert reader.read(np.asarray(blurred, np.uint8)) == ()
    assert any(reader.read(sharp) for _ in range(8))
