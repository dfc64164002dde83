"""What is measured of a picture of a code is what was put into it: size, smear, noise, light; nothing crashes it."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cart_firmware.perception.decoders import Zxing
from cart_firmware.perception.picture_quality import Quality, noise, quality, sharpness, stripes
from cart_firmware.perception.reader import FAMILIES
from cart_firmware.perception.reading import Reading
from sim.optics.label import Label, Symbology
from sim.optics.scene import EMPTY, Scene, render

TEA = Label("500011254637", Symbology.EAN13, name="TEA")
CODES = {
    "EAN-13": TEA,
    "UPC-A that is no UPC-E": Label("03600029145", Symbology.UPCA),
    "EAN-8": Label("1234567", Symbology.EAN8),
    "UPC-E": Label("01234565", Symbology.UPCE),
    "Code 128, letters": Label("ABC123", Symbology.CODE128),
    "Code 128, digits in pairs": Label("123456789012", Symbology.CODE128),
    "DataBar": Label("(01)09506000134352", Symbology.DATABAR),
    "DataBar Expanded": Label("(01)90614141000015(3103)001750", Symbology.DATABAR_EXPANDED),
    "QR": Label("https://x.example/01/09506000134352", Symbology.QR),
}


def picture(label: Label | None = TEA, seed: int = 1, **scene: float) -> NDArray[np.uint8]:
    return render(Scene(label=label, **scene) if label else EMPTY, 640, 480, np.random.default_rng(seed))


def read(luma: NDArray[np.uint8]) -> Reading:
    for each in (Zxing("EANUPC", thorough=True), *(family.decoder for family in FAMILIES)):
        if readings := each.read(luma):
            return readings[0]
    raise AssertionError("not read")


def measured(luma: NDArray[np.uint8]) -> Quality:
    found = read(luma)
    judged = quality(luma, found.corners, found.symbology, found.payload)
    assert judged is not None
    return judged


@pytest.mark.parametrize("label", CODES.values(), ids=CODES.keys())
@pytest.mark.parametrize("module_px", [2.0, 3.3])
def test_the_width_of_a_module_is_found_for_every_kind_of_code(label: Label, module_px: float) -> None:
    assert measured(picture(label, module_px=module_px)).module_px == pytest.approx(module_px, rel=0.03)


@pytest.mark.parametrize("rotation_deg", [-20, -10, 10, 20, 90, 180])
def test_a_module_is_as_wide_however_the_code_is_turned(rotation_deg: float) -> None:
    assert measured(picture(module_px=3, rotation_deg=rotation_deg)).module_px == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("sigma_px", [1.0, 1.3, 1.8])
@pytest.mark.parametrize("noise_levels", [0, 6])
def test_the_smear_of_the_bars_is_that_which_was_put_in(sigma_px: float, noise_levels: float) -> None:
    sharp = picture(module_px=4, noise=0)
    corners = read(sharp).corners
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma_px).astype(np.float32)
    blurred += np.random.default_rng(2).normal(0, noise_levels, sharp.shape).astype(np.float32)
    found = quality(np.clip(blurred, 0, 255).astype(np.uint8), corners, "]E0", b"5000112546378")
    assert found is not None
    assert found.blur_px == pytest.approx(sigma_px, rel=0.25)
    assert found.along_px == pytest.approx(sigma_px, rel=0.35)


def test_what_moves_across_its_bars_stays_sharp_along_them() -> None:
    found = measured(picture(module_px=3.5, motion_px=4))
    assert found.along_px is not None
    assert found.along_px < found.blur_px / 2


def test_what_moves_along_its_bars_stays_sharp_across_them() -> None:
    found = measured(picture(module_px=3.5, motion_px=10, motion_deg=90))
    assert found.along_px is not None
    assert found.along_px > 1.2
    assert found.blur_px < 0.5


@pytest.mark.parametrize("levels", [0, 3, 8, 14])
def test_noise_is_that_of_the_pixels_and_not_of_the_bars(levels: float) -> None:
    luma = picture(module_px=3, noise=levels)
    assert noise(luma, read(luma).corners) == pytest.approx(levels, rel=0.15, abs=0.5)


def test_half_the_light_is_half_the_contrast() -> None:
    full, half = measured(picture(module_px=3)), measured(picture(module_px=3, light=0.5))
    assert half.contrast == pytest.approx(full.contrast / 2, rel=0.05)
    assert full.burnt == half.burnt == 0


def test_the_larger_a_reflection_the_more_of_the_code_is_burnt() -> None:
    found = read(picture(module_px=3))
    mirrored = [
        quality(picture(module_px=3, glare=radius), found.corners, found.symbology, found.payload)
        for radius in (0.1, 0.2, 0.3)
    ]
    burnt = [each.burnt for each in mirrored if each is not None]
    assert 0 < burnt[0] < burnt[1] < burnt[2] < 0.85


def test_sharpness_falls_with_every_bit_of_blur_and_not_with_noise_or_light() -> None:
    sharp = picture(module_px=3, noise=0)
    corners = read(sharp).corners
    blurred = [sharpness(cv2.GaussianBlur(sharp, (0, 0), sigma), corners) for sigma in (0.6, 0.9, 1.3, 2.0)]
    assert 1 >= sharpness(sharp, corners) > blurred[0] > blurred[1] > blurred[2] > blurred[3] > 0
    assert sharpness(picture(module_px=3, noise=8), corners) == pytest.approx(sharpness(sharp, corners), rel=0.15)
    assert sharpness(picture(module_px=3, noise=0, light=0.3), corners) == pytest.approx(
        sharpness(sharp, corners), rel=0.1
    )


@pytest.mark.parametrize("rotation_deg", [0, 40, 90])
@pytest.mark.parametrize("module_px", [0.9, 1.4, 3.0])
def test_bars_are_found_and_measured_where_nobody_can_read_them(rotation_deg: float, module_px: float) -> None:
    luma = picture(module_px=module_px, rotation_deg=rotation_deg, defocus_px=module_px * 0.9)
    corners = stripes(luma)
    assert corners is not None
    found = quality(luma, corners, "", b"")
    assert found is not None
    assert found.module_px == pytest.approx(module_px, rel=0.3), "as if it were an EAN-13"


@pytest.mark.parametrize("seed", range(3))
def test_a_basket_without_a_pack_has_no_bars(seed: int) -> None:
    assert stripes(picture(None, seed)) is None


coordinate = st.floats(-50, 150, allow_nan=False)
corner = st.tuples(coordinate, coordinate)


@given(
    luma=arrays(np.uint8, st.tuples(st.integers(1, 80), st.integers(1, 80))),
    corners=st.tuples(corner, corner, corner, corner),
    symbology=st.sampled_from(["]E0", "]E4", "]C1", "]I1", "]e0", "]Q1", "]d1", ""]),
)
def test_whatever_the_picture_and_the_corners_nothing_crashes(
    luma: NDArray[np.uint8], corners: tuple[tuple[float, float], ...], symbology: str
) -> None:
    assert 0 <= sharpness(luma, corners) <= 1
    found = quality(luma, corners, symbology, b"0012345000065")
    assert found is None or (found.blur_px > 0 and 0 <= found.burnt <= 1 and found.noise >= 0)
    stripes(luma)
