"""Calibrating a scale with a person: what to put where, and waiting until it lies still."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from cart_firmware.core.calibration import Limits, RefusedError, Rest, Weighed, rest, upright
from cart_firmware.core.cross_check import places
from cart_firmware.core.tilt import Axes
from cart_firmware.ports import Imu, ImuError, LoadCell, LoadCellError, Quality, Sample, SaturatedError
from cart_protocol.host.clock import Clock
from cart_protocol.mass import Mass, shown

_WINDOW_S = 2.0
"""How long a load must rest; also what one rest is the mean of."""
_PATIENCE_S = 30.0
_FEELINGS, _FEELING_S = 100, 0.02
_OVERLOAD = "the cell is at its end: take the load off; use a smaller mass, or look for a broken wire"


class Person(Protocol):
    """Whoever moves the masses."""

    def ask(self, what: str) -> None:
        """Say what to do, and return when it is done."""


class Session:
    """One session at a scale that nobody else reads. `counts_per_kilogram` need only be roughly right."""

    def __init__(
        self,
        cell: LoadCell,
        clock: Clock,
        sleep: Callable[[float], None],
        person: Person,
        *,
        counts_per_kilogram: float,
        limits: Limits,
    ) -> None:
        self._cell, self._clock, self._sleep, self._person = cell, clock, sleep, person
        self._slope, self._limits = counts_per_kilogram, limits
        self._window = max(8, round(_WINDOW_S * cell.rate_hz))

    def weigh(self, masses: Sequence[Mass], *, corner_mass: Mass, repeats: int) -> Weighed:
        """Lead through all weighings; a corner mass of 0 leaves the corners out.

        Raises:
            RefusedError: a load did not rest in time, was too much, or the cell gave no readings.
        """
        zero = self._after("Take everything off the platform")
        span = tuple((mass, self._after(f"Put {shown(mass)} in the middle of the platform")) for mass in masses)
        zero_after = self._after("Take everything off the platform")
        corners = places(max(4, len(zero.parts))) if corner_mass else ()
        weighed_corners = tuple(
            self._after(f"Put {shown(corner_mass)} {place}, close to the corner") for place in corners
        )
        return Weighed(
            zero=zero, span=span, zero_after=zero_after, corner_mass=corner_mass, corners=weighed_corners,
            repeated=tuple(self._repeated(masses[0], repeats)),
        )  # fmt: skip

    def _repeated(self, mass: Mass, repeats: int) -> Iterator[tuple[Rest, Rest]]:
        for number in range(1, repeats + 1):
            empty = self._after("Take everything off the platform")
            yield empty, self._after(f"Put {shown(mass)} in the middle once more ({number} of {repeats})")

    def _after(self, what: str) -> Rest:
        self._person.ask(what)
        return self._rest()

    def _rest(self) -> Rest:
        """Wait for a window of readings that rest. Those from before the question are not counted."""
        until_us = self._clock.monotonic_us() + round(_PATIENCE_S * 1e6)
        readings = deque[tuple[int, ...]](maxlen=self._window)
        why = RefusedError("the load cell gave no readings in time; look at the wires, and at 'cart-firmware run'")
        self._skip()
        while self._clock.monotonic_us() < until_us:
            try:
                self._take(readings)
                if len(readings) == self._window:
                    return rest(readings, counts_per_kilogram=self._slope, limits=self._limits)
            except SaturatedError as error:
                raise RefusedError(_OVERLOAD) from error
            except LoadCellError as error:
                readings.clear()
                why = RefusedError(f"the load cell gives no readings: {error}")
            except RefusedError as error:
                for _ in range(self._window // 4):
                    readings.popleft()
                why = error
        raise why

    def _skip(self) -> None:
        """Let go of a reading that waited while the person worked."""
        try:
            self._cell.poll(self._clock.monotonic_us())
        except LoadCellError:
            return  # whatever it was, it was before

    def _take(self, readings: deque[tuple[int, ...]]) -> None:
        self._sleep(0.5 / self._cell.rate_hz)
        sample = self._cell.poll(self._clock.monotonic_us())
        if sample is not None:
            readings.append(_parts(sample))


def feel_upright(imu: Imu, clock: Clock, sleep: Callable[[float], None], person: Person) -> Axes:
    """Return what the accelerometer reads while the cart stands on level floor.

    Raises:
        RefusedError: it cannot be read, the cart did not stand still, or what it feels is not gravity.
    """
    person.ask("Brake the cart on level floor, and let go of it")
    readings = list[Axes]()
    try:
        for _ in range(_FEELINGS):
            sleep(_FEELING_S)
            felt = imu.read(clock.monotonic_us())
            readings.append((felt.x, felt.y, felt.z))
    except ImuError as error:
        raise RefusedError(f"the accelerometer gives no readings: {error}") from error
    return upright(readings)


def _parts(sample: Sample) -> tuple[int, ...]:
    if sample.quality is Quality.NEAR_END:
        raise RefusedError(_OVERLOAD)
    return sample.parts or (sample.counts,)
