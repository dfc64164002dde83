"""Our reader as a function of a picture, for others' benches that call `engine(picture) -> [(format, text)]`."""

import time

import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reader import Reader
from measure.barcode import code_of_reading

_FORMATS = {"gtin": "EAN13", "ai": "DataBarExpanded", "itf": "ITF", "code128": "Code128", "qr": "QRCode"}


def read(luma: NDArray[np.uint8]) -> list[tuple[str, str]]:
    """Return what a reader that has seen nothing before reads in one picture, within its deadline."""
    codes = map(code_of_reading, Reader(patient=True, now=time.thread_time).read(luma))
    return [(_FORMATS.get(kind, kind), text) for kind, text in codes]
