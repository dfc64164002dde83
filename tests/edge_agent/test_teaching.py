"""The store teaches its carts goods by sight: who may be shown what, what becomes of it, and going back."""

import struct
from pathlib import Path

import msgspec
import pytest

from cart_protocol.ids import LessonId, ProductId, StaffId
from cart_protocol.messages import LessonKept, LessonLearned, LessonShown, LessonWanted, SightIssue
from cart_protocol.sight import Learned, Resemblance, Taught, TaughtGoods, Verdict
from edge_agent.core import teaching
from edge_agent.core.events import SightChanged
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.sight_book import LessonStage
from edge_agent.core.views import LessonCard, SightView
from edge_agent.store.journal import SqlJournal
from tests.edge_agent.shop_floor import CHEESE, MILK, RAZOR, Cart, ShopFloor, a_price_book, play

NETWORK, OTHER = "a" * 64, "b" * 64
MINA = StaffId("mina")


def a_lesson(
    product: ProductId = CHEESE, *, network: str = NETWORK, verdict: Verdict = Verdict.SAFE,
    alike: tuple[str, ...] = (), vector: tuple[float, ...] = (0.6, 0.8, 0.0),
) -> Learned:  # fmt: skip
    packed = struct.pack(f"<{len(vector)}e", *vector)
    taught = Taught(product=product, network_sha256=network, shots=5, vector=packed, look_alikes=alike)
    resembles = tuple(Resemblance(name=name, percent=71, taken_for=2) for name in alike)
    return Learned(taught=taught, verdict=verdict, right=5, together=70, resembles=resembles)


async def seeing(floor: ShopFloor, name: str = "c1", network: str = NETWORK) -> Cart:
    """Switch a cart on that knows goods by sight."""
    cart = Cart(name, floor.wire, floor.clock, floor.mint)
    cart.network = network
    cart.switch_on()
    await floor.quiet()
    return cart


def view(floor: ShopFloor) -> SightView:
    return floor.agent.counter.sight.view()


def lesson(floor: ShopFloor) -> LessonCard:
    """The only one on the page."""
    (card,) = view(floor).lessons
    return card


async def shown(floor: ShopFloor, cart: Cart, product: ProductId = CHEESE, **what: object) -> LessonId:
    """Have a product shown to a cart, which learns it."""
    await floor.agent.counter.sight.teach(cart.cart, product, 5, MINA)
    await floor.quiet()
    wanted = cart.lessons[-1]
    assert isinstance(wanted, LessonWanted)
    cart.say(LessonLearned(lesson=wanted.lesson, learned=a_lesson(product, **what)))  # type: ignore[arg-type]
    await floor.quiet()
    return wanted.lesson


async def taught(floor: ShopFloor, cart: Cart, product: ProductId = CHEESE, **what: object) -> LessonId:
    name = await shown(floor, cart, product, **what)
    await floor.agent.counter.sight.use(name, MINA)
    await floor.quiet()
    return name


# ── from a cart to all carts ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_one_cart_was_shown_all_carts_know_once_staff_said_so(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        teacher, learner = await seeing(floor, "c1"), await seeing(floor, "c2")
        await floor.agent.counter.sight.teach(teacher.cart, CHEESE, 3, MINA)
        await floor.quiet()
        (wanted,) = [each for each in teacher.lessons if isinstance(each, LessonWanted)]
        assert (wanted.product, wanted.name, wanted.shots) == (CHEESE, "Cheese", 3)
        assert learner.lessons == []
        teacher.say(LessonShown(lesson=wanted.lesson, shots=2, seen="same"))
        await floor.quiet()
        assert (lesson(floor).shots, lesson(floor).wanted, lesson(floor).seen) == (2, 3, "same")
        teacher.say(LessonLearned(lesson=wanted.lesson, learned=a_lesson()))
        await floor.quiet()
        assert lesson(floor).stage == "taken"
        assert LessonKept(lesson=wanted.lesson) in teacher.lessons, "the cart may forget it"
        assert learner.sight is None, "nobody has said that it is to be used"
        await floor.agent.counter.sight.use(wanted.lesson, MINA)
        await floor.quiet()
        for cart in (teacher, learner):
            assert cart.sight is not None
            assert (cart.sight.version, [each.product for each in cart.sight.taught]) == (1, [CHEESE])
        assert view(floor).lessons == ()
        (card,) = view(floor).known
        assert (card.name, card.shots, card.verdict) == ("Cheese", 5, "safe")
        late = await seeing(floor, "c3")
        assert late.sight is not None, "retained: who comes later has it too"

    play(tmp_path, story)


