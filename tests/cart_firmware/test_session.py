"""What the store may ask of a cart, in every phase, and what the screen says then."""

import itertools

import pytest

from cart_firmware.core import session
from cart_firmware.core.decision import Draft
from cart_firmware.core.prompts import Situation, Tone, prompt
from cart_protocol.basket import (
    BasketFrozen,
    BasketThawed,
    CodeOffered,
    CommandRefused,
    Fault,
    FaultsChanged,
    Phase,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    Withdrawn,
)
from cart_protocol.ids import CommandId, SessionId
from cart_protocol.mass import grams
from cart_protocol.messages import (
    BeginSession,
    Command,
    EndSession,
    ExplainWeight,
    Freeze,
    Instruction,
    SetWithdrawn,
    Thaw,
)
from tests.cart_firmware.corner_shop import CODE, JAM, MILK, PRICES, SESSION, Trip, kinds

OTHER = SessionId("s2")


def refusal(trip: Trip, instruction: Instruction) -> str:
    """Return the one reason for which an instruction is refused."""
    (event,) = trip.command(instruction)
    assert isinstance(event, CommandRefused)
    return event.reason


def with_milk() -> Trip:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    return trip


def said(trip: Trip, remark: str = "", subject: str = "") -> str:
    return prompt(Situation(basket=trip.basket, prices=PRICES, remark=remark, subject=subject)).sentence


def test_a_new_cart_offers_a_code_and_keeps_it_over_a_restart() -> None:
    trip = Trip()
    assert trip.events == [CodeOffered(code=CODE)]
    assert trip.tell(session.started) == []


def test_the_code_on_the_screen_begins_a_session_and_is_gone() -> None:
    trip = Trip()
    assert trip.command(BeginSession(session=SESSION, code=CODE), "c") == [
        SessionBegan(session=SESSION, command=CommandId("c"))
    ]
    assert trip.basket.phase is Phase.SHOPPING
    assert trip.basket.code == ""


@pytest.mark.parametrize("code", ["", "000000", CODE.lower()])
def test_any_other_code_does_not(code: str) -> None:
    assert refusal(Trip(), BeginSession(session=SESSION, code=code)) == "unknown-code"


def test_a_cart_in_use_is_busy_even_with_the_old_code() -> None:
    assert refusal(Trip.begun(), BeginSession(session=OTHER, code=CODE)) == "busy"


@pytest.mark.parametrize(("fault", "reason"), [(Fault.CHARGING, "charging"), (Fault.CAMERA_SILENT, "faulty")])
def test_a_cart_with_a_fault_is_not_handed_out(fault: Fault, reason: str) -> None:
    trip = Trip()
    trip.tell(lambda draft, _: draft.add(FaultsChanged(faults=(fault,))))
    assert refusal(trip, BeginSession(session=SESSION, code=CODE)) == reason


def test_a_withdrawn_cart_is_not_handed_out_until_it_is_put_back() -> None:
    trip = Trip()
    assert trip.command(SetWithdrawn(withdrawn=True), "w") == [Withdrawn(command=CommandId("w"), withdrawn=True)]
    assert refusal(trip, BeginSession(session=SESSION, code=CODE)) == "withdrawn"
    trip.command(SetWithdrawn(withdrawn=False))
    assert kinds(trip.command(BeginSession(session=SESSION, code=CODE))) == ["SessionBegan"]


def test_the_end_of_a_session_forgets_everything_and_offers_a_new_code() -> None:
    trip = with_milk()
    trip.put(300)  # held
    events = trip.command(EndSession(session=SESSION, reason="handed-back"), "e")
    assert events[0] == SessionEnded(session=SESSION, reason="handed-back", command=CommandId("e"))
    assert CodeOffered(code=CODE) in events
    assert (trip.basket.phase, trip.basket.lines, trip.basket.session) == (Phase.IDLE, {}, None)
    assert trip.evidence.held == ()
    assert kinds(trip.put(-1_332)) == ["LoadSettled"]


def test_an_order_is_the_lines_and_the_settled_load() -> None:
    trip = with_milk()
    events = trip.command(Freeze(session=SESSION), "f")
    assert events[-1] == BasketFrozen(command=CommandId("f"), settled=grams(1_032), variance=trip.evidence.variance)
    assert trip.basket.phase is Phase.FROZEN


def test_an_order_counts_from_the_tare() -> None:
    trip = Trip()
    trip.put(750)
    trip.command(BeginSession(session=SESSION, code=CODE))
    trip.scan(MILK)
    trip.put(1_030)
    frozen = trip.command(Freeze(session=SESSION))[-1]
    assert isinstance(frozen, BasketFrozen)
    assert frozen.settled == grams(1_030)


def test_an_empty_cart_is_no_order() -> None:
    assert refusal(Trip.begun(), Freeze(session=SESSION)) == "empty"


def test_a_scan_that_waits_for_its_weight_delays_the_order() -> None:
    trip = with_milk()
    trip.scan(JAM)
    assert refusal(trip, Freeze(session=SESSION)) == "pending"


def test_unexplained_weight_prevents_the_order() -> None:
    trip = with_milk()
    trip.put(300)
    assert refusal(trip, Freeze(session=SESSION)) == "unexplained"
    trip.wait(3)
    assert refusal(trip, Freeze(session=SESSION)) == "unexplained"
    trip.put(-300)
    assert kinds(trip.command(Freeze(session=SESSION))) == ["BasketFrozen"]


