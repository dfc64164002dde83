"""Decides again what a cart decided, with what it had perceived, and says where the answers differ.

Weigher, scanner and `Decider` are the cart's own. Each is fed what was recorded, whatever the others make of it, and
goes on from what the cart did, so that one difference is not followed by a hundred of its own making.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from cart_firmware.core.calibration import Calibration
from cart_firmware.core.decision import Draft
from cart_firmware.core.recording import (
    BookRefused,
    Bundle,
    Converted,
    Cropped,
    Decided,
    Entry,
    Failed,
    Header,
    Leaned,
    Looked,
    Reading,
    RecordingError,
    Segment,
    Ticked,
    read_segment,
    restored,
)
from cart_firmware.core.scanning import Refused, Shown
from cart_firmware.core.weighing import Step, Weigher
from cart_firmware.services.decide import MATTERS, Decider, Decision, Matter, TimePassed, Waiting
from cart_firmware.services.observations import Commanded, Loaded, Seen, Stepped
from cart_protocol.basket import Basket, CartEvent
from cart_protocol.pricing.learned_mass import NOTHING_LEARNED, LearnedMasses
from cart_protocol.pricing.price_book import PriceBook, Prices

_LATE_US = 2_000_000
"""What a sensor said so shortly before the end may not have been taken by the deciding part any more."""
_STATES = 8_000
"""How many readings back a report of the load may lie."""

_encoder = msgspec.msgpack.Encoder()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The cart did one thing and replay another. `part`: 'weigher', 'scanner' or 'decision'."""

    at_us: int
    wall_ms: int
    part: str
    matter: str
    cart: str
    """What is recorded."""
    replay: str
    """What it would be now."""
    software: str
    """The version that recorded it."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it was replayed, with the basket after it and before."""

    cart: str
    wall_ms: int
    entry: Entry | Reading
    matter: Matter | None
    calibration: Calibration
    weigher: Weigher
    basket: Basket
    prices: Prices | None
    before: Basket


Watch = Callable[[Moment], None]


class Replayed(msgspec.Struct):
    """What came of replaying a record."""

    segments: int = 0
    decisions: int = 0
    """Matters decided, ticks among them only where something followed."""
    ticks: int = 0
    readings: int = 0
    torn: list[str] = []
    """Segments whose end was torn off."""
    software: list[str] = []
    """Versions that recorded them."""
    differences: list[Difference] = []


def replay(bundle: Bundle, watch: Watch | None = None) -> Replayed:
    """Return how far the record's decisions are reproduced. `watch` is shown every entry in turn.

    Raises:
        RecordingError: a segment cannot be read, or needs a price book that is not there.
    """
    result = Replayed()
    for name, data in bundle.segments.items():
        segment = read_segment(data, name)
        try:
            _Player(name, segment, bundle.texts, result, watch).play()
        except msgspec.DecodeError as error:
            raise RecordingError(
                f"{name}: this version cannot read what was decided ({error}); replay it with {segment.header.software}"
            ) from error
        result.segments += 1
        if segment.torn:
            result.torn.append(name)
        if segment.header.software not in result.software:
            result.software.append(segment.header.software)
    return result


