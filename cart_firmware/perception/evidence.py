"""How good the evidence for a reading is: whether the picture agrees with the code, and how sharp it is there.

Kept apart from reading: an answer is looked at again only where somebody is about to believe it.
"""

import msgspec

from cart_firmware.perception.agreement import agreement
from cart_firmware.perception.picture_quality import sharpness
from cart_firmware.perception.reading import Picture, Reading

_EAN_UPC = frozenset({"]E0", "]E3", "]E4"})
_EAN_13 = 13
_MOST_AGAINST = 50.0
"""Nats; more says no more."""


def with_evidence(luma: Picture, reading: Reading) -> Reading:
    """Return the reading with its sharpness and, for EAN and UPC, its likelihood.

    The likelihood is positive where the picture shows that code better than any other (nats, see agreement), zero or
    less where it does not: then the decoder erred, or glare and creases hide some digits. It stays None where the code
    is too small in the picture to tell, and for families whose own error detection is stronger than any look.
    """
    sharp = sharpness(luma, reading.corners)
    if reading.symbology not in _EAN_UPC or reading.likelihood is not None:
        return msgspec.structs.replace(reading, sharpness=sharp)
    found = agreement(luma, reading.corners, reading.payload[:_EAN_13].decode())
    nats = None
    if found is not None:
        nats = found.nats if found.agrees else min(max(found.nats, -_MOST_AGAINST), 0.0)
    return msgspec.structs.replace(reading, sharpness=sharp, likelihood=nats)
