"""What a shop's pages show on a busy afternoon: a cart's lines, the console, goods by sight."""

from msgspec.structs import replace

from cart_protocol.ids import (
    CartId,
    IncidentId,
    LaneId,
    LessonId,
    OrderNumber,
    ProductId,
    RecordId,
    SessionId,
    StaffId,
)
from cart_protocol.money import Money
from edge_agent.core.views import (
    CartCard,
    ConsoleView,
    Counters,
    IncidentCard,
    KnownCard,
    LaneCard,
    LessonCard,
    LevelCard,
    LineView,
    RecordCard,
    RecordView,
    SightCart,
    SightView,
    TaxView,
    TeachableCard,
    VersionCard,
)

STORE = "Corner Market"
NOW_MS = 1_763_800_000_000
LINES = (
    LineView(
        line="l1",
        name="Whole milk, 1 l",
        quantity=2,
        amount="2 x",
        unit="€1.29 each",
        total=Money(258, "EUR"),
        origin="Dairy of the Seven Hills, Bavaria",
        nutrition="Per 100 ml: 268 kJ / 64 kcal, fat 3.5 g, sugars 4.8 g, protein 3.3 g",
        allergens="Contains milk",
    ),
    LineView(
        line="l2",
        name="Bananas",
        quantity=1,
        amount="0.482 kg",
        unit="€1.99 / kg",
        total=Money(96, "EUR"),
        origin="Ecuador",
        nutrition="Per 100 g: 374 kJ / 88 kcal, sugars 17 g",
    ),
    LineView(
        line="l3",
        name="Sourdough bread with sunflower and pumpkin seeds, sliced",
        quantity=1,
        amount="1 x",
        unit="€3.49 each",
        total=Money(349, "EUR"),
        origin="Baked in the shop",
        nutrition="Per 100 g: 1,050 kJ / 250 kcal, salt 1.2 g",
        allergens="Contains gluten (wheat, rye); may contain sesame",
    ),
    LineView(
        line="l4", name="Ground coffee, 500 g", quantity=1, amount="1 x", unit="€6.99 each", total=Money(699, "EUR")
    ),
)
TAXES = (
    TaxView(name="reduced rate 7 %", gross=Money(703, "EUR"), tax=Money(46, "EUR")),
    TaxView(name="standard rate 19 %", gross=Money(699, "EUR"), tax=Money(112, "EUR")),
)


def a_sight() -> SightView:
    """An autumn morning: one product being shown, one learned with a look-alike, one failed, one scattered."""
    lesson = LessonCard(
        lesson=LessonId("l1"), stage="asked", at_ms=NOW_MS - 20_000, cart=CartId("c2"), product=ProductId("plu:00071"),
        name="Figs, loose", listed=True, asked_by=StaffId("adam"), shots=3, wanted=5, seen="same", verdict="", right=0,
        together=0, resembles=(), alike=(), sentence="", known=False,
    )  # fmt: skip
    taken = replace(
        lesson, lesson=LessonId("l2"), stage="taken", name="Boskoop apples", shots=5, verdict="tap", right=4,
        together=71, product=ProductId("plu:00072"), resembles=(("Royal Gala apples", 63), ("Pink Lady apples", 51)),
        alike=("Royal Gala apples", "Pink Lady apples"),
    )  # fmt: skip
    known = KnownCard(
        product=ProductId("plu:00042"), name="Royal Gala apples", listed=True, shipped="Royal-Gala", in_season=True,
        alike=(),
    )  # fmt: skip
    version = VersionCard(
        number=2, at_ms=NOW_MS - 3_600_000, staff=StaffId("mina"), doing="taught", name="Quinces", to=None, taught=1,
        out_of_season=1, same=True,
    )  # fmt: skip
    return SightView(
        revision=1, now_ms=NOW_MS, version=2,
        lessons=(
            lesson,
            taken,
            replace(taken, lesson=LessonId("l3"), name="Mixed nuts", verdict="scattered", resembles=(), alike=()),
            replace(lesson, lesson=LessonId("l4"), stage="failed", sentence="A shopper took the cart."),
        ),
        known=(
            replace(
                known, product=ProductId("plu:00073"), name="Quinces", shipped="", shots=5, verdict="safe", right=5,
            ),
            known,
            replace(known, product=ProductId("plu:00074"), name="Strawberries, loose", shipped="", in_season=False),
        ),
        versions=(
            version,
            replace(version, number=1, doing="retired", name="Strawberries, loose", taught=0, same=False),
            replace(version, number=0, at_ms=0, staff=None, doing="", name="", taught=0, out_of_season=0, same=False),
        ),
        carts=(
            SightCart(cart=CartId("c2"), network="a" * 64, version=2, takes_lessons=True),
            SightCart(cart=CartId("c4"), network="a" * 64, version=1, takes_lessons=True),
        ),
        able=(CartId("c2"),),
        teachable=(
            TeachableCard(product=ProductId("plu:00071"), name="Figs, loose"),
            TeachableCard(product=ProductId("09520101000019"), name="Whole milk, 1 l"),
        ),
        several_boxes=False,
    )  # fmt: skip


