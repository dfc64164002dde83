"""Tables that the first frame would otherwise wait for: a sixth of a second of it."""

from functools import lru_cache

import numpy as np

from cart_firmware.perception.decoders import Likeliest
from cart_firmware.perception.ean_model import Symbology, encode
from cart_firmware.perception.evidence import with_evidence
from cart_firmware.perception.look import Look
from cart_firmware.perception.reading import Reading
from cart_firmware.perception.scanline import prepare

_ONE_OF_EACH: tuple[tuple[str, Symbology], ...] = (
    ("4006381333931", "EAN13"),
    ("96385074", "EAN8"),
    ("0042100005264", "UPCE"),
)
_MODULE = 3
_QUIET = 9
_ROWS = 60


@lru_cache(maxsize=1)
def warm() -> None:
    """Make the tables, and read one code of each kind, drawn; the second call does nothing."""
    prepare()
    for digits, symbology in _ONE_OF_EACH:
        layout, family, word = encode(digits, symbology)
        row = np.repeat(np.pad(layout.row(family, word), _QUIET), _MODULE)
        picture = np.tile((230 - 200 * row).astype(np.uint8), (_ROWS, 1))
        Likeliest().read(picture)
        right, foot = picture.shape[1] - _QUIET * _MODULE, _ROWS - 1
        corners = ((_QUIET * _MODULE, 0), (right, 0), (right, foot), (_QUIET * _MODULE, foot))
        with_evidence(Look(picture), Reading(digits.encode(), "]E4" if symbology == "EAN8" else "]E0", corners))