def test_what_was_shown_at_a_cart_alone_waits_for_staff_and_may_be_set_aside(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        for name in ("x1", "x2"):
            cart.say(LessonLearned(lesson=LessonId(name), learned=a_lesson(CHEESE if name == "x1" else MILK)))
        await floor.quiet()
        assert {each.name for each in view(floor).lessons} == {"Cheese", "Milk"}
        assert all(each.asked_by is None for each in view(floor).lessons)
        await floor.agent.counter.sight.set_aside(LessonId("x2"), MINA)
        await floor.agent.counter.sight.use(LessonId("x1"), MINA)
        await floor.quiet()
        assert view(floor).lessons == ()
        assert cart.sight is not None
        assert [each.product for each in cart.sight.taught] == [CHEESE]
        with pytest.raises(StaffRefusedError, match="not-learned"):
            await floor.agent.counter.sight.use(LessonId("x2"), MINA)

    play(tmp_path, story)


def test_the_same_result_again_and_again_is_one_and_answered_each_time(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        for _ in range(3):
            cart.say(LessonLearned(lesson=LessonId("x1"), learned=a_lesson()))
            await floor.quiet()
        assert len(view(floor).lessons) == 1
        assert cart.lessons == [LessonKept(lesson=LessonId("x1"))] * 3

    play(tmp_path, story)


def test_nothing_is_kept_over_the_wire_before_it_is_on_the_disk(tmp_path: Path) -> None:
    """The cart is told that it may forget only what a restarted store still knows."""

    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        name = await shown(floor, cart, alike=("Lemon",), verdict=Verdict.TAP)
        await floor.restart()
        assert (lesson(floor).lesson, lesson(floor).stage, lesson(floor).alike) == (name, "taken", ("Lemon",))
        await floor.agent.counter.sight.use(name, MINA)
        await floor.restart()
        assert view(floor).version == 1
        assert [card.alike for card in view(floor).known] == [("Lemon",)]

    play(tmp_path, story)


def test_a_lesson_under_way_goes_on_after_a_restart_of_the_store(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await floor.quiet()
        await floor.restart()
        cart.lose_radio()
        cart.find_radio()
        await floor.quiet(5)
        said = [each for each in cart.lessons if isinstance(each, LessonWanted)]
        assert len(said) >= 3, "it is said again every two seconds"
        assert len({each.lesson for each in said}) == 1

    play(tmp_path, story)


# ── what can go wrong with a cart ────────────────────────────────────────────────────────────────────────────────────


def test_a_cart_that_goes_away_or_says_nothing_is_given_up_and_may_still_come_back_with_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        away, mute = await seeing(floor, "c1"), await seeing(floor, "c2")
        for cart in (away, mute):
            await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await floor.quiet()
        name = next(each.lesson for each in away.lessons if isinstance(each, LessonWanted))
        away.lose_radio()
        await floor.quiet(70)
        stages = {each.cart: (each.stage, each.sentence) for each in view(floor).lessons}
        assert stages["c1"][0] == stages["c2"][0] == "failed"
        assert "lost its connection" in stages["c1"][1]
        assert "does not answer" in stages["c2"][1]
        away.find_radio()
        away.say(LessonLearned(lesson=name, learned=a_lesson()))
        await floor.quiet()
        assert {each.cart: each.stage for each in view(floor).lessons}["c1"] == "taken"

    play(tmp_path, story)


def test_what_the_cart_says_ends_it_and_staff_can_end_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await floor.quiet()
        cart.say(LessonShown(lesson=lesson(floor).lesson, reason="taken", sentence="A shopper took the cart."))
        await floor.quiet()
        assert (lesson(floor).stage, lesson(floor).sentence) == ("failed", "A shopper took the cart.")
        await floor.agent.counter.sight.teach(cart.cart, MILK, 3, MINA)
        await floor.quiet()
        under_way = next(each for each in view(floor).lessons if each.stage == "asked")
        await floor.agent.counter.sight.stop(under_way.lesson)
        await floor.quiet()
        last = cart.lessons[-1]
        assert isinstance(last, LessonWanted)
        assert (last.lesson, last.stop) == (under_way.lesson, True)
        cart.say(LessonLearned(lesson=under_way.lesson, learned=a_lesson(MILK)))
        await floor.quiet()
        assert {each.stage for each in view(floor).lessons} == {"failed"}, "nobody wants it any more"
        assert cart.lessons[-1] == LessonKept(lesson=under_way.lesson)

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("learned", "word"),
    [
        (a_lesson(MILK), "another product"),
        (a_lesson(vector=(3.0, 4.0)), "damaged"),
        (a_lesson(vector=()), "damaged"),
        (a_lesson(vector=(float("nan"), 0.0)), "damaged"),
        (a_lesson(alike=("x" * 101,)), "too long"),
        (a_lesson(alike=tuple(map(str, range(60)))), "too long"),
    ],
)
def test_a_prototype_that_would_spoil_every_carts_issue_is_not_taken(
    tmp_path: Path, learned: Learned, word: str
) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await floor.quiet()
        cart.say(LessonLearned(lesson=lesson(floor).lesson, learned=learned))
        await floor.quiet()
        assert lesson(floor).stage == "failed"
        assert word in lesson(floor).sentence

    play(tmp_path, story)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "a\0b", "../../x"])
