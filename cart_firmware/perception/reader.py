"""Barcodes in a picture: which code, read how, and where. Stages, cheapest first, ending at the first that reads.

    ean-sparse, ean     the frame (every fourth row, every row), EAN/UPC alone, without turned and reduced copies
    strip …             bar-like regions laid straight (locate, strip), all linear families; then with sharpening, at
                        other scales, with the other library, with the blur undone, by our own scanline decoder
    faint …             the same for regions of a coarser and more tolerant search
    databar, qr …       the whole frame for one family

A frame has a deadline. What does not fit any more, by its pixels and by what they took lately, is left out and counted.

A patient reader tries every stage on every frame: for photographs. A quick one, for the stream of a camera, takes
turns: one frame is read as a whole, the next by its regions. What one frame shows too blurred is read from several
together, a scene that stays the same and shows nothing is looked at less often, and what was read is looked at again
for evidence (see evidence).
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from cart_firmware.perception.budget import Budget, Cost, Seconds
from cart_firmware.perception.evidence import contradicted, with_evidence
from cart_firmware.perception.look import Look
from cart_firmware.perception.reading import Picture, Reading
from cart_firmware.perception.scene import Scene
from cart_firmware.perception.stages import (
    CODE_128_ITF,
    DATABAR,
    EAN,
    EAN_SPARSE,
    FAINT,
    FAMILIES,
    FINE,
    QR,
    RESCUES,
    RESORTS,
    STRIPS,
    STRONGEST,
    Stage,
)
from cart_firmware.perception.track import Track
from cart_firmware.perception.warm import warm

DEADLINE_S: Seconds = 0.05
"""A frame of a camera with 20 per second."""
_TRUSTED = frozenset({EAN_SPARSE.name, EAN.name, *(stage.name for stage in FAMILIES)})
"""What finds a code by itself in a picture as it is, on several rows; the others look harder, and err more often."""
_CHEAP = len(RESCUES) - 1
"""All but the last, the scanline decoder."""
_ROUND = 4
_IDLE = 2
"""Rounds without bars: a fifth of a second each at 20 frames per second."""
_LINEAR = (DATABAR, CODE_128_ITF)


class Reader:
    """Reads a stream of frames; what it does with a frame depends on the frames before, and on the clock.

    `now` gives seconds on any clock that runs; by default time stands still, and no deadline is ever met.
    """

    def __init__(
        self, *, patient: bool = False, deadline_s: Seconds = DEADLINE_S, now: Callable[[], Seconds] = lambda: 0.0
    ) -> None:
        warm()
        self._patient, self._deadline_s, self._now = patient, deadline_s, now
        self._costs = dict[str, Cost]()
        self._scene, self._track = Scene(), Track()
        self._without_bars = 0
        """Rounds in which no bar-like region was found."""
        self._frames = 0
        self._lately: Stage | Track | None = None
        self.left_out: dict[str, int] = {}
        """How often a stage was left out for want of time."""

    def read(self, luma: Picture) -> tuple[Reading, ...]:
        """Return what the next frame shows: one symbol or several of one family, or nothing.

        Raises:
            ValueError: the frame is no picture of height x width bytes.
        """
        if luma.ndim != 2 or luma.dtype != np.uint8:
            raise ValueError(f"a frame of {luma.dtype} {luma.shape}; expected uint8 of (height, width): see the camera")
        if not self._patient and self._scene.rests(luma):
            return ()
        look = Look(luma)
        readings = self._examined(look, Budget(self._deadline_s, self._now))
        self._frames += 1
        if not readings:
            return ()
        self._scene.alive()
        self._track.forget()
        return readings if self._patient else tuple(with_evidence(look, reading) for reading in readings)

    def _examined(self, look: Look, budget: Budget) -> tuple[Reading, ...]:
        tried, doubted = set[str](), dict[bytes, str]()
        for stage in self._stages(look):
            if stage.name in tried:
                continue
            tried.add(stage.name)
            if readings := self._tried(stage, look, budget, doubted):
                self._lately = stage
                return readings
        self._lately = None
        return ()

    def _tried(
        self, stage: Stage | Track, look: Look, budget: Budget, doubted: dict[bytes, str]
    ) -> tuple[Reading, ...]:
        cost = self._costs.get(stage.name) or self._costs.setdefault(stage.name, Cost(stage.nanoseconds * 1e-3))
        found = list[Reading]()
        for attempt in stage.attempts(look):
            if not budget.allows(cost, attempt.pixels):
                self.left_out[stage.name] = self.left_out.get(stage.name, 0) + 1
                break
            began = self._now()
            readings = attempt.read()
            if stage.name not in _TRUSTED:
                readings = _without_doubt(look, readings, stage.name, doubted)
            cost.learn(attempt.pixels, self._now() - began)
            found += (msgspec.structs.replace(reading, stage=stage.name) for reading in readings)
            if readings and not stage.goes_on:
                break
        return tuple(found)

    def _stages(self, look: Look) -> Iterator[Stage | Track]:
        if self._lately is not None:
            yield self._lately
        if self._patient:
            yield from (EAN_SPARSE, EAN, STRIPS, *FAMILIES, *RESCUES, *FAINT, *RESORTS)
        else:
            yield from self._in_turn(look)

    def _in_turn(self, look: Look) -> Iterator[Stage | Track]:
        """A frame among many: as a whole, by its clear regions, for other families, by its faint regions.

        Where no bars were seen for some rounds, every other turn of the last two is one more look at the whole.
        """
        turn, place = divmod(self._frames, _ROUND)
        idle, odd = self._without_bars >= _IDLE, turn % 2
        if place == 0:
            yield EAN_SPARSE if idle else EAN
        elif place == 1:
            self._without_bars = 0 if look.barred else self._without_bars + 1
            yield from (STRIPS, FINE, RESCUES[turn % _CHEAP], STRONGEST, self._track)
        elif place == 2:
            yield EAN_SPARSE
            if not idle:
                yield (QR, *_LINEAR)[turn % 3]
            elif odd:
                yield QR
        elif idle and odd:
            yield EAN_SPARSE
        else:
            yield from FAINT[: 1 + turn % len(FAINT)]


def _without_doubt(
    look: Look, readings: tuple[Reading, ...], stage: str, doubted: dict[bytes, str]
) -> tuple[Reading, ...]:
    """Return the readings without those in whose place the picture shows other digits, unless two stages say the same.

    `doubted` has the stage that said each of those first, in this frame.
    """
    compared = [with_evidence(look, reading) for reading in readings]
    return tuple(
        reading
        for reading in compared
        if not contradicted(reading) or doubted.setdefault(reading.payload, stage) != stage
    )
