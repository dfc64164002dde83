"""Steps of the load from a noisy, moving platform: a change counts only between two quiet windows.

`level` is the load that is accounted for: the sum of all steps, each refined while it settles. What the cell shows
beyond that is drift (cart_firmware.core.drift) or the floor's slope, and no step. A step that takes back the one before
it, as a hand does that leaned on the basket, says so in `undoes_us` and restores the level to the milligram.
"""

import msgspec

from cart_firmware.core import quiet_window
from cart_firmware.core.calibration import Calibration
from cart_firmware.core.drift import Drift
from cart_firmware.core.indication import Dial, Indication
from cart_firmware.core.quiet_window import Quiet, QuietWindow, Window
from cart_firmware.core.tilt import LEVEL, Axes, Lean, Tilt
from cart_protocol.mass import Mass, Variance

_SIGMA_OF_RESTLESS = 4_000
_SIGMA_OF_LEVEL = 4_000
_SIGMA_PER_LOAD = 2_000
"""A further sigma of 1/2000 of the load: non-linearity, creep and eccentricity of the total (0.05 %)."""
_STEEPEST = 1.6e-3
"""Which share of its weight a cart loses on the steepest floor of a shop, three degrees, and a little more."""
_SIGMAS = 3
_LONGEST_GAP_US = 250_000
"""Readings further apart do not belong to one window, whatever the rate."""
_UNDO_US = 3_000_000
"""A hand that leans on the basket is gone by then."""
_UNDO_MG = 4_000
_REFINE_US = 1_000_000
_REFINE_MG = 4_000
"""The last ringing, or a hand that lets go, belongs to the step, as long and as far as this."""
_LEAN_WAITS_US = 800_000
"""So long an accelerometer may take after a stop to say how the cart stands."""
_DRIFTED_AT_START = 2
"""Times the smallest step: what the zero may have moved while nobody weighed."""