def test_a_lesson_by_a_name_that_is_none_is_left(tmp_path: Path, name: str) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        cart.say(LessonLearned(lesson=LessonId(name), learned=a_lesson()))
        await floor.quiet()
        assert view(floor).lessons == ()

    play(tmp_path, story)


def test_another_length_for_the_same_network_is_not_taken(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await taught(floor, cart)
        cart.say(LessonLearned(lesson=LessonId("x2"), learned=a_lesson(MILK, vector=(0.6, 0.8))))
        await floor.quiet()
        assert (lesson(floor).stage, lesson(floor).cart) == ("failed", "c1")

    play(tmp_path, story)


def test_another_carts_answer_is_nobodys(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart, liar = await seeing(floor, "c1"), await seeing(floor, "c2")
        await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await floor.quiet()
        name = lesson(floor).lesson
        liar.say(LessonShown(lesson=name, reason="failed", sentence="Ha"))
        liar.say(LessonLearned(lesson=name, learned=a_lesson()))
        await floor.quiet()
        assert lesson(floor).stage == "asked"

    play(tmp_path, story)


def test_a_cart_that_floods_the_store_with_lessons_fills_a_hundred_places(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        for number in range(teaching.MOST_WAITING + 20):
            cart.say(LessonLearned(lesson=LessonId(f"x{number}"), learned=a_lesson()))
            await floor.quiet()
        waiting = floor.agent.recorder.shop.sight.of_stage(LessonStage.TAKEN)
        assert len(waiting) == teaching.MOST_WAITING
        assert len(cart.lessons) == teaching.MOST_WAITING, "the others stay with the cart"

    play(tmp_path, story)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_shown_is_refused_by_name(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor, "c1")
        blind = await floor.cart("c2")
        sight = floor.agent.counter.sight

        async def refused(reason: str, cart: Cart, product: ProductId = CHEESE, shots: int = 5) -> None:
            with pytest.raises(StaffRefusedError, match=reason):
                await sight.teach(cart.cart, product, shots, MINA)

        await refused("unknown-product", cart, ProductId("plu:09999"))
        await refused("bad-shots", cart, shots=11)
        await refused("not-able", blind)
        await floor.agent.counter.sight.teach(cart.cart, CHEESE, 3, MINA)
        await sight.teach(cart.cart, CHEESE, 3, MINA)
        assert len(view(floor).lessons) == 1, "the same again is the same"
        await refused("busy", cart, MILK)
        bound = await seeing(floor, "c3")
        await floor.agent.counter.bind(floor.mint.uuid(), bound.code)  # type: ignore[arg-type]
        await floor.quiet()
        await refused("in-use", bound)
        with pytest.raises(StaffRefusedError, match="unknown-lesson"):
            await sight.use(LessonId("nothing"), MINA)
        with pytest.raises(StaffRefusedError, match="unknown-version"):
            await sight.roll_back(7, MINA)
        with pytest.raises(StaffRefusedError, match="unknown-product"):
            await sight.retire(RAZOR, MINA)

    play(tmp_path, story)


def test_scattered_shots_are_never_taught_to_carts(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        name = await shown(floor, cart, verdict=Verdict.SCATTERED)
        with pytest.raises(StaffRefusedError, match="scattered"):
            await floor.agent.counter.sight.use(name, MINA)

    play(tmp_path, story)


def test_with_several_boxes_nothing_is_taught(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        shop = floor.agent.recorder.shop
        shop.partitions = 2
        with pytest.raises(StaffRefusedError, match="several-boxes"):
            await floor.agent.counter.sight.roll_back(0, MINA)
        assert view(floor).several_boxes

    play(tmp_path, story)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_retiring_bringing_back_forgetting_and_going_back_each_make_a_version(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        sight = floor.agent.counter.sight
        await taught(floor, cart)
        await taught(floor, cart, MILK, vector=(0.0, 0.6, 0.8))
        await sight.retire(CHEESE, MINA)
        await floor.quiet()
        assert cart.sight is not None
        assert (cart.sight.version, cart.sight.out_of_season) == (3, (CHEESE,))
        assert {each.product for each in cart.sight.taught} == {CHEESE, MILK}, "its prototype stays for the next season"
        await sight.retire(CHEESE, MINA)
        assert view(floor).version == 3, "the same again is the same"
        await sight.bring_back(CHEESE, MINA)
        await sight.forget(MILK, MINA)
        await floor.quiet()
        assert (cart.sight.version, cart.sight.out_of_season) == (5, ())
        assert [each.product for each in cart.sight.taught] == [CHEESE]
        await sight.roll_back(3, MINA)
        await floor.quiet()
        assert (cart.sight.version, cart.sight.out_of_season) == (6, (CHEESE,))
        assert {each.product for each in cart.sight.taught} == {CHEESE, MILK}
        await sight.roll_back(3, MINA)
        assert view(floor).version == 6, "that is what carts know already"
        await sight.roll_back(0, MINA)
        await floor.quiet()
        assert (cart.sight.version, cart.sight.taught, cart.sight.out_of_season) == (7, (), ())
        assert [each.number for each in view(floor).versions] == [7, 6, 5, 4, 3, 2, 1, 0]
        assert [each.number for each in view(floor).versions if each.same] == [7, 0]
        assert {each.staff for each in view(floor).versions} == {MINA, None}
        await floor.restart()
        cart.lose_radio()
        cart.find_radio()
        await floor.quiet()
        assert [each.number for each in view(floor).versions] == [7, 6, 5, 4, 3, 2, 1, 0]

    play(tmp_path, story)


def test_teaching_again_replaces_and_a_retired_product_comes_back_by_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await taught(floor, cart)
        await floor.agent.counter.sight.retire(CHEESE, MINA)
        await taught(floor, cart, vector=(1.0, 0.0, 0.0))
        assert cart.sight is not None
        (prototype,) = cart.sight.taught
        assert prototype.vector == struct.pack("<3e", 1, 0, 0)
        assert cart.sight.out_of_season == ()

    play(tmp_path, story)


def test_the_page_says_which_carts_lag_and_what_is_to_be_taught_again(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        await taught(floor, cart)
        assert [(each.cart, each.version) for each in view(floor).carts] == [("c1", 1)]
        assert not view(floor).known[0].other_network
        cart.network = OTHER
        cart.present()
        await floor.quiet()
        assert view(floor).known[0].other_network
        cart.lose_radio()
        await floor.quiet()
        assert view(floor).carts == ()
        assert not view(floor).known[0].other_network, "nobody is there to say so"

    play(tmp_path, story)


def test_the_first_version_after_a_lost_journal_is_above_what_carts_have(tmp_path: Path) -> None:
    """Carts refuse what is not newer: a store that begins anew would talk to the wall."""

    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        cart.say(LessonLearned(lesson=LessonId("x1"), learned=a_lesson()))
        cart.sight = TaughtGoods(version=41, taught=(), out_of_season=())
        cart.present()
        await floor.quiet()
        await floor.agent.counter.sight.use(LessonId("x1"), MINA)
        assert view(floor).version == 42

    play(tmp_path, story)


def test_what_is_issued_is_signed_as_it_stands(tmp_path: Path) -> None:
    signed: list[bytes] = []

    async def story(floor: ShopFloor) -> None:
        floor.agent._sight._sign = lambda text: signed.append(text) or b"signature"  # type: ignore[func-returns-value]
        cart = await seeing(floor)
        await taught(floor, cart)
        (issue,) = [message for _, message in floor.wire.sent if isinstance(message, SightIssue)]
        assert issue.goods.encode() == signed[-1]
        assert issue.signature == "c2lnbmF0dXJl"

    play(tmp_path, story)


def test_goods_the_book_connects_with_shipped_names_can_be_retired_and_share_their_look_alikes(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        book = a_price_book(version=2)
        named = tuple(
            msgspec.structs.replace(each, sight="Cream" if each.id in (MILK, CHEESE) else "") for each in book.products
        )
        floor.book = msgspec.structs.replace(book, products=named)
        await floor.restart()
        cart = await seeing(floor)
        cards = {card.name: card for card in view(floor).known}
        assert cards["Milk"].alike == ("Cheese",), "sight cannot tell what shares a name"
        await taught(floor, cart, RAZOR, verdict=Verdict.TAP, alike=("Cream",))
        cards = {card.name: card for card in view(floor).known}
        assert cards["Razor"].alike == ("Milk / Cheese",)
        assert "Razor" in cards["Milk"].alike, "said of one, it holds for both"
        await floor.agent.counter.sight.retire(MILK, MINA)
        await floor.quiet()
        assert cart.sight is not None
        assert cart.sight.out_of_season == (MILK,)

    play(tmp_path, story)


def test_every_change_is_a_fact_with_who_did_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await seeing(floor)
        name = await taught(floor, cart)
        await floor.kill()
        with SqlJournal(floor.database) as journal:
            found = [fact.event for fact in journal.replay() if isinstance(fact.event, SightChanged)]
        assert found == [SightChanged(version=1, staff=MINA, doing="taught", product=CHEESE, lesson=name)]
        await floor.open()

    play(tmp_path, story)