def test_a_moving_cart_is_no_order_and_is_waited_for_a_moment() -> None:
    trip = with_milk()
    trip.weighed_level(grams(1_032), quiet=False)
    freeze = Command(id=CommandId("f"), expires_ms=0, instruction=Freeze(session=SESSION))
    assert session.must_wait(Draft(trip.basket, trip.evidence), freeze)
    assert refusal(trip, Freeze(session=SESSION)) == "moving"
    trip.weighed_level(grams(1_032), quiet=True)
    assert not session.must_wait(Draft(trip.basket, trip.evidence), freeze)


def test_keep_shopping_opens_the_basket_again() -> None:
    trip = with_milk()
    trip.command(Freeze(session=SESSION))
    assert refusal(trip, Freeze(session=SESSION)) == "already-frozen"
    assert trip.command(Thaw(session=SESSION), "t") == [BasketThawed(command=CommandId("t"))]
    assert refusal(trip, Thaw(session=SESSION)) == "not-frozen"
    trip.scan(JAM)
    trip.put(640)
    assert trip.names == ["Milk", "Jam"]


def test_staff_settle_what_nobody_could_explain() -> None:
    trip = with_milk()
    trip.put(300)
    trip.wait(3)
    events = trip.command(ExplainWeight(session=SESSION), "x")
    assert events == [WeightExplained(number=1, by="staff", command=CommandId("x"))]
    assert refusal(trip, ExplainWeight(session=SESSION)) == "nothing-unexplained"


@pytest.mark.parametrize(
    "instruction",
    [
        EndSession(session=OTHER, reason="left"),
        Freeze(session=OTHER),
        Thaw(session=OTHER),
        ExplainWeight(session=OTHER),
    ],
)
def test_another_shoppers_session_is_not_ours(instruction: Instruction) -> None:
    assert refusal(Trip(), instruction) == "no-session"
    assert refusal(Trip.begun(), instruction) == "other-session"


def test_in_every_phase_every_instruction_gets_exactly_one_answer_that_bears_its_id() -> None:
    phases = (Trip, Trip.begun, with_milk, frozen)
    instructions = (
        BeginSession(session=SESSION, code=CODE), EndSession(session=SESSION, reason="left"), Freeze(session=SESSION),
        Thaw(session=SESSION), ExplainWeight(session=SESSION), SetWithdrawn(withdrawn=True),
    )  # fmt: skip
    for begin, instruction in itertools.product(phases, instructions):
        answers = [event for event in begin().command(instruction, "id") if getattr(event, "command", None) == "id"]
        assert len(answers) == 1


def frozen() -> Trip:
    trip = with_milk()
    trip.command(Freeze(session=SESSION))
    return trip


def test_what_is_left_of_a_commands_life_counts_from_its_arrival_however_wrong_any_clock_is() -> None:
    command = Command(id=CommandId("c"), expires_ms=1_005_000, instruction=Freeze(session=SESSION), sent_ms=1_000_000)
    assert session.expiry_us(command, arrived_us=7, store_ms=99) == 5_000_007


def test_an_older_stores_command_expires_by_that_stores_clock_and_only_if_it_is_known() -> None:
    command = Command(id=CommandId("c"), expires_ms=1_005_000, instruction=Freeze(session=SESSION))
    assert session.expiry_us(command, arrived_us=7, store_ms=1_004_000) == 1_000_007
    assert session.expiry_us(command, arrived_us=7, store_ms=None) is None


# ── what the screen says ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cart_says_what_it_wants() -> None:
    trip = Trip()
    assert said(trip) == "Welcome! Scan this code with your phone to start."
    trip = Trip.begun()
    assert said(trip) == "Show a product to the camera, then put it in."
    trip.scan(MILK)
    assert said(trip) == "Please put Milk into the cart."
    trip.scan(JAM)
    assert said(trip) == "Please put Milk and Jam into the cart."
    trip.put(1_672)
    assert said(trip, "added", "Jam") == "Jam is in the cart."
    trip.put(300)
    trip.wait(3)
    assert said(trip) == "Something of about 300 g was put in. Please scan it, or take it out again."


def test_a_product_that_weighs_wrong_is_named_with_what_it_should_weigh() -> None:
    trip = Trip.begun()
    trip.scan(JAM)
    trip.put(1_260)
    trip.wait(3)
    assert said(trip) == (
        "Jam should weigh about 640 g, but about 1.260 kg was put in. Please take it out and put in Jam."
    )


def test_the_most_urgent_thing_is_said_first() -> None:
    trip = with_milk()
    trip.put(300)
    trip.wait(3)
    trip.tell(lambda draft, _: draft.add(FaultsChanged(faults=(Fault.LOAD_CELL_SILENT,))))
    found = prompt(Situation(basket=trip.basket, remark="added", subject="Milk"))
    assert found.tone is Tone.ALARM
    assert "cannot weigh" in found.sentence


def test_a_changed_load_after_the_order_is_asked_about() -> None:
    trip = frozen()
    assert said(trip) == "Your order is ready. Pay on your phone, then go to the exit."
    trip.put(500)
    trip.wait(3)
    assert said(trip).startswith("The load has changed")


def test_every_fault_and_every_reason_has_its_sentence() -> None:
    for fault in Fault:
        trip = Trip.begun()
        trip.tell(lambda draft, _, fault=fault: draft.add(FaultsChanged(faults=(fault,))))
        assert len(said(trip)) > 10
    for reason in ("unknown-product", "check-digit", "not-a-product", "basket-closed"):
        assert said(Trip.begun(), reason, "12345") != said(Trip.begun())
