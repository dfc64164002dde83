"""The stages of the reader: what each one looks at, through which decoder, and what it costs."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from cart_firmware.perception.decoders import Likeliest, Zbar, Zxing
from cart_firmware.perception.look import STRIP_COLUMNS, Look
from cart_firmware.perception.reading import Picture, Reading
from cart_firmware.perception.strip import Strip, calmed, refocused, sharpened

_EAN_UPC = "EANUPC"
_LINEAR = "EANUPC,DataBar,Code128,ITF"
_ZBAR_LINEAR = "EAN13,EAN8,UPCA,UPCE,I25"


class Attempt(NamedTuple):
    """One piece of work that fits a frame's deadline or not."""

    pixels: int
    read: Callable[[], tuple[Reading, ...]]


class Whole(msgspec.Struct, frozen=True):
    """A stage that asks a decoder about the whole frame."""

    name: str
    decoder: Zxing | Zbar
    nanoseconds: float
    """Per pixel, before it was ever measured here."""
    every: int = 1
    """Look at every so-manieth row only; bars are higher than that."""
    goes_on: bool = False

    def attempts(self, look: Look) -> Iterator[Attempt]:
        luma = look.luma[:: self.every]
        yield Attempt(luma.size, lambda: tuple(self._in_frame(reading) for reading in self.decoder.read(luma)))

    def _in_frame(self, reading: Reading) -> Reading:
        if self.every == 1:
            return reading
        corners = tuple((x, y * self.every) for x, y in reading.corners)
        return msgspec.structs.replace(reading, corners=corners)


class OnStrips(msgspec.Struct, frozen=True):
    """A stage that asks a decoder about each bar-like region laid straight."""

    name: str
    decoder: Zxing | Zbar | Likeliest
    nanoseconds: float
    columns: int = STRIP_COLUMNS
    prepare: Callable[[Picture], Picture] = np.ascontiguousarray
    regions: Literal["barred", "faint"] = "barred"
    most: int | None = None
    """Look at no more regions than so many, the strongest."""
    goes_on: bool = False
    """Look at the other regions too when one was read."""

    def attempts(self, look: Look) -> Iterator[Attempt]:
        for region in getattr(look, self.regions)[: self.most]:
            strip = look.strip(region, self.columns)
            yield Attempt(strip.luma.size, partial(self._read, strip))

    def _read(self, strip: Strip) -> tuple[Reading, ...]:
        return in_frame(self.decoder.read(self.prepare(strip.luma)), strip)


def in_frame(readings: tuple[Reading, ...], strip: Strip) -> tuple[Reading, ...]:
    """Return a strip's readings with corners as the frame has them."""
    return tuple(
        msgspec.structs.replace(reading, corners=tuple(strip.in_frame(*corner) for corner in reading.corners))
        for reading in readings
    )


def _slightly_sharpened(luma: Picture) -> Picture:
    return sharpened(luma, 1.5, 2)


EAN_SPARSE = Whole("ean-sparse", Zxing(_EAN_UPC), 2.0, every=4)
EAN = Whole("ean", Zxing(_EAN_UPC), 2.0)
STRIPS = OnStrips("strip", Zxing(_LINEAR), 5.0, goes_on=True)
FINE = OnStrips("strip-fine", Zxing(_LINEAR), 10.0, columns=800, prepare=_slightly_sharpened)
LIKELIEST = OnStrips("strip-likeliest", Likeliest(), 700.0)
STRONGEST = OnStrips("strip-strongest", Likeliest(), 700.0, most=1)
RESCUES = (
    OnStrips("strip-sharp-zbar", Zbar(_ZBAR_LINEAR), 40.0, prepare=_slightly_sharpened),
    FINE,
    OnStrips("strip-zbar", Zbar(_ZBAR_LINEAR), 40.0),
    OnStrips("strip-calm", Zxing(_LINEAR), 10.0, columns=300, prepare=calmed),
    OnStrips("strip-refocused", Zxing(_LINEAR), 15.0, prepare=lambda luma: refocused(luma, 2)),
    OnStrips("strip-fine-refocused", Zxing(_LINEAR), 15.0, columns=800, prepare=lambda luma: refocused(luma, 4)),
    LIKELIEST,
)
FAINT = (
    OnStrips("faint", Zxing(_LINEAR), 5.0, regions="faint"),
    OnStrips("faint-sharp-zbar", Zbar(_ZBAR_LINEAR), 40.0, prepare=_slightly_sharpened, regions="faint"),
    OnStrips("faint-likeliest", Likeliest(), 700.0, regions="faint", most=1),
)
QR = Whole("qr", Zxing("QRCode", thorough=True), 2.0)
DATABAR = Whole("databar", Zxing("DataBar", thorough=True), 10.0)
CODE_128_ITF = Whole("code128-itf", Zxing("Code128,ITF", thorough=True), 10.0)
FAMILIES = (
    QR,
    DATABAR,
    CODE_128_ITF,
    Whole("qr-even", Zxing("QRCode", thorough=True, whole=True), 2.0),
    Whole("qr-inverted", Zxing("QRCode", thorough=True, inverted=True), 4.0),
)
RESORTS = (Whole("qr-zbar", Zbar("QRCODE"), 30.0), Whole("ean-zbar", Zbar("EAN13,EAN8,UPCA,UPCE"), 30.0))

Stage = Whole | OnStrips
