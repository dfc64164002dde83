"""Barcodes in a picture: which code, read how, and where. Stages, cheapest first, ending at the first that reads.

    ean              the whole frame, EAN/UPC alone, without zxing's turned and reduced copies
    strip …          bar-like regions laid straight (locate, strip), all linear families, then with sharpening, at other
                     scales, with the other library, with the blur undone
    databar, code128-itf, qr …     the whole frame for one family

A frame has a deadline. A stage whose cost (by its pixels, and by what it took lately) does not fit any more is left out
and counted.

A patient reader tries every stage on every frame: for photographs. A quick one, for the stream of a camera, takes
turns: a whole-frame family on one frame, the strips and one of the rescues on the next.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from cart_firmware.perception.budget import Budget, Cost, Seconds
from cart_firmware.perception.decoders import Zbar, Zxing
from cart_firmware.perception.look import STRIP_COLUMNS, Look
from cart_firmware.perception.reading import Picture, Reading
from cart_firmware.perception.strip import Strip, calmed, refocused, sharpened

DEADLINE_S: Seconds = 0.05
"""A frame of a camera with 20 per second."""

_EAN_UPC = "EANUPC"
_LINEAR = "EANUPC,DataBar,Code128,ITF"
_ZBAR_LINEAR = "EAN13,EAN8,UPCA,UPCE,I25"


class Whole(msgspec.Struct, frozen=True):
    """A stage that asks a decoder about the whole frame."""

    name: str
    decoder: Zxing | Zbar
    nanoseconds: float
    """Per pixel, before it was ever measured here."""

    def pixels(self, look: Look) -> int:
        return look.luma.size

    def read(self, look: Look) -> tuple[Reading, ...]:
        return self.decoder.read(look.luma)


class OnStrips(msgspec.Struct, frozen=True):
    """A stage that asks a decoder about each bar-like region laid straight, until one is read."""

    name: str
    decoder: Zxing | Zbar
    nanoseconds: float
    columns: int = STRIP_COLUMNS
    prepare: Callable[[Picture], Picture] = np.ascontiguousarray

    def pixels(self, look: Look) -> int:
        return sum(look.strip(region, self.columns).luma.size for region in look.barred)

    def read(self, look: Look) -> tuple[Reading, ...]:
        for region in look.barred:
            strip = look.strip(region, self.columns)
            if readings := self.decoder.read(self.prepare(strip.luma)):
                return tuple(_in_frame(reading, strip) for reading in readings)
        return ()


Stage = Whole | OnStrips

EAN = Whole("ean", Zxing(_EAN_UPC), 2.0)
STRIPS = (OnStrips("strip", Zxing(_LINEAR), 5.0),)
RESCUES = (
    OnStrips("strip-sharp-zbar", Zbar(_ZBAR_LINEAR), 40.0, prepare=lambda luma: sharpened(luma, 1.5, 2)),
    OnStrips("strip-fine-sharp", Zxing(_LINEAR), 10.0, columns=800, prepare=lambda luma: sharpened(luma, 1.5, 2)),
    OnStrips("strip-zbar", Zbar(_ZBAR_LINEAR), 40.0),
    OnStrips("strip-calm", Zxing(_LINEAR), 10.0, columns=300, prepare=calmed),
    OnStrips("strip-refocused", Zxing(_LINEAR), 15.0, prepare=lambda luma: refocused(luma, 2)),
)
FAMILIES = (
    Whole("qr", Zxing("QRCode", thorough=True), 2.0),
    Whole("databar", Zxing("DataBar", thorough=True), 10.0),
    Whole("code128-itf", Zxing("Code128,ITF", thorough=True), 10.0),
    Whole("qr-even", Zxing("QRCode", thorough=True, whole=True), 2.0),
    Whole("qr-inverted", Zxing("QRCode", thorough=True, inverted=True), 4.0),
)
_IN_TURN = 3
"""Of those, the ones that a stream takes in turn; the last two are rare."""
RESORTS = (Whole("qr-zbar", Zbar("QRCODE"), 30.0),)


class Reader:
    """Reads a stream of frames; what it does with a frame depends on the frames before, and on the clock.

    `now` gives seconds on any clock that runs; by default time stands still, and no deadline is ever met.
    """

    def __init__(
        self, *, patient: bool = False, deadline_s: Seconds = DEADLINE_S, now: Callable[[], Seconds] = lambda: 0.0
    ) -> None:
        self._patient, self._deadline_s, self._now = patient, deadline_s, now
        self._costs = {stage.name: Cost(stage.nanoseconds * 1e-3) for stage in _ALL}
        self._frames = 0
        self._lately: Stage | None = None
        self.left_out: dict[str, int] = {}
        """How often a stage was left out for want of time."""

    def read(self, luma: Picture) -> tuple[Reading, ...]:
        """Return what the next frame shows: one symbol or several of one family, or nothing."""
        budget = Budget(self._deadline_s, self._now)
        look = Look(luma)
        self._frames += 1
        tried = set[str]()
        for stage in self._stages(look):
            if stage.name in tried:
                continue
            tried.add(stage.name)
            if readings := self._tried(stage, look, budget):
                self._lately = stage
                return readings
        self._lately = None
        return ()

    def _tried(self, stage: Stage, look: Look, budget: Budget) -> tuple[Reading, ...]:
        pixels, cost = stage.pixels(look), self._costs[stage.name]
        if not budget.allows(cost, pixels):
            self.left_out[stage.name] = self.left_out.get(stage.name, 0) + 1
            return ()
        began = self._now()
        readings = stage.read(look)
        cost.learn(pixels, self._now() - began)
        return tuple(msgspec.structs.replace(reading, stage=stage.name) for reading in readings)

    def _stages(self, look: Look) -> Iterator[Stage]:
        if self._lately is not None:
            yield self._lately
        yield EAN
        if not self._patient:
            yield from self._in_turn(look)
            return
        if look.barred:
            yield from STRIPS
        yield from FAMILIES
        if look.barred:
            yield from RESCUES
        yield from RESORTS

    def _in_turn(self, look: Look) -> Iterator[Stage]:
        """A frame among many: one family, or the strips and one rescue, each in its turn."""
        turn, odd = divmod(self._frames, 2)
        if odd:
            yield FAMILIES[turn % _IN_TURN]
        elif look.barred:
            yield from STRIPS
            yield RESCUES[turn % len(RESCUES)]


_ALL: tuple[Stage, ...] = (EAN, *STRIPS, *FAMILIES, *RESCUES, *RESORTS)


def _in_frame(reading: Reading, strip: Strip) -> Reading:
    corners = tuple(strip.in_frame(*corner) for corner in reading.corners)
    return msgspec.structs.replace(reading, corners=corners)
