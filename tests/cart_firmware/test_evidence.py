"""What stands behind a reading before it is believed."""

import cv2
import numpy as np
import pytest
import zxingcpp
from zxingcpp import BarcodeFormat

from cart_firmware.perception.evidence import with_evidence
from cart_firmware.perception.look import Look
from cart_firmware.perception.reading import Reading

MILK = "4006381333931"
ONE_DIGIT_OFF = "4006381333948"
CORNERS = ((161, 65), (446, 65), (446, 150), (161, 150))


def look(blur: float) -> Look:
    picture = np.full((240, 640), 150, np.uint8)
    label = np.array(zxingcpp.create_barcode(MILK, BarcodeFormat.EAN13).to_image(scale=3))
    picture[60 : 60 + label.shape[0], 131 : 131 + label.shape[1]] = label
    return Look(np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8))


@pytest.mark.parametrize("add_on", ["", "12"])
def test_the_picture_speaks_for_the_code_it_shows_and_against_its_neighbour(add_on: str) -> None:
    symbology = "]E3" if add_on else "]E0"
    right, wrong = (
        with_evidence(look(0.8), Reading(f"{digits}{add_on}".encode(), symbology, CORNERS))
        for digits in (MILK, ONE_DIGIT_OFF)
    )
    assert right.likelihood is not None
    assert wrong.likelihood is not None
    assert right.likelihood > 10
    assert wrong.likelihood <= 0
    assert right.sharpness == wrong.sharpness


def test_a_blurred_code_is_less_sharp() -> None:
    sharp, soft = (with_evidence(look(blur), Reading(MILK.encode(), "]E0", CORNERS)) for blur in (0.5, 2.5))
    assert sharp.sharpness is not None
    assert soft.sharpness is not None
    assert sharp.sharpness > 2 * soft.sharpness


def test_the_likelihood_a_decoder_gave_stands_and_other_families_have_none() -> None:
    assert with_evidence(look(1.0), Reading(MILK.encode(), "]E0", CORNERS, likelihood=17.5)).likelihood == 17.5
    assert with_evidence(look(1.0), Reading(b"MILK", "]C0", CORNERS)).likelihood is None


def test_corners_that_name_a_few_bars_are_looked_at_by_their_region() -> None:
    few = ((200, 100), (240, 100), (240, 110), (200, 110))
    found = with_evidence(look(0.8), Reading(MILK.encode(), "]E0", few))
    assert found.likelihood is not None
    assert found.likelihood > 10