class _Player:
    """One segment, from its header's state to its end."""

    def __init__(
        self, name: str, segment: Segment, texts: Mapping[str, str], result: Replayed, watch: Watch | None
    ) -> None:
        self._header, self._entries, self._result, self._watch = segment.header, segment.entries, result, watch
        header = segment.header
        self._weigher, self._scanner = restored(header, name)
        self._decider = Decider(
            header.basket, header.evidence, header.fusion, self._scanner, _prices(header, texts, name)
        )
        for body, until_us in header.waiting:
            observed = msgspec.msgpack.decode(body, type=Commanded)
            self._decider.waiting[observed.command.id] = Waiting(observed, until_us)
        self._calibration = Calibration(
            zero_counts=header.weighing.zero_counts, counts_per_kilogram=header.weighing.counts_per_kilogram
        )
        self._now_us = header.at_us
        self._steps = deque[Step]()
        self._seen = deque[Shown | Refused]()
        self._states: dict[int, Loaded] = {}

    def play(self) -> None:
        for entry in self._entries:
            before = self._decider.basket
            matter = self._take(entry)
            if self._watch:
                self._show(entry, matter, before)
        last_us = self._now_us - _LATE_US
        for step in self._steps:
            if step.at_us < last_us:
                self._differ(step.at_us, "weigher", "Step", None, step)
        for seen in self._seen:
            if seen.at_us < last_us:
                self._differ(seen.at_us, "scanner", type(seen).__name__, None, seen)

    def _take(self, entry: Entry | Reading) -> Matter | None:
        match entry:
            case Converted(at_us, counts):
                self._result.readings += 1
                if step := self._weigher.feed(at_us, counts):
                    self._steps.append(step)
                self._note_load(at_us)
            case Leaned(at_us, x, y, z):
                self._weigher.feel(at_us, x, y, z)
            case Failed(at_us, _, interrupts):
                if interrupts:
                    self._weigher.interrupt()
                self._note_load(at_us)
            case Looked():
                self._look(entry)
            case Ticked(at_us):
                self._tick(at_us)
            case Decided():
                return self._decide(entry)
            case Cropped() | BookRefused():
                pass
            case _:
                raise TypeError(f"no way to replay {type(entry).__name__}")
        return None

    # ── sensors ──

    def _note_load(self, at_us: int) -> None:
        weigher = self._weigher
        self._now_us = max(self._now_us, at_us)
        self._states[at_us] = Loaded(at_us, weigher.level, weigher.variance, weigher.quiet)
        if len(self._states) > _STATES:
            del self._states[next(iter(self._states))]

    def _look(self, entry: Looked) -> None:
        for _ in range(entry.empty):
            self._scanner.feed(entry.at_us, ())
        symbols = [(symbology, payload) for symbology, payload, _ in entry.found]
        likelihoods = {(symbology, payload): each for symbology, payload, each in entry.found if each is not None}
        self._seen += self._scanner.feed(entry.at_us, symbols, entry.day, likelihoods)

    def _perceived(self, matter: Matter) -> None:
        """Compare what the cart's sensors were taken to say with what they say now."""
        match matter:
            case Stepped(step):
                self._next(self._steps, step, "weigher")
            case Seen(seen):
                self._next(self._seen, seen, "scanner")
            case Loaded(at_us) if at_us in self._states and self._states[at_us] != matter:
                self._differ(at_us, "weigher", "Loaded", matter, self._states[at_us])
            case _:
                pass

    def _next(self, found: "deque[Step] | deque[Shown | Refused]", recorded: Step | Shown | Refused, part: str) -> None:
        while found and found[0].at_us < recorded.at_us:
            missed = found.popleft()
            self._differ(missed.at_us, part, type(missed).__name__, None, missed)
        same = found.popleft() if found and found[0].at_us == recorded.at_us else None
        if same is None and recorded.at_us <= self._header.at_us:
            return  # said before this segment began
        if same is None or _encoder.encode(same) != _encoder.encode(recorded):
            self._differ(recorded.at_us, part, type(recorded).__name__, recorded, same)

    # ── decisions ──

    def _tick(self, at_us: int) -> None:
        self._result.ticks += 1
        self._now_us = max(self._now_us, at_us)
        decision = self._decider.decide(TimePassed(), at_us, Recalled((), ""))
        if self._decider.changes(decision):
            self._differ(at_us, "decision", "TimePassed", None, decision.events)

    def _decide(self, entry: Decided) -> Matter:
        self._result.decisions += 1
        self._now_us = max(self._now_us, entry.at_us)
        kind = MATTERS.get(entry.kind)
        if kind is None:
            raise RecordingError(
                f"{entry.kind}: this version knows no such matter; replay with {self._header.software}"
            )
        matter = msgspec.msgpack.decode(entry.matter, type=kind)
        self._perceived(matter)
        decision = self._decider.decide(matter, entry.at_us, Recalled(entry.minted, entry.code))
        if not _same(decision, entry):
            self._differ(entry.at_us, "decision", entry.kind, entry.events, decision.events)
            decision = self._as_recorded(decision, entry.events)
        self._decider.settle(decision, recorded=entry.recorded)
        return matter

    def _as_recorded(self, decision: Decision, events: Iterable[CartEvent]) -> Decision:
        """Return a decision of what the cart really did."""
        draft = Draft(self._decider.basket, decision.draft.evidence)
        for event in events:
            draft.add(event)
        return msgspec.structs.replace(decision, draft=draft)

    # ── telling ──

    def _differ(self, at_us: int, part: str, matter: str, cart: object, replayed: object) -> None:
        self._result.differences.append(
            Difference(
                at_us=at_us, wall_ms=self._wall_ms(at_us), part=part, matter=matter, cart=_told(cart),
                replay=_told(replayed), software=self._header.software,
            )
        )  # fmt: skip

    def _show(self, entry: Entry | Reading, matter: Matter | None, before: Basket) -> None:
        if self._watch:
            decider, at_us = self._decider, getattr(entry, "at_us", self._now_us)
            self._watch(
                Moment(
                    cart=self._header.cart, wall_ms=self._wall_ms(at_us), entry=entry, matter=matter,
                    calibration=self._calibration, weigher=self._weigher,
                    basket=decider.basket, prices=decider.prices, before=before,
                )
            )  # fmt: skip

    def _wall_ms(self, at_us: int) -> int:
        return self._header.wall_ms + (at_us - self._header.at_us) // 1_000


class Recalled:
    """A mint that gives the ids that were given then; what is asked for beyond them was never given."""

    def __init__(self, minted: tuple[str, ...], code: str) -> None:
        self._minted, self._code = deque(minted), code
        self._extra = 0

    def uuid(self) -> str:
        if self._minted:
            return self._minted.popleft()
        self._extra += 1
        return f"new-{self._extra}"

    def code(self, _length: int, /) -> str:
        return self._code


def _same(decision: Decision, entry: Decided) -> bool:
    return _encoder.encode(tuple(decision.events)) == _encoder.encode(entry.events) and decision.minted == entry.minted


def _told(what: object) -> str:
    return msgspec.json.encode(what).decode() if what else "nothing"


def _prices(header: Header, texts: Mapping[str, str], name: str) -> Prices | None:
    if header.book is None:
        return None
    missing = [digest for digest in (header.book.book, header.book.learned) if digest not in texts]
    if missing:
        raise RecordingError(
            f"{name}: needs price book {header.book.version}, which is not beside it; "
            "copy the book-… files of its folder as well, or export a session with 'cart-firmware recording --save'"
        )
    book = msgspec.json.decode(texts[header.book.book], type=PriceBook)
    learned = texts[header.book.learned]
    return Prices(book, msgspec.json.decode(learned, type=LearnedMasses) if learned else NOTHING_LEARNED)
