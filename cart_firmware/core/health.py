"""What a cart lacks, from when its parts were last heard: silence is a fault, and so is too much nonsense."""

from collections import Counter, deque

import msgspec

from cart_protocol.basket import Fault

CELL_SILENT_US = 2_000_000
CAMERA_SILENT_US = 5_000_000
CELL_STARTS_US = 3_000_000
CAMERA_STARTS_US = 15_000_000
"""A camera's program takes seconds on a Raspberry Pi; until then it is not missed."""
SATURATED_US = 1_000_000
SHOWN_US = 1_500_000
"""How long a fault that was seen is shown: long enough to be read, and over within two seconds of a new plug."""
_MANY_FAILURES = 10
_FAILURES_WITHIN_US = 10_000_000
_MOST = 6
"""Of ten failures, how many make one kind the name of all."""
_MOMENTARY = frozenset({Fault.LOAD_CELL_SLOW_CLOCK, Fault.LOAD_CELL_LOST_FRAMES})
"""A reading that is lost now and then harms nobody; ten in ten seconds are a fault."""
_CELL_FAULTS = (
    Fault.LOAD_CELL_STUCK,
    Fault.LOAD_CELL_WRONG_GAIN,
    Fault.LOAD_CELL_WRONG_RATE,
    Fault.LOAD_CELLS_DISAGREE,
    Fault.LOAD_CELL_SLOW_CLOCK,
    Fault.LOAD_CELL_LOST_FRAMES,
    Fault.LOAD_CELL_UNRELIABLE,
)


class Health(msgspec.Struct):
    """Told what the sensors do. All times are monotonic microseconds; `started_us` begins the time they may take."""

    started_us: int
    cell_us: int | None = None
    frame_us: int | None = None
    saturated_since_us: int | None = None
    drifting: bool = False
    """Whether the weigher suspects the cell's zero."""
    outbox_full: bool = False
    price_book: bool = False
    failures: deque[tuple[int, Fault]] = msgspec.field(
        default_factory=lambda: deque[tuple[int, Fault]](maxlen=_MANY_FAILURES)
    )
    """When the last readings failed, and how."""
    shown: dict[Fault, int] = {}
    """When a fault of the load cell was last seen."""

    def weighed(self, at_us: int) -> None:
        self.cell_us, self.saturated_since_us = at_us, None

    def reading_failed(self, at_us: int, fault: Fault) -> None:
        if fault not in _MOMENTARY:
            self.shown[fault] = at_us
            return
        self.failures.append((at_us, fault))
        if len(self.failures) == _MANY_FAILURES and at_us - self.failures[0][0] <= _FAILURES_WITHIN_US:
            self.shown[self._kind_of_many()] = at_us

    def saturated(self, at_us: int) -> None:
        """A reading at the converter's end is a reading: the cell is not silent."""
        self.cell_us = at_us
        self.saturated_since_us = at_us if self.saturated_since_us is None else self.saturated_since_us

    def framed(self, at_us: int) -> None:
        self.frame_us = at_us

    def faults(self, now_us: int) -> tuple[Fault, ...]:
        """Return what is wrong now, always in the same order."""
        judged = (
            (Fault.LOAD_CELL_SILENT, self._cell_silent(now_us)),
            (Fault.LOAD_CELL_SATURATED, self._is_saturated(now_us)),
            *((fault, self._is_shown(fault, now_us)) for fault in _CELL_FAULTS),
            (Fault.LOAD_CELL_DRIFTS, self.drifting),
            (Fault.CAMERA_SILENT, self._silent(self.frame_us, now_us, CAMERA_STARTS_US, CAMERA_SILENT_US)),
            (Fault.OUTBOX_FULL, self.outbox_full),
            (Fault.NO_PRICE_BOOK, not self.price_book),
        )
        return tuple(fault for fault, present in judged if present)

    def _silent(self, last_us: int | None, now_us: int, starts_us: int, silent_us: int) -> bool:
        if last_us is None:
            return now_us - self.started_us > starts_us
        return now_us - last_us > silent_us

    def _is_saturated(self, now_us: int) -> bool:
        return self.saturated_since_us is not None and now_us - self.saturated_since_us >= SATURATED_US

    def _is_shown(self, fault: Fault, now_us: int) -> bool:
        return fault in self.shown and now_us - self.shown[fault] < SHOWN_US

    def _cell_silent(self, now_us: int) -> bool:
        started = self.cell_us is not None
        return (started and self._is_shown(Fault.LOAD_CELL_SILENT, now_us)) or self._silent(
            self.cell_us, now_us, CELL_STARTS_US, CELL_SILENT_US
        )

    def _kind_of_many(self) -> Fault:
        kind, times = Counter(fault for _, fault in self.failures).most_common(1)[0]
        return kind if times >= _MOST else Fault.LOAD_CELL_UNRELIABLE


def progressing(last_us: int | None, now_us: int, patience_us: int) -> bool:
    """Return whether a loop turned over lately; one that never did is a fault to show, which no restart would cure."""
    return last_us is None or now_us - last_us <= patience_us
