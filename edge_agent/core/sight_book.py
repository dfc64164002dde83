"""What the store knows of goods by sight: lessons, and every version of what carts were taught. A fold of facts."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from cart_protocol.ids import LessonId, ProductId
from cart_protocol.sight import Taught, TaughtGoods
from edge_agent.core import events as facts


class LessonStage(StrEnum):
    ASKED = "asked"
    TAKEN = "taken"
    """What was learned is here and waits for somebody to decide."""
    USED = "used"
    """It is, or was, part of a version."""
    FAILED = "failed"
    SET_ASIDE = "set-aside"


class Lesson(msgspec.Struct, kw_only=True):
    """One product shown to one cart. `asked` is missing where it was shown without being asked for."""

    at_ms: int
    """When the last of these happened."""
    stage: LessonStage
    asked: facts.LessonAsked | None = None
    taken: facts.LessonTaken | None = None
    failed: facts.LessonFailed | None = None

    @property
    def product(self) -> ProductId:
        if self.taken is not None:
            return self.taken.learned.taught.product
        return self.asked.product if self.asked else ProductId("")


class SightVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version, whole: by which lesson each product is known, and which are not looked for."""

    number: int
    at_ms: int = 0
    change: facts.SightChanged | None = None
    """What made it; None of the first, which is empty."""
    taught: Mapping[ProductId, LessonId] = {}
    out_of_season: frozenset[ProductId] = frozenset()

    def same_as(self, other: "SightVersion") -> bool:
        return self.taught == other.taught and self.out_of_season == other.out_of_season


class SightBook:
    """Lessons by id, and versions by number, the oldest first."""

    def __init__(self) -> None:
        self.lessons: dict[LessonId, Lesson] = {}
        self.versions: dict[int, SightVersion] = {0: SightVersion(number=0)}
        self.latest = self.versions[0]

    def of_stage(self, stage: LessonStage) -> list[tuple[LessonId, Lesson]]:
        """Return them, the oldest first."""
        return [(name, lesson) for name, lesson in self.lessons.items() if lesson.stage is stage]

    def learned(self, product: ProductId) -> facts.LessonTaken | None:
        """Return by what the latest version knows a product; None where it was not taught."""
        lesson = self.latest.taught.get(product)
        return self.lessons[lesson].taken if lesson else None

    def goods(self) -> TaughtGoods:
        """Return the latest version as carts hear it."""
        return TaughtGoods(
            version=self.latest.number, taught=tuple(self._taught()),
            out_of_season=tuple(sorted(self.latest.out_of_season)),
        )  # fmt: skip

    def _taught(self) -> Sequence[Taught]:
        known = (self.learned(product) for product in sorted(self.latest.taught))
        return [each.learned.taught for each in known if each is not None]

    # ── evolve ──

    def asked(self, event: facts.LessonAsked, at_ms: int) -> None:
        self.lessons[event.lesson] = Lesson(at_ms=at_ms, stage=LessonStage.ASKED, asked=event)

    def taken(self, event: facts.LessonTaken, at_ms: int) -> None:
        lesson = self.lessons.setdefault(event.lesson, Lesson(at_ms=at_ms, stage=LessonStage.TAKEN))
        lesson.stage, lesson.taken, lesson.at_ms = LessonStage.TAKEN, event, at_ms

    def failed(self, event: facts.LessonFailed, at_ms: int) -> None:
        lesson = self.lessons.setdefault(event.lesson, Lesson(at_ms=at_ms, stage=LessonStage.FAILED))
        lesson.stage, lesson.failed, lesson.at_ms = LessonStage.FAILED, event, at_ms

    def set_aside(self, event: facts.LessonSetAside) -> None:
        self.lessons[event.lesson].stage = LessonStage.SET_ASIDE

    def changed(self, event: facts.SightChanged, at_ms: int) -> None:
        taught, gone = dict(self.latest.taught), set(self.latest.out_of_season)
        match event:
            case facts.SightChanged(doing="taught", product=product, lesson=lesson) if product and lesson:
                taught[product] = lesson
                gone.discard(product)
                self.lessons[lesson].stage = LessonStage.USED
            case facts.SightChanged(doing="forgotten", product=product) if product:
                taught.pop(product, None)
            case facts.SightChanged(doing="retired", product=product) if product:
                gone.add(product)
            case facts.SightChanged(doing="brought-back", product=product) if product:
                gone.discard(product)
            case facts.SightChanged(doing="rolled-back", to=int(to)):
                older = self.versions[to]
                taught, gone = dict(older.taught), set(older.out_of_season)
            case _:
                pass
        self.latest = self.versions[event.version] = SightVersion(
            number=event.version, at_ms=at_ms, change=event, taught=taught, out_of_season=frozenset(gone)
        )
