"""A replayed record as one picture for the manager of a shop: what the scale felt, what was seen, what the cart did.

The curve on top is numbered where something happened; the same numbers stand below with the time and the words that the
shopper read on the cart's screen.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import msgspec
import numpy as np

from cart_firmware.core.prompts import Situation, prompt, remark
from cart_firmware.core.recording import Converted, Cropped, Decided, Failed
from cart_firmware.core.touch import Add, Cancel, Choose, Container, Help, Quantity, Remove, Touch
from cart_firmware.screen.drawing import Box, Dot, Drawing, Line, Mark, Photograph, Point, Words, width_of
from cart_firmware.services.observations import Stepped, Touched
from cart_firmware.services.replay import Moment
from cart_protocol.basket import (
    AttentionChanged,
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CommandRefused,
    ContainerAdded,
    ContainerRemoved,
    FaultsChanged,
    ItemScanned,
    LineAdded,
    LineRemoved,
    ScanAbandoned,
    ScanRefused,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    WeightUnexplained,
    Withdrawn,
)
from cart_protocol.mass import Mass, shown

_WIDTH, _LEFT, _RIGHT = 1_240.0, 70.0, 30.0
_TOP, _CURVE_HEIGHT = 76.0, 300.0
_ROW, _PHOTO, _LANE = 22.0, 56.0, 18.0
_LANES = 10
"""Rows of numbers above the curve; what finds no place there is numbered in the table only."""
_MOST_ROWS = 250
_BUCKET_MS = 100
_GAP_MS = 2_000
_INK, _FAINT, _GRID, _THREAD = "222222", "777777", "e6e6e6", "bbbbbb"
_CURVE, _LEVEL = "9db7d5", "1f4e8c"
_ADDED, _REMOVED, _ASKED, _COMMANDED, _SCANNED, _TOUCHED, _FAULT = (
    "2e8540", "b3261e", "d97706", "5b3a9e", "0b7285", "8a6d3b", "b3261e",
)  # fmt: skip
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400)
_TICKS = 12
_STEPS_KG = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_LINES = 6
_TIMES = "\N{MULTIPLICATION SIGN}"


class Row(msgspec.Struct, frozen=True):
    """One thing that happened, in words."""

    wall_ms: int
    level: Mass
    colour: str
    text: str


class _Bucket(msgspec.Struct):
    """A tenth of a second of the curve."""

    at_ms: int
    least: Mass
    most: Mass
    level: Mass


class Timeline:
    """Watches a replay (`saw` is a services.replay.Watch), then draws it in the time zone of whoever looks."""

    def __init__(self, zone: dt.tzinfo | None = None) -> None:
        self._zone = zone
        self._cart = ""
        self._sessions = set[str]()
        self._failing = ""
        self._curve = list[_Bucket]()
        self._photos = list[tuple[int, bytes]]()
        self.rows = list[Row]()

    def saw(self, moment: Moment) -> None:
        """Take in one entry."""
        self._cart = moment.cart
        if moment.basket.session:
            self._sessions.add(moment.basket.session)
        match moment.entry:
            case Converted(_, counts):
                self._failing = ""
                self._felt(moment.wall_ms, moment.calibration.mass(counts), moment.weigher.level)
            case Cropped(_, picture):
                self._photos.append((moment.wall_ms, picture))
            case Failed(_, kind, _) if kind != self._failing:
                self._failing = kind
                self._tell(moment, _FAULT, f"A reading could not be used: {kind}")
            case Decided(events=events):
                self._decided(moment, events)
            case _:
                pass

    def drawing(self) -> Drawing:
        """Return the picture of all that was seen."""
        from_ms, until_ms = self._span()
        least, most = self._range()
        axes = _Axes(from_ms, until_ms, least, most, _TOP)
        lanes = _in_lanes([axes.x(row.wall_ms) for row in self._listed])
        axes = msgspec.structs.replace(axes, top=_TOP + _LANE * (min(max(lanes, default=0) + 1, _LANES)) + 4)
        table = axes.bottom + 56 + (_PHOTO + 34 if self._photos else 0)
        marks = [
            *self._head(from_ms, until_ms), *self._grid(axes), *self._lines(axes), *self._pictures(axes),
            *self._numbers(axes, lanes), *self._table(table),
        ]  # fmt: skip
        return Drawing(_WIDTH, table + _ROW * (len(self._listed) + 1), tuple(marks))

    # ── taking in ──

    def _felt(self, wall_ms: int, mass: Mass, level: Mass) -> None:
        at_ms = wall_ms - wall_ms % _BUCKET_MS
        if self._curve and self._curve[-1].at_ms == at_ms:
            bucket = self._curve[-1]
            bucket.least, bucket.most, bucket.level = min(bucket.least, mass), max(bucket.most, mass), level
        else:
            self._curve.append(_Bucket(at_ms, mass, mass, level))

    def _decided(self, moment: Moment, events: Iterable[CartEvent]) -> None:
        match moment.matter:
            case Touched(_, touch):
                self._tell(moment, _TOUCHED, f"On the screen: {_touch_in_words(touch, moment.before)}")
            case Stepped(step):
                way = "put in" if step.mass > 0 else "taken out"
                undone = ", which takes back the last change" if step.undoes_us is not None else ""
                self._tell(moment, _FAINT, f"The scale: {shown(Mass(abs(step.mass)))} {way}{undone}")
            case _:
                pass
        for event in events:
            if told := _TOLD.get(type(event)):
                colour, say = told
                self._tell(moment, colour, say(event, moment))

    def _tell(self, moment: Moment, colour: str, text: str) -> None:
        self.rows.append(Row(moment.wall_ms, moment.weigher.level, colour, text))

    # ── drawing ──

    @property
    def _listed(self) -> list[Row]:
        """What has a place in the table; the last row says how many have none."""
        if len(self.rows) <= _MOST_ROWS:
            return self.rows
        left = self.rows[_MOST_ROWS - 1 :]
        more = msgspec.structs.replace(left[0], colour=_FAINT, text=f"{len(left)} more; draw one session at a time")
        return [*self.rows[: _MOST_ROWS - 1], more]

    def _span(self) -> tuple[int, int]:
        times = [each.at_ms for each in self._curve] + [row.wall_ms for row in self.rows]
        times += [wall_ms for wall_ms, _ in self._photos]
        return (min(times), max(*times, min(times) + 1_000)) if times else (0, 1_000)

    def _range(self) -> tuple[Mass, Mass]:
        """Return what the axis of masses shows: all levels, and a little of what shook about them."""
        levels = [each.level for each in self._curve] or [Mass(0)]
        least, most = min(0, *levels), max(200_000, *levels)
        room = (most - least) // 8
        return Mass(least - room), Mass(most + room)

    def _head(self, from_ms: int, until_ms: int) -> list[Mark]:
        one = f", session {next(iter(self._sessions))}" if len(self._sessions) == 1 else ""
        title = f"Cart {self._cart}{one}"
        day = self._at(from_ms).strftime("%A, %d %B %Y")
        span = f"{self._clock(from_ms)} to {self._clock(until_ms)} {self._at(from_ms).tzname() or ''}".strip()
        legend: list[Mark] = []
        x = _WIDTH - _RIGHT
        for colour, text in reversed(_LEGEND):
            x -= width_of(text, 11) + 6
            legend += [Words((x, 58), text, 11, _FAINT), Dot((x - 9, 54), 4, colour)]
            x -= 24
        return [
            Words((_LEFT, 32), title, 18, _INK, bold=True),
            Words((_LEFT, 58), f"{day}, {span}", 12, _FAINT),
            *legend,
        ]

    def _grid(self, axes: "_Axes") -> list[Mark]:
        marks: list[Mark] = []
        step = next((each for each in _STEPS_KG if (axes.most - axes.least) / 1e6 / each <= _LINES), _STEPS_KG[-1])
        for number in range(int(axes.least / 1e6 / step) - 1, int(axes.most / 1e6 / step) + 1):
            if axes.least <= number * step * 1e6 <= axes.most:
                y = axes.y(Mass(round(number * step * 1e6)))
                marks += [
                    Line(((_LEFT, y), (_WIDTH - _RIGHT, y)), _FAINT if number == 0 else _GRID),
                    Words((_LEFT - 8, y + 4), f"{number * step:g} kg", 11, _FAINT, anchor="end"),
                ]
        for at_ms in axes.moments():
            x = axes.x(at_ms)
            marks += [
                Line(((x, axes.top), (x, axes.bottom)), _GRID),
                Words((x, axes.bottom + 18), self._clock(at_ms), 11, _FAINT, anchor="middle"),
            ]
        return marks

    def _lines(self, axes: "_Axes") -> list[Mark]:
        marks: list[Mark] = []
        for run in _runs(self._curve):
            columns = _columns(run, axes)
            curve = [point for x, least, most, _ in columns for point in ((x, axes.y(most)), (x, axes.y(least)))]
            level = [
                point
                for (x, _, _, now), (_, _, _, before) in zip(columns, columns[:1] + columns[:-1], strict=True)
                for point in ((x, axes.y(before)), (x, axes.y(now)))
            ]
            marks += [Line(tuple(curve), _CURVE, 1.0), Line(tuple(level), _LEVEL, 1.6)]
        return marks

    def _pictures(self, axes: "_Axes") -> list[Mark]:
        marks: list[Mark] = []
        top, free = axes.bottom + 36, _LEFT
        for at_ms, jpeg in self._photos:
            width = _width_of_photo(jpeg)
            x = max(axes.x(at_ms) - width / 2, free)
            if x + width > _WIDTH - _RIGHT:
                continue  # those that find no place are in the record
            marks += [
                Line(((axes.x(at_ms), top - 12), (x + width / 2, top)), _THREAD),
                Photograph((x, top), (width, _PHOTO), jpeg),
                Words((x + width / 2, top + _PHOTO + 12), self._clock(at_ms), 9, _FAINT, anchor="middle"),
            ]
            free = x + width + 6
        return marks

    def _numbers(self, axes: "_Axes", lanes: list[int]) -> list[Mark]:
        """Number the rows above the curve, each with a thread to where the load was."""
        threads: list[Mark] = []
        dots: list[Mark] = []
        for number, (row, lane) in enumerate(zip(self._listed, lanes, strict=True), 1):
            if lane < _LANES:
                x, y = axes.x(row.wall_ms), _TOP + 8 + _LANE * lane
                threads.append(Line(((x, y), (x, axes.y(row.level))), _GRID))
                dots += _numbered((x, y), number, row.colour)
        return threads + dots

    def _table(self, top: float) -> list[Mark]:
        right = _WIDTH - _RIGHT - 8
        marks: list[Mark] = [
            Words((_LEFT, top - 20), "Time", 11, _FAINT, bold=True),
            Words((_LEFT + 90, top - 20), "What happened", 11, _FAINT, bold=True),
            Words((right, top - 20), "Load", 11, _FAINT, True, "end"),
        ]
        for number, row in enumerate(self._listed, 1):
            y = top + _ROW * (number - 1)
            if number % 2:
                marks.append(Box((_LEFT - 40, y - 15), (_WIDTH - _LEFT - _RIGHT + 40, _ROW), "f7f7f7"))
            marks += [
                *_numbered((_LEFT - 22, y - 4), number, row.colour),
                Words((_LEFT, y), self._clock(row.wall_ms, tenths=True), 12, _FAINT),
                Words((_LEFT + 90, y), _shortened(row.text, 12, right - _LEFT - 180), 12, _INK),
                Words((right, y), shown(row.level), 12, _FAINT, anchor="end"),
            ]
        return marks

    def _at(self, wall_ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(wall_ms / 1_000, dt.UTC).astimezone(self._zone)

    def _clock(self, wall_ms: int, *, tenths: bool = False) -> str:
        text = self._at(wall_ms).strftime("%H:%M:%S")
        return f"{text}.{wall_ms % 1_000 // 100}" if tenths else text


class _Axes(msgspec.Struct, frozen=True):
    """Wall time to the right, masses upwards."""

    from_ms: int
    until_ms: int
    least: Mass
    most: Mass
    top: float

    @property
    def bottom(self) -> float:
        return self.top + _CURVE_HEIGHT

    def x(self, at_ms: float) -> float:
        return _LEFT + (at_ms - self.from_ms) / (self.until_ms - self.from_ms) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, mass: float) -> float:
        within = max(self.least, min(self.most, mass))
        return self.top + (self.most - within) / (self.most - self.least) * _CURVE_HEIGHT

    def moments(self) -> list[int]:
        """Return round times, about a dozen."""
        seconds = (self.until_ms - self.from_ms) / 1_000
        step_ms = next((each for each in _STEPS_S if seconds / each <= _TICKS), _STEPS_S[-1]) * 1_000
        return list(range(self.from_ms + -self.from_ms % step_ms, self.until_ms + 1, step_ms))


def _numbered(at: Point, number: int, colour: str) -> list[Mark]:
    return [Dot(at, 8, colour), Words((at[0], at[1] + 3), f"{number}", 8, "ffffff", True, "middle")]


def _in_lanes(places: list[float]) -> list[int]:
    """Return for each number the first lane in which it covers none before it."""
    ends = list[float]()
    found = list[int]()
    for x in places:
        lane = next((lane for lane, end in enumerate(ends) if end + _LANE <= x), len(ends))
        if lane >= _LANES:
            found.append(_LANES)
            continue
        ends[lane : lane + 1] = [x]
        found.append(lane)
    return found


def _runs(curve: list[_Bucket]) -> list[list[_Bucket]]:
    """Return the parts of a curve between which nothing was weighed."""
    runs = list[list[_Bucket]]()
    for bucket in curve:
        if not runs or bucket.at_ms - runs[-1][-1].at_ms > _GAP_MS:
            runs.append([])
        runs[-1].append(bucket)
    return runs


def _columns(run: list[_Bucket], axes: _Axes) -> list[tuple[float, Mass, Mass, Mass]]:
    """Return least, most and level of the curve for each half unit of the picture's width."""
    found: dict[int, tuple[Mass, Mass, Mass]] = {}
    for bucket in run:
        column = round(axes.x(bucket.at_ms) * 2)
        least, most, _ = found.get(column, (bucket.least, bucket.most, bucket.level))
        found[column] = (min(least, bucket.least), max(most, bucket.most), bucket.level)
    return [(column / 2, *values) for column, values in found.items()]


