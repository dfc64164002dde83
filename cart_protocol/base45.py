"""Base45 (RFC 9285): bytes as text that a QR code holds in its alphanumeric mode, at 5.5 bits a character."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}


class Base45Error(ValueError):
    """Text that no bytes encode to; the message names the place."""


def encode(octets: bytes) -> str:
    """Return three characters for each two octets, and two for an odd last one."""
    text: list[str] = []
    for start in range(0, len(octets), 2):
        pair = octets[start : start + 2]
        value = int.from_bytes(pair)
        for _ in range(len(pair) + 1):
            value, digit = divmod(value, 45)
            text.append(_ALPHABET[digit])
    return "".join(text)


def decode(text: str) -> bytes:
    """Return the octets in `text`.

    Raises:
        Base45Error: a character outside the alphabet, a length that no octets have, or a group above its octets' range.
    """
    octets = bytearray()
    for start in range(0, len(text), 3):
        group = text[start : start + 3]
        octets += _octets(group, start)
    return bytes(octets)


def _octets(group: str, start: int) -> bytes:
    if len(group) == 1:
        raise Base45Error(f"one character {group!r} left over at {start}: groups have three, the last two or three")
    value = 0
    for place, character in enumerate(group):
        if character not in _VALUES:
            raise Base45Error(f"character {character!r} at {start + place} is not in the base 45 alphabet")
        value += _VALUES[character] * 45**place
    count = len(group) - 1
    if value >= 256**count:
        raise Base45Error(f"group {group!r} at {start} means {value}, more than {count} octet(s) hold")
    return value.to_bytes(count)
