"""Levels: what fills up in a store, from when on staff hear of it, and from when on the store takes no more. Pure.

docs/LIMITS.md lists all of them, with what happens at the limit.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from edge_agent.core import incident
from edge_agent.core.events import IncidentResolved, NewId, StoreEvent
from edge_agent.core.shop import Shop
from edge_agent.core.views import LevelCard

BACK_OFF = 0.1
"""A level has to come back by this part of its threshold before its alarm is over: no alarm flickers."""


class Tide(StrEnum):
    """How high a level stands."""

    GOOD = "good"
    WARNING = "warning"
    LIMIT = "limit"


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """One level and its thresholds. A `falling` one, such as free disk, alarms below them and not above.

    `warning` and `limited` are for staff: what is wrong, what the store does, and what a person can do about it.
    """

    name: str
    """A machine word; the console shows it in words."""
    unit: str
    warn: float
    warning: str
    limit: float | None = None
    limited: str = ""
    falling: bool = False

    @property
    def key(self) -> str:
        """The matter of this level's alarm."""
        return f"level/{self.name}"


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A gauge as it was read: None where there is nothing to read."""

    gauge: Gauge
    value: float | None = None
    tide: Tide = Tide.GOOD


def read(before: Level, value: float | None) -> Level:
    """Return the level after a reading. It rises at once, and falls when it is well back."""
    if value is None:
        return Level(gauge=before.gauge)
    gauge = before.gauge
    back_off = 0.0 if before.tide is Tide.GOOD else BACK_OFF
    at_limit = _reaches(gauge, value, gauge.limit, back_off if before.tide is Tide.LIMIT else 0.0)
    tide = Tide.LIMIT if at_limit else Tide.WARNING if _reaches(gauge, value, gauge.warn, back_off) else Tide.GOOD
    return Level(gauge=gauge, value=value, tide=tide)


def sentence(level: Level) -> str:
    """Return what staff should know about a level; '' while it is good."""
    return {Tide.GOOD: "", Tide.WARNING: level.gauge.warning, Tide.LIMIT: level.gauge.limited}[level.tide]


def moved(shop: Shop, before: Level, after: Level, new_id: NewId) -> list[StoreEvent]:
    """Return what a change of level means for the alarms: a higher one replaces the lower one's, a good one ends it.

    An alarm that staff closed stays closed until the level rises again.
    """
    if after.tide is before.tide:
        return []
    opened = shop.incidents.open_about(after.gauge.key)
    events: list[StoreEvent] = [] if opened is None else [IncidentResolved(incident=opened, staff=incident.ITSELF)]
    if _RANK[after.tide] > _RANK[before.tide] or (after.tide is not Tide.GOOD and opened is not None):
        events += _alarm(after, new_id)
    return events


def resumed(shop: Shop, gauge: Gauge) -> Level:
    """Return the level as an earlier run left its alarm, so that a restart neither repeats nor forgets it."""
    opened = shop.incidents.open_about(gauge.key)
    if opened is None:
        return Level(gauge=gauge)
    said = shop.incidents.by_id[opened].raised.sentence
    return Level(gauge=gauge, tide=Tide.LIMIT if said == gauge.limited else Tide.WARNING)


def cards(levels: Sequence[Level]) -> tuple[LevelCard, ...]:
    """Return the levels as the console shows them, the highest first; one without a unit only when it is high."""
    ordered = sorted(levels, key=lambda level: -_RANK[level.tide])
    shown = [
        level for level in ordered if level.value is not None and (level.gauge.unit or level.tide is not Tide.GOOD)
    ]
    return tuple(_card(level) for level in shown)


_RANK = {Tide.GOOD: 0, Tide.WARNING: 1, Tide.LIMIT: 2}


def _reaches(gauge: Gauge, value: float, threshold: float | None, back_off: float) -> bool:
    if threshold is None:
        return False
    if gauge.falling:
        return value < threshold * (1 + back_off)
    return value > threshold * (1 - back_off)


def _alarm(level: Level, new_id: NewId) -> list[StoreEvent]:
    return [
        incident.about(
            key=level.gauge.key, where="store", cause=level.gauge.name, sentence=sentence(level), new_id=new_id,
            evidence=(f"{_shown(level.value)} {level.gauge.unit}", _thresholds(level.gauge)),
        )
    ]  # fmt: skip


def _card(level: Level) -> LevelCard:
    gauge = level.gauge
    return LevelCard(
        name=gauge.name, tide=level.tide, value=_shown(level.value) if gauge.unit else "", unit=gauge.unit,
        thresholds=_thresholds(gauge),
        sentence=sentence(level),
    )  # fmt: skip


def _thresholds(gauge: Gauge) -> str:
    if not gauge.unit:
        return ""
    side = "below" if gauge.falling else "above"
    limit = "" if gauge.limit is None else f", limit {_shown(gauge.limit)}"
    return f"alarm {side} {_shown(gauge.warn)}{limit} {gauge.unit}"


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}".removesuffix(".0")
