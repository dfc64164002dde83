"""Has carts look at what staff show them, and takes in what they learn: asked for here, or shown at the cart alone.

A lesson is a fact, so it goes on after a restart of the store; how far it has come is in memory only. What a cart
learned is committed before the cart is told that it may forget it.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

import msgspec
import structlog

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId, LessonId
from cart_protocol.messages import LessonKept, LessonLearned, LessonShown, LessonWanted
from edge_agent.core import teaching
from edge_agent.core.events import Fact, LessonAsked, LessonFailed
from edge_agent.core.sight_book import LessonStage
from edge_agent.ports import CartLink
from edge_agent.services.presence import Presence
from edge_agent.services.record import Recorder

_LOG = structlog.get_logger("teach")
_AGAIN_S = 2.0
"""How often a cart is told that a lesson goes on; it gives up after 30 s of silence."""
_AWAY_US = 60_000_000
_NO_ANSWER_US = 20_000_000
_LONGEST_SENTENCE = 300
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_MOST_LEARNED = 200
"""Waiting to be recorded; carts say again what is more."""
_SENTENCES = {
    "offline": "The cart lost its connection. Show the product again when it is back, or show it to another one.",
    "no-answer": "The cart is connected and does not answer. Show the product to another one.",
}


class _Class(msgspec.Struct):
    """One lesson under way."""

    here_us: int
    """When its cart was last connected."""
    said_us: int
    """When it last said something of it; at first, when it was asked."""
    shown: LessonShown | None = None


class Teach:
    """Every lesson under way is repeated to its cart until it ends."""

    def __init__(self, link: CartLink, recorder: Recorder, presence: Presence, clock: Clock) -> None:
        self._link, self._recorder, self._presence, self._clock = link, recorder, presence, clock
        self._classes: dict[LessonId, _Class] = {}
        self._learned = deque[tuple[CartId, LessonLearned]]()
        self._look_now, self._came = asyncio.Event(), asyncio.Event()
        recorder.listen(self._committed)

    def shown(self, lesson: LessonId) -> LessonShown | None:
        """Return what the cart last said of a lesson under way."""
        known = self._classes.get(lesson)
        return known.shown if known else None

    def heard(self, cart: CartId, message: LessonShown | LessonLearned) -> None:
        """Take in what a cart says of a lesson."""
        if isinstance(message, LessonLearned):
            if not _ID.fullmatch(message.lesson):
                _LOG.warning("a lesson of no name", cart=cart, lesson=message.lesson[:64])
            elif len(self._learned) < _MOST_LEARNED:
                self._learned.append((cart, message))
                self._came.set()
            return
        known = self._classes.get(message.lesson)
        lesson = self._recorder.shop.sight.lessons.get(message.lesson)
        if known is None or lesson is None or lesson.asked is None or lesson.asked.cart != cart:
            return
        known.said_us = self._clock.monotonic_us()
        if message.reason:
            sentence = message.sentence[:_LONGEST_SENTENCE]
            self._fail(message.lesson, message.reason[:_LONGEST_SENTENCE], sentence)
        elif known.shown != message:
            known.shown = message
            self._recorder.changes.bump([cart])

    async def run(self) -> NoReturn:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(), name="ask for lessons")
            group.create_task(self._take_in(), name="take in lessons")
        raise AssertionError("both go on for ever")

    async def _ask(self) -> NoReturn:
        while True:
            self._look_now.clear()
            now_us = self._clock.monotonic_us()
            under_way = {
                name: lesson.asked
                for name, lesson in self._recorder.shop.sight.of_stage(LessonStage.ASKED)
                if lesson.asked
            }
            self._classes = {name: self._classes.get(name) or _Class(now_us, now_us) for name in under_way}
            for name, asked in under_way.items():
                self._see_to(name, asked, now_us)
            try:
                async with asyncio.timeout(_AGAIN_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    def _see_to(self, name: LessonId, asked: LessonAsked, now_us: int) -> None:
        known = self._classes[name]
        if asked.cart not in self._presence.online:
            known.said_us = now_us
            if now_us - known.here_us > _AWAY_US:
                self._fail(name, "offline", _SENTENCES["offline"])
            return
        known.here_us = now_us
        if now_us - known.said_us > _NO_ANSWER_US:
            self._fail(name, "no-answer", _SENTENCES["no-answer"])
        else:
            self._link.send(self._wanted(asked), asked.cart)

    def _wanted(self, asked: LessonAsked, *, stop: bool = False) -> LessonWanted:
        latest = self._recorder.shop.books.latest
        product = latest.find(asked.product) if latest else None
        name = product.name if product else asked.product
        return LessonWanted(lesson=asked.lesson, product=asked.product, name=name, shots=asked.shots, stop=stop)

    def _fail(self, lesson: LessonId, reason: str, sentence: str) -> None:
        _LOG.info("lesson failed", lesson=lesson, reason=reason)
        self._recorder.post(lambda shop, _: teaching.fail(shop, lesson, reason, sentence))

    async def _take_in(self) -> NoReturn:
        while True:
            await self._came.wait()
            self._came.clear()
            while self._learned:
                await self._record(*self._learned.popleft())

    async def _record(self, cart: CartId, message: LessonLearned) -> None:
        shop = self._recorder.shop
        if message.lesson not in shop.sight.lessons and not teaching.has_room(shop):
            _LOG.warning("too many lessons wait for somebody to decide", cart=cart, lesson=message.lesson)
            return
        await self._recorder.submit(lambda shop, _: teaching.take(shop, cart, message))
        self._link.send(LessonKept(lesson=message.lesson), cart)

    def _committed(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            match fact.event:
                case LessonAsked():
                    self._look_now.set()
                case LessonFailed(lesson=name, cart=cart, reason="stopped"):
                    lesson = self._recorder.shop.sight.lessons[name]
                    if lesson.asked:  # should it be lost, the cart ends by our silence
                        self._link.send(self._wanted(lesson.asked, stop=True), cart)
