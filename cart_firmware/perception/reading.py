"""What a reader says of one symbol in a picture."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Brightness, height x width, uint8."""
Corner = tuple[int, int]
"""(x, y) in pixels of the frame."""
Corners = tuple[Corner, Corner, Corner, Corner]
"""Top left, top right, bottom right, bottom left, as the symbol itself stands."""


class Reading(msgspec.Struct, frozen=True):
    """One symbol: its bytes, how it was coded, where it stands, and how good the evidence is.

    `symbology` is the AIM identifier (ISO/IEC 15424), such as ']E0'; feed `symbology` and `payload` to gs1 together.
    UPC-A and UPC-E arrive in their 13-digit form under ']E0'; FNC1 inside GS1 data is the byte 0x1D; the two or five
    digits of an add-on stand behind the thirteen, under ']E3'.
    """

    payload: bytes
    symbology: str
    corners: Corners
    stage: str = ""
    """The stage of the reader that found it (see reader)."""
    likelihood: float | None = None
    """How much better the picture fits this code than any other, in nats; None where nobody compared them."""
    sharpness: float | None = None
    """Of the symbol in its frame, 0 to 1 (see picture_quality); None where it was not measured."""