def _width_of_photo(jpeg: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return _PHOTO if picture is None else _PHOTO * picture.shape[1] / picture.shape[0]


def _shortened(text: str, size: float, room: float) -> str:
    if width_of(text, size) <= room:
        return text
    while text and width_of(f"{text}…", size) > room:
        text = text[:-4]
    return f"{text}…"


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _touch_in_words(touch: Touch, basket: Basket) -> str:
    lines = {line.line: line.name for line in basket.lines.values()}
    pending = {scan: waiting.name for scan, waiting in basket.pending.items()}
    match touch:
        case Add(product, pieces):
            return f"{pieces} {_TIMES} {product} chosen from the list"
        case Quantity(scan, pieces):
            return f"{pieces} {_TIMES} {pending.get(scan, 'something scanned')}"
        case Remove(named):
            return f"take out {', '.join(lines.get(line, 'something') for line in named)}"
        case Cancel(scan):
            return f"not {pending.get(scan, 'that')}" if scan else "cancel"
        case _:
            return _TOUCHED_IN_WORDS[type(touch)](touch)


_TOUCHED_IN_WORDS: dict[type[Touch], Callable[[Any], str]] = {
    Choose: lambda _: "one of the answers",
    Container: lambda _: "my own bag or container comes next",
    Help: lambda touch: "help, please" if touch.wanted else "no help needed any more",
}


def _asked(_event: CartEvent, moment: Moment) -> str:
    said = prompt(Situation(basket=msgspec.structs.replace(moment.basket, attention=""), prices=moment.prices))
    return f"The cart asks: “{said.sentence}”"


def _added(event: LineAdded, _moment: Moment) -> str:
    return f"On the bill: {event.name}, {shown(event.mass)}, {event.price.total}. “{remark('added', event.name)}”"


def _name_of(line: str, moment: Moment) -> str:
    return next((each.name for each in moment.before.lines.values() if each.line == line), "a line")


def _removed(event: LineRemoved, moment: Moment) -> str:
    name = _name_of(event.line, moment)
    return f"Off the bill: {name}, {shown(event.mass)}. “{remark('removed', name)}”"


def _abandoned(event: ScanAbandoned, moment: Moment) -> str:
    waiting = moment.before.pending.get(event.scan)
    return f"Given up: “{remark('abandoned', waiting.name if waiting else 'A product')}”"


_EXPLAINED = {
    "scan": "a scan explained it",
    "returned": "it was put back",
    "taken-out": "it was taken out",
    "staff": "staff looked",
}
_TOLD: dict[type[CartEvent], tuple[str, Callable[[Any, Moment], str]]] = {
    SessionBegan: (_COMMANDED, lambda *_: "A shopper takes the cart"),
    SessionEnded: (_COMMANDED, lambda event, _: f"The shopper has left the cart ({event.reason})"),
    CommandRefused: (_COMMANDED, lambda event, _: f"The store's wish was refused: {event.reason}"),
    ItemScanned: (_SCANNED, lambda event, _: f"Scanned: {event.name} ({event.text})"),
    ScanRefused: (_SCANNED, lambda event, _: f"Not taken: “{remark(event.reason, event.name or event.text)}”"),
    ScanAbandoned: (_ASKED, _abandoned),
    LineAdded: (_ADDED, _added),
    LineRemoved: (_REMOVED, _removed),
    WeightUnexplained: (_ASKED, _asked),
    WeightExplained: (_ADDED, lambda event, _: f"The question is answered: {_EXPLAINED.get(event.by, event.by)}"),
    ContainerAdded: (_ADDED, lambda event, _: f"Own bag or container put in: {shown(event.mass)}"),
    ContainerRemoved: (_REMOVED, lambda *_: "Own bag or container taken out"),
    AttentionChanged: (
        _ASKED,
        lambda event, _: f"Staff are called: {event.reason}" if event.reason else "Staff are not needed any more",
    ),
    BasketFrozen: (_COMMANDED, lambda event, _: f"The order is made: {shown(event.settled)} in the cart"),
    BasketThawed: (_COMMANDED, lambda *_: "The shopper goes on shopping"),
    FaultsChanged: (_FAULT, lambda event, _: f"Faults: {', '.join(event.faults) or 'none any more'}"),
    Withdrawn: (_COMMANDED, lambda event, _: "Out of service" if event.withdrawn else "In service again"),
}
_LEGEND = (
    (_SCANNED, "scanned"), (_ADDED, "on the bill"), (_REMOVED, "off the bill"), (_ASKED, "the cart asks"),
    (_TOUCHED, "touched"), (_COMMANDED, "store"), (_FAINT, "the scale"),
)  # fmt: skip
