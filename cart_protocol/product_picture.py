"""Pictures of products: what both sides hold one to be. Pure.

A picture is named by the SHA-256 of its bytes. The price book, which the store signs, names the picture of each
product, so whoever holds both knows that they belong together, wherever the bytes came from.
"""

import hashlib

MOST_BYTES = 32_768
"""Of one picture: 256 x 256 pixels as WebP take 4,000 to 15,000."""
MOST_AT_ONCE = 8
"""Pictures that a cart asks for in one message."""
PICTURE_ID = 64
"""Characters of a picture's name."""


def name_of(content: bytes) -> str:
    """Return the name of a picture: its SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def media_type(content: bytes) -> str | None:
    """Return what kind of picture this is by its first bytes, or None where it is none that browsers show.

    Sources: PNG (ISO/IEC 15948, 5.2), JFIF (ISO/IEC 10918-5), WebP (RFC 9649, section 2.4).
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None