def a_record(record: RecordId, cart: CartId, staff: StaffId) -> RecordView:
    """A record that a cart was just asked for."""
    return RecordView(
        revision=0, record=record, cart=cart, stage="asked", session=SessionId("s1"), from_ms=0, until_ms=0,
        asked_by=staff, asked_ms=NOW_MS, order_number=OrderNumber("40125-6"), shopper_here=False, cart_online=True,
        parts_here=0, parts=0, file_size=0, has_picture=False, kept_ms=0, kept_until_ms=0, sentence="",
    )  # fmt: skip


def a_console() -> ConsoleView:
    """A busy afternoon: every kind of card is on it."""
    return ConsoleView(
        revision=1,
        store=STORE,
        now_ms=NOW_MS,
        broker_online=True,
        carts=_carts(),
        lanes=_lanes(),
        incidents=_incidents(),
        counters=Counters(
            events_committed=18_422,
            events_repeated=31,
            gaps_refused=2,
            orders_paid=127,
            paid=Money(412_733, "EUR"),
            exits=125,
            incidents=6,
        ),
        levels=LEVELS,
    )


def _carts() -> tuple[CartCard, ...]:
    def cart(name: str, state: str, minor: int = 0, **more: object) -> CartCard:
        card = CartCard(
            cart=CartId(name),
            state=state,
            online=state != "offline",
            code="",
            items=0,
            total=Money(minor, "EUR"),
            mass="0 g",
            attention="",
            faults=(),
            last_seen_ms=NOW_MS - 2_000,
            epoch=1,
            committed=412,
        )
        return replace(card, **more)

    return (
        cart("c1", "shopping", 1402, items=5, mass="3.214 kg"),
        cart("c2", "free", code="7K3M9Q"),
        cart(
            "c3",
            "shopping",
            560,
            items=2,
            mass="1.020 kg",
            attention="Something was put in without a scan (+412 g).",
        ),
        cart("c4", "paid", 8_455, items=23, mass="14.871 kg"),
        cart("c5", "faulty", faults=("load-cell-silent",)),
        cart("c6", "offline", 310, items=1, last_seen_ms=NOW_MS - 260_000),
        cart("c7", "charging", code=""),
        cart("c8", "withdrawn"),
    )


def _lanes() -> tuple[LaneCard, ...]:
    return (
        LaneCard(
            lane=LaneId("lane-2"),
            state="failed",
            order_number=OrderNumber("40125-6"),
            said="Your goods weigh 480 grams more than what was paid. Please check your goods.",
            expected="3.214 kg",
            measured="3.694 kg",
            tolerance="± 38 g",
            cause="not-scanned",
            holds=IncidentId("i2"),
            tolerance_reasons=(
                "goods: 31 g (3 sigma over 5 lines)",
                "exit scale: 15 g (class III, e = 5 g)",
                "bags: 10 g",
            ),
        ),
        LaneCard(
            lane=LaneId("lane-3"),
            state="passed",
            order_number=OrderNumber("40124-9"),
            said="Thank you. Please go through.",
            expected="14.871 kg",
            measured="14.860 kg",
            tolerance="± 71 g",
            deactivator_live=True,
            barrier_open=True,
        ),
    )


def _incidents() -> tuple[IncidentCard, ...]:
    return (
        IncidentCard(
            incident=IncidentId("i2"),
            at_ms=NOW_MS - 64_000,
            where="Lane 2",
            cause="not-scanned",
            sentence="Order 40125-6 weighs 480 g more than it should.",
            evidence=(
                "expected 3.214 kg ± 38 g, measured 3.694 kg",
                "cart total 3.216 kg",
                "likely: Ground coffee, 500 g",
            ),
            may_let_through=True,
            record=RecordCard(),
        ),
        IncidentCard(
            incident=IncidentId("i1"),
            at_ms=NOW_MS - 1_900_000,
            where="Lane 3",
            cause="tag-alarm",
            sentence="A live tag went through the gate.",
            evidence=(),
            resolved_by="mina",
        ),
    )


def a_level(name: str, value: str, unit: str, thresholds: str, *tide_and_sentence: str) -> LevelCard:
    tide, sentence = tide_and_sentence or ("good", "")
    return LevelCard(name=name, tide=tide, value=value, unit=unit, thresholds=thresholds, sentence=sentence)


LEVELS = (
    a_level("journal-disk-free", "912", "MB", "alarm below 1,000, limit 200 MB", "warning", "The disk is filling up."),
    a_level("journal-size", "1,204", "MB", "alarm above 20,000 MB"),
    a_level("journal-log-size", "4.2", "MB", "alarm above 256 MB"),
    a_level("waiting-to-be-recorded", "0", "decisions", "alarm above 20,000 decisions"),
    a_level("commit-time", "1.8", "ms", "alarm above 2,000 ms"),
    a_level("payments-without-answer", "1", "payments", "alarm above 100 payments"),
    a_level("live-pages", "41", "pages", "alarm above 1,600, limit 2,000 pages"),
)
