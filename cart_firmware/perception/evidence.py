"""How good the evidence for a reading is: whether the picture agrees with the code, and how sharp it is there.

Kept apart from reading: an answer is looked at again where somebody is about to believe it.
"""

import math

import msgspec

from cart_firmware.perception.agreement import Agreement, agreement
from cart_firmware.perception.look import Look
from cart_firmware.perception.picture_quality import sharpness
from cart_firmware.perception.reading import Reading

_EAN_UPC = frozenset({"]E0", "]E3", "]E4"})
_EAN_13 = 13
_MOST_AGAINST = 50.0
"""Nats; more says no more. Also where nothing of the code was found: it may be that the corners lie elsewhere."""
_CONTRADICTED = -5.0
"""Nats below which other digits are seen. The wrong answers of the reader's rescues to photographs had -14 to -38; of
the right ones 1 in 90 less than this."""


def with_evidence(look: Look, reading: Reading) -> Reading:
    """Return the reading with its sharpness and, for EAN and UPC, its likelihood.

    The likelihood is positive where the picture shows that code better than any other (nats, see agreement), zero or
    less where it does not: then the decoder erred, or glare and creases hide some digits. It stays None where the code
    is too small in the picture to tell, and for families whose own error detection is stronger than any look. A reading
    that has its evidence is returned as it is.
    """
    if reading.sharpness is not None:
        return reading
    sharp = sharpness(look.luma, reading.corners)
    if reading.symbology not in _EAN_UPC or reading.likelihood is not None:
        return msgspec.structs.replace(reading, sharpness=sharp)
    digits = reading.payload[:_EAN_13].decode()
    found = agreement(look.luma, reading.corners, digits)
    if found is None or not found.agrees:
        found = _agreement_of_region(look, reading, digits) or found
    if found is None:
        return msgspec.structs.replace(reading, sharpness=sharp)
    nats = found.nats if found.agrees else min(max(found.nats, -_MOST_AGAINST), 0.0)
    return msgspec.structs.replace(reading, sharpness=sharp, likelihood=nats)


def contradicted(reading: Reading) -> bool:
    """Return whether the picture was compared, shows a code in that place, and shows other digits."""
    return reading.likelihood is not None and -_MOST_AGAINST < reading.likelihood < _CONTRADICTED


def _agreement_of_region(look: Look, reading: Reading, digits: str) -> Agreement | None:
    """Return the agreement of the bar-like region around a reading, if there: libzbar's corners name but a few bars."""
    x, y = (sum(places) / len(reading.corners) for places in zip(*reading.corners, strict=True))
    for region in look.barred:
        if math.hypot(region.x - x, region.y - y) < region.across / 2:
            found = agreement(look.luma, region.outline(), digits)
            if found is not None and found.agrees:
                return found
    return None
