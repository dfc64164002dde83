"""What is said on the street: one JSON object per line, tagged by `type`; times are seconds of CLOCK_MONOTONIC."""

import msgspec

from sim.physics.load import LoadAct

END = b"\n"
"""Ends every notice."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """A plug-in introduces itself: which part of which machine it stands in for."""

    part: str
    """'load', 'camera' or 'pins'."""
    of: str
    """The cart or the lane."""


class Output(msgspec.Struct, frozen=True, tag="output"):
    """A pin that the product drives has this level now."""

    pin: int
    level: bool


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Everything that happened on a cart's platform; replaces what was known."""

    acts: tuple[LoadAct, ...]
    plugged: bool = True
    """Whether the converter is connected."""


class MoreLoad(msgspec.Struct, frozen=True, tag="more-load"):
    """Something more happened on it."""

    acts: tuple[LoadAct, ...]


class View(msgspec.Struct, frozen=True, tag="view"):
    """What the camera sees from now on: a scene of sim.optics, which only the camera decodes."""

    scene: msgspec.Raw


class Drive(msgspec.Struct, frozen=True, tag="drive"):
    """The world holds an input pin at this level."""

    pin: int
    level: bool


FromProduct = Hello | Output
FromWorld = Load | MoreLoad | View | Drive

encode = msgspec.json.Encoder().encode
from_product = msgspec.json.Decoder(FromProduct).decode
from_world = msgspec.json.Decoder(FromWorld).decode
