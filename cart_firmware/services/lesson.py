"""Lessons: staff show this cart a product, and what it learned goes to the store, which decides what becomes of it.

The store says every few seconds that a lesson is to go on; when it falls silent, the lesson ends. Shoppers go first:
one who takes the cart ends it too. What was learned is on the disk before the store hears of it, and stays there until
the store says that it has it: also over a restart, and also what was learned while this program did not run.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from cart_firmware.perception.shots import Seen
from cart_firmware.ports import Frame, StoreLink
from cart_firmware.services.enrol import Book, Enrolment, Showing, same_as
from cart_firmware.services.learn import Learn
from cart_firmware.services.sight import Sights
from cart_protocol.basket import Phase
from cart_protocol.host.clock import Clock
from cart_protocol.ids import LessonId
from cart_protocol.messages import LessonKept, LessonLearned, LessonShown, LessonWanted, SightIssue

_LOG = structlog.get_logger("lesson")
_LOOK_S = 0.5
_AGAIN_US = 15_000_000
"""How often the store is told of what was learned, until it has it."""
_SILENCE_US = 30_000_000
"""The store asks every few seconds; a longer silence is a store, or a radio, that is gone."""
_NOBODY_US = 300_000_000
_NO_PICTURE_US = 15_000_000
_MOST_OVER = 64
"""Lessons whose end is remembered: the store may not have heard of it."""
_SENTENCES = {
    "in-use": "A shopper has this cart. Please take another one, or wait until it is free.",
    "taken": "A shopper took the cart. Nothing was learned; please show the product to another one.",
    "busy": "Another product is being shown to this cart.",
    "nobody": "Nothing was shown for five minutes. Please start again.",
    "no-camera": "This cart's camera shows no pictures. Please have the cart looked at.",
    "stopped": "The lesson was ended.",
    "failed": "The cart could not learn it. Please have the cart looked at: its log says what happened.",
}


class _Lesson(msgspec.Struct):
    """The one under way."""

    wanted: LessonWanted
    enrolment: Enrolment
    asked_us: int
    """When the store last said that it is to go on."""
    news_us: int
    """When the last shot was taken; at first, when it began."""
    frame_us: int
    showing: Showing


class Lessons:
    """At most one product at a time. It is watched in `run`; the other methods may be called from its event loop."""

    def __init__(
        self, link: StoreLink, sights: Sights, clock: Clock, *, phase: Callable[[], Phase], prices: Book
    ) -> None:
        self.sights = sights
        self._link, self._files, self._clock = link, sights.files, clock
        self._issues = Learn(sights)
        self._phase, self._prices = phase, prices
        self._lesson: _Lesson | None = None
        self._frame: Frame | None = None
        self._happened = asyncio.Event()
        self._over = dict[LessonId, LessonShown]()
        self._learned = {each.lesson: each for each in sights.files.lessons()}
        self._next_us = 0

    @property
    def now(self) -> tuple[str, Showing] | None:
        """The name of what is being shown, and how far it has come; None where nothing is."""
        return (self._lesson.wanted.name, self._lesson.showing) if self._lesson else None

    def hear(self, message: SightIssue | LessonWanted | LessonKept) -> None:
        """Hear what the store says of goods by sight, and answer."""
        match message:
            case SightIssue():
                self._issues.issued(message)
            case LessonWanted():
                self._wanted(message)
            case LessonKept():
                self._kept(message)

    def _wanted(self, message: LessonWanted) -> None:
        lesson, now_us = self._lesson, self._clock.monotonic_us()
        if message.lesson in self._learned:
            self._link.send(self._learned[message.lesson])
        elif message.lesson in self._over:
            self._link.send(self._over[message.lesson])
        elif message.stop:
            self._end(message.lesson, "stopped")
        elif lesson is not None and lesson.wanted.lesson == message.lesson:
            lesson.asked_us = now_us
            self._tell(lesson)
        elif lesson is not None:
            self._end(message.lesson, "busy")
        elif self._phase() is not Phase.IDLE:
            self._end(message.lesson, "in-use")
        else:
            self._begin(message, now_us)

    def _kept(self, message: LessonKept) -> None:
        """Forget what came of a lesson: the store has it."""
        if self._learned.pop(message.lesson, None) is not None:
            self._files.drop_lesson(message.lesson)

    def onlook(self, frame: Frame) -> bool:
        """See what the camera sees, and return whether something is being shown to it: of that nothing is recorded.

        A frame that nobody had time for is forgotten for the next one.
        """
        if self._lesson is None:
            return False
        self._frame = frame
        self._happened.set()
        return True

    async def run(self) -> None:
        """Watch, take what the store issues, and tell it of what was learned, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._issues.run(), name="learn")
            group.create_task(self._watch(), name="watch a lesson")

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._happened.wait()
            except TimeoutError:
                pass
            self._happened.clear()
            lesson, frame, self._frame = self._lesson, self._frame, None
            if lesson is not None and frame is not None:
                await self._look(lesson, frame)
            self._see_to_the_end()
            self._say_again()

    def _begin(self, wanted: LessonWanted, now_us: int) -> None:
        enrolment = Enrolment(self.sights, wanted.product, wanted.shots, same_as(wanted.product, self._prices()))
        showing = Showing(0, wanted.shots, Seen.SETTLING)
        self._lesson = _Lesson(wanted, enrolment, now_us, now_us, now_us, showing)
        _LOG.info("lesson begins", lesson=wanted.lesson, product=wanted.product)
        self._tell(self._lesson)

    async def _look(self, lesson: _Lesson, frame: Frame) -> None:
        lesson.frame_us = self._clock.monotonic_us()
        try:
            showing = await asyncio.to_thread(lesson.enrolment.show, frame)
            if showing.done and lesson is self._lesson:
                await self._learn(lesson)
                return
        except Exception:  # noqa: BLE001 - the one of this loop: shopping goes on
            _LOG.exception("lesson failed", lesson=lesson.wanted.lesson)
            self._end(lesson.wanted.lesson, "failed")
            return
        if showing.shots > lesson.showing.shots:
            lesson.news_us = lesson.frame_us
        if showing != lesson.showing and lesson is self._lesson:
            lesson.showing = showing
            self._tell(lesson)

    async def _learn(self, lesson: _Lesson) -> None:
        found = LessonLearned(lesson=lesson.wanted.lesson, learned=await asyncio.to_thread(lesson.enrolment.result))
        try:
            await asyncio.to_thread(self._files.keep_lesson, found)
        except OSError as error:
            _LOG.warning("lesson not kept: a restart before the store has it loses it", error=str(error))
        if lesson is not self._lesson:
            return  # it was ended meanwhile
        self._lesson, self._learned[found.lesson] = None, found
        verdict, shots = found.learned.verdict, found.learned.taught.shots
        _LOG.info("lesson learned", lesson=found.lesson, verdict=verdict, shots=shots)
        self._link.send(found)

    def _see_to_the_end(self) -> None:
        """End what nobody goes on with."""
        if (lesson := self._lesson) is None:
            return
        now_us, name = self._clock.monotonic_us(), lesson.wanted.lesson
        if self._phase() is not Phase.IDLE:
            self._end(name, "taken")
        elif now_us - lesson.asked_us > _SILENCE_US:
            _LOG.warning("lesson ends: the store is silent", lesson=name)
            self._lesson = None  # should the store come back and want it, it begins anew
        elif now_us - lesson.frame_us > _NO_PICTURE_US:
            self._end(name, "no-camera")
        elif now_us - lesson.news_us > _NOBODY_US:
            self._end(name, "nobody")

    def _end(self, lesson: LessonId, reason: str) -> None:
        if self._lesson is not None and self._lesson.wanted.lesson == lesson:
            self._lesson = None
        said = self._over[lesson] = LessonShown(lesson=lesson, reason=reason, sentence=_SENTENCES[reason])
        while len(self._over) > _MOST_OVER:
            del self._over[next(iter(self._over))]
        _LOG.info("lesson over", lesson=lesson, reason=reason)
        self._link.send(said)

    def _tell(self, lesson: _Lesson) -> None:
        showing = lesson.showing
        self._link.send(LessonShown(lesson=lesson.wanted.lesson, shots=showing.shots, seen=showing.seen))

    def _say_again(self) -> None:
        now_us = self._clock.monotonic_us()
        if not self._learned or now_us < self._next_us:
            return
        self._next_us = now_us + _AGAIN_US
        for found in self._learned.values():
            self._link.send(found)
