"""Messages to bytes and back, with the two rules for strangers.

Version: a message with a higher `v` than ours is refused by name; nothing of it is used.
Unknown field: the message is used and the field is reported, never silently dropped: a newer peer may say more.
"""

import re
from types import UnionType
from typing import Any

import msgspec

from cart_protocol.messages import PROTOCOL_VERSION, Message

Tree = Any
"""What JSON holds before it has a type."""

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`(?: - at `(?P<path>[^`]*)`)?")
_STEP = re.compile(r"\.(?P<name>[A-Za-z0-9_-]+)|\[(?P<index>\d+|\.\.\.)\]")
_MAX_UNKNOWN_FIELDS = 64


class CodecError(ValueError):
    """Bytes that are not a message we can use. Sub-classes say why."""


class MalformedError(CodecError):
    """Not JSON, not one of our types, or a field is missing or of the wrong type."""


class UnsupportedVersionError(CodecError):
    """The sender speaks a newer protocol than we do."""


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A message and the paths of fields in it that we do not know (almost always none)."""

    message: Message
    unknown_fields: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Message]" = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def decode(payload: bytes) -> Decoded:
    """Return the message in `payload`.

    Raises:
        UnsupportedVersionError: `v` is above PROTOCOL_VERSION.
        MalformedError: anything else that is not one of our messages; the text names the place.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_slowly(payload, error)
    _check_version(message.v)
    return Decoded(message)


def _decode_slowly(payload: bytes, first: Exception) -> Decoded:
    """Tell a newer version and unknown fields from nonsense."""
    try:
        tree = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"not JSON: {error}") from error
    if isinstance(tree, dict) and isinstance(tree.get("v"), int):
        _check_version(tree["v"])
    message, unknown = convert_tolerantly(tree, Message, first)
    return Decoded(message, unknown)


def convert_tolerantly(
    tree: Tree, known: type | UnionType, first: Exception | None = None
) -> tuple[Tree, tuple[str, ...]]:
    """Return `tree` as `known` without its unknown fields, and the paths of those. `tree` is changed.

    Raises:
        MalformedError: something else is wrong with it.
    """
    unknown: list[str] = []
    while len(unknown) <= _MAX_UNKNOWN_FIELDS:
        try:
            # JSON writes the numbers that are keys as strings.
            return msgspec.convert(tree, known, str_keys=True), tuple(unknown)
        except msgspec.ValidationError as error:
            found = _UNKNOWN_FIELD.match(str(error))
            if not found:
                raise MalformedError(str(error)) from first
            path, field = found["path"] or "$", found["field"]
            if not _drop(tree, path, field):
                raise MalformedError(str(error)) from first
            unknown.append(f"{path}.{field}")
    raise MalformedError(f"more than {_MAX_UNKNOWN_FIELDS} unknown fields")


def _check_version(version: int) -> None:
    if version > PROTOCOL_VERSION:
        raise UnsupportedVersionError(
            f"message of protocol version {version}; this program speaks {PROTOCOL_VERSION}: update it"
        )


def _drop(tree: Tree, path: str, field: str) -> bool:
    """Delete `field` from every object that `path` (msgspec's notation) can mean. Return whether any was there."""
    places = [tree]
    for step in _STEP.finditer(path):
        places = [child for place in places for child in _children(place, step["name"], step["index"])]
    hit = [place for place in places if isinstance(place, dict) and field in place]
    for place in hit:
        del place[field]
    return bool(hit)


def _children(place: Tree, name: str | None, index: str | None) -> list[Tree]:
    if name is not None:
        return [place[name]] if isinstance(place, dict) and name in place else []
    if index == "...":  # msgspec writes this for "some value of this mapping"
        return list(place.values()) if isinstance(place, dict) else list(place) if isinstance(place, list) else []
    position = int(index or 0)
    return [place[position]] if isinstance(place, list) and position < len(place) else []