class Accuracy(msgspec.Struct, frozen=True):
    """How well a platform weighs the same thing twice, one sigma of a difference between two calm windows."""

    repeat: Mass = Mass(1_500)
    """Whatever it weighs. Simulated trips: 0.3 g; a real platform rubs, and how much its calibration says."""
    place_ppm: int = 0
    """Of its mass, by where on the platform it lies."""

    def variance(self, change: Mass) -> Variance:
        return Variance(self.repeat**2 + (abs(change) * self.place_ppm // 1_000_000) ** 2)


_UNMARKED = Dial(division=Mass(5_000), capacity=Mass(50_000_000), sealed=False)
_AS_BUILT = Accuracy()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The load changed from one quiet window to the next. `mass` is signed; `level` is the load after it."""

    at_us: int
    """When the reading was taken that completed the second window."""
    mass: Mass
    variance: Variance
    level: Mass
    from_us: int = 0
    """When the load was last seen quiet before it changed: what happened, happened since. 0: while nobody weighed."""
    undoes_us: int | None = None
    """`at_us` of the step that it takes back to the milligram."""
    crept: bool = False
    """Whether nothing ever moved: goods that are poured in slowly, or a cell that drifts faster than a sound one."""


REMEMBERED = (Step, Lean, *quiet_window.REMEMBERED)
"""What a weigher holds, for a recording (cart_firmware.core.remembered)."""


class Weigher:
    """Fed one reading at a time; remembers the last settled level."""

    def __init__(
        self,
        calibration: Calibration,
        *,
        rate_hz: float,
        window_ms: int,
        band_mg: int,
        smallest_step_mg: int,
        level: Mass,
        platform_mg: int = 2_000_000,
        dial: Dial = _UNMARKED,
        up: Axes = LEVEL,
        accuracy: Accuracy = _AS_BUILT,
    ) -> None:
        """Begin from `level`, the load that is accounted for: a different one found now is a step.

        `platform_mg` is what was tared at calibration: basket and platform lose their share on a slope too. `up` is
        what the accelerometer, if there is one, reads on level floor.
        """
        self._window = QuietWindow(calibration, rate_hz=rate_hz, window_ms=window_ms, band_mg=band_mg)
        self._gap_us = max(_LONGEST_GAP_US, round(3e6 / rate_hz))
        self._smallest_ug = smallest_step_mg * 1_000
        self._platform_ug = platform_mg * 1_000
        self._level_ug = level * 1_000
        self._drift, self._tilt = Drift(), Tilt(up)
        self._slope_ug = 0
        """What the floor takes from the load where the cart stands now, as far as no accelerometer says so."""
        self._missed_ug = 0
        """What the floor may have taken from goods that went in while the cart rolled: the level may be so much low."""
        self._lean: Lean | None = None
        self._last_us: int | None = None
        self._quiet_us: int | None = None
        self._spread = 0
        self._dial, self._accuracy = dial, accuracy
        self._raw_ug = self._found_ug = level * 1_000
        self._zero = Mass(0)
        self._step: Step | None = None
        self._refined_ug = 0

    @property
    def quiet(self) -> bool:
        """Whether the newest window was quiet: only then is `level` what lies on the platform now."""
        return self._window.quiet is not Quiet.MOVING

    @property
    def level(self) -> Mass:
        """The load after the last step; it follows no drift."""
        return Mass(self._level_ug // 1_000)

    @property
    def drift(self) -> Mass:
        """How far the cell's zero has moved since the start."""
        return self._drift.offset

    @property
    def suspicious(self) -> bool:
        """Whether the cell rather than the shopper should be doubted: its zero moves as no sound cell's does."""
        return self._drift.suspicious

    @property
    def doubts_tilt(self) -> bool:
        """Whether the accelerometer contradicts the scale and is no longer believed."""
        return not self._tilt.trusted

    @property
    def indication(self) -> Indication:
        """What the scale may show now: unlike `level` it follows the cell, as a shop's scale does."""
        return self._dial.indicate(self._gross, self._zero, self._window.quiet_us)

    @property
    def _gross(self) -> Mass:
        return Mass(self._found_ug // 1_000 - self._zero)

    @property
    def variance(self) -> Variance:
        """How uncertain `level` is now, as an absolute load."""
        proportional = abs(self.level) // _SIGMA_PER_LOAD
        doubt = abs(self._drift.offset) if self.suspicious else 0
        missed = self._missed_ug // 2_000
        return Variance(_SIGMA_OF_LEVEL**2 + proportional**2 + self._spread**2 + doubt**2 + missed**2)

    def feel(self, at_us: int, x: int, y: int, z: int) -> None:
        """Take one reading of the accelerometer, in millionths of gravity along its own axes."""
        self._tilt.feel(at_us, x, y, z)

    def feed(self, at_us: int, counts: int) -> Step | None:
        """Take one conversion; return the step that it completes, if any."""
        if self._last_us is not None and not 0 <= at_us - self._last_us <= self._gap_us:
            self.interrupt()
        self._last_us = at_us
        window = self._window.feed(counts)
        if window is None or not self.quiet:
            return None
        return self._settled(at_us, window)

    def interrupt(self) -> None:
        """A reading failed or is missing: the window begins anew; the level stays what it was."""
        self._window.clear()
        self._last_us = None

    def _settled(self, at_us: int, window: Window) -> Step | None:
        lean = self._tilt.lean(at_us) or (None if self._window.rolled else self._lean)
        if lean is None and self._window.rolled and self._tilt.hears(at_us) and self._window.quiet_us < _LEAN_WAITS_US:
            return None
        self._spread = window.spread
        lean = self._found(window.mass * 1_000, lean)
        self._zero = self._dial.tracked(self._gross, self._zero, self._window.quiet_us, self._window.slice_us)
        change_ug = self._found_ug - self._level_ug - self._drift.offset_ug - self._slope_ug
        rolled, since_us = self._window.rolled, self._quiet_us
        self._window.settled()
        self._lean, self._quiet_us = lean, at_us
        if since_us is None and abs(change_ug) < _DRIFTED_AT_START * self._smallest_ug:
            self._drift.absorb(change_ug)
            return None
        if rolled:
            change_ug += self._slope_ug
            if self._is_floor(change_ug, lean):
                return None
        if abs(change_ug) < self._smallest_ug:
            self._follow(at_us, change_ug)
            return None
        crept = since_us is not None and at_us - since_us <= self._window.slice_us * 3 // 2
        if crept:
            self._drift.crept(at_us, change_ug)
        return self._changed(at_us, since_us or 0, change_ug, rolled=rolled, crept=crept)

    def _found(self, raw_ug: int, lean: Lean | None) -> Lean | None:
        """Take what the cell shows, made upright; return the lean that was believed."""
        found_ug = self._upright(raw_ug, lean)
        if lean and self._lean and self._window.rolled:
            self._tilt.rolled(raw_ug - self._raw_ug, found_ug - self._found_ug)
            if not self._tilt.trusted:
                # All that was weighed with it was made too heavy or too light: begin again from what the cell showed.
                self._level_ug, lean, found_ug = self._raw_ug - self._drift.offset_ug, None, raw_ug
        elif lean and not self._lean:
            self._slope_ug = 0
        self._raw_ug, self._found_ug = raw_ug, found_ug
        return lean

    def _upright(self, found_ug: int, lean: Lean | None) -> int:
        """Return the load as it would be on level floor."""
        if lean is None:
            return found_ug
        return round((found_ug + self._platform_ug) / lean.cosine) - self._platform_ug

    def _is_floor(self, change_ug: int, lean: Lean | None) -> bool:
        """Take a change against level floor for the floor's, where it may be: as far as the accelerometer may be wrong.

        Without one, a slope can only take, and not much. What it gives, it took before, from goods that went in on the
        way there.
        """
        gross_ug = self._level_ug + self._platform_ug
        if lean is not None:
            least_ug, most_ug = round(-_SIGMAS * lean.sigma * gross_ug), round(_SIGMAS * lean.sigma * gross_ug)
        else:
            least_ug, most_ug = round(-_STEEPEST * gross_ug), self._missed_ug + self._smallest_ug // 4
        floor = least_ug <= change_ug <= most_ug
        given_ug = max(0, min(change_ug, self._missed_ug)) if floor else 0
        self._level_ug += given_ug
        self._missed_ug = self._missed_ug - given_ug if floor or lean else -least_ug
        self._slope_ug = change_ug - given_ug if floor else 0
        return floor

    def _follow(self, at_us: int, change_ug: int) -> None:
        step = self._step
        if step and step.undoes_us is None and at_us - step.at_us <= _REFINE_US:
            left_ug = _REFINE_MG * 1_000 - abs(self._refined_ug)
            refined_ug = max(-left_ug, min(left_ug, change_ug))
            self._refined_ug += refined_ug
            self._level_ug += refined_ug
            change_ug -= refined_ug
        self._drift.follow(at_us, change_ug)

    def _changed(self, at_us: int, since_us: int, change_ug: int, *, rolled: bool, crept: bool) -> Step:
        undone = self._undone(at_us, change_ug)
        # What a hand left behind when it was gone is its own affair: the load is again what it was before.
        moved_ug = -undone.mass * 1_000 - self._refined_ug if undone else change_ug
        self._level_ug += moved_ug
        self._drift.absorb(change_ug - moved_ug)
        self._refined_ug = 0
        self._step = Step(
            at_us=at_us, mass=Mass(-undone.mass if undone else moved_ug // 1_000),
            variance=self._uncertain(Mass(moved_ug // 1_000), rolled=rolled), level=self.level, from_us=since_us,
            undoes_us=undone.at_us if undone else None, crept=crept,
        )  # fmt: skip
        return self._step

    def _undone(self, at_us: int, change_ug: int) -> Step | None:
        """Return the step that a change takes back, if it does."""
        step = self._step
        if step is None or step.undoes_us is not None or at_us - step.at_us > _UNDO_US:
            return None
        left_ug = change_ug + step.mass * 1_000 + self._refined_ug
        return step if abs(left_ug) <= _UNDO_MG * 1_000 else None

    def _uncertain(self, moved: Mass, *, rolled: bool) -> Variance:
        """Return the variance of the step that ends now."""
        restless = 0 if self._window.quiet is Quiet.CALM else _SIGMA_OF_RESTLESS
        gross = (self._level_ug + self._platform_ug) // 1_000
        floor = 0.0
        if rolled:
            floor = gross * (self._lean.sigma if self._lean else _STEEPEST / 3)
        return Variance(self._accuracy.variance(moved) + restless**2 + self._spread**2 + round(floor) ** 2)
