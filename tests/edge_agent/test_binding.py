"""One unused cart, one shopper."""

import asyncio
from pathlib import Path

import pytest

from cart_protocol.basket import Fault, Phase
from cart_protocol.ids import ShopperId, StaffId
from cart_protocol.messages import EndSession
from edge_agent.core.binding import parse
from edge_agent.core.refusals import BindRefusedError, RefusedError
from edge_agent.core.views import PhonePhase
from tests.edge_agent.shop_floor import ALICE, BOB, MILK, ShopFloor, fault, play


async def refusal_of(floor: ShopFloor, shopper: ShopperId, code: str) -> str:
    with pytest.raises(BindRefusedError) as refused:
        await floor.agent.counter.bind(shopper, code)
    assert refused.value.sentence
    return refused.value.reason


def test_a_free_cart_is_bound_and_its_goods_appear_on_the_phone(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        assert await floor.agent.counter.bind(ALICE, cart.code) == "c1"
        assert cart.basket.phase is Phase.SHOPPING
        cart.put_in(MILK)
        await floor.quiet()
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.SHOPPING
        assert [(line.name, str(line.total)) for line in view.lines] == [("Milk", "€1.20")]
        assert str(view.total) == "€1.20"
        assert view.observed_us > 0

    play(tmp_path, story)


def test_two_phones_race_and_exactly_one_wins(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        phones = [ShopperId(f"phone-{n}") for n in range(8)]
        results = await asyncio.gather(
            *(floor.agent.counter.bind(phone, cart.code) for phone in phones), return_exceptions=True
        )
        won = [phone for phone, result in zip(phones, results, strict=True) if result == "c1"]
        lost = [result.reason for result in results if isinstance(result, BindRefusedError)]
        assert len(won) == 1
        assert lost == ["busy"] * 7
        assert floor.agent.counter.phone(won[0]).phase is PhonePhase.SHOPPING

    play(tmp_path, story)


def test_binding_again_with_the_same_code_is_the_same_binding(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        code = cart.code
        first, second = await asyncio.gather(
            floor.agent.counter.bind(ALICE, code), floor.agent.counter.bind(ALICE, code)
        )
        assert first == second == await floor.agent.counter.bind(ALICE, code)
        assert len(floor.agent.recorder.shop.bindings.by_session) == 1

    play(tmp_path, story)


def test_a_shopper_cannot_hold_two_carts(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.bound("c1", ALICE)
        other = await floor.cart("c2")
        assert await refusal_of(floor, ALICE, other.code) == "has-cart"
        assert other.basket.phase is Phase.IDLE

    play(tmp_path, story)


@pytest.mark.parametrize(("faults", "reason"), [((Fault.CAMERA_SILENT,), "faulty"), ((Fault.CHARGING,), "charging")])
def test_a_cart_that_cannot_serve_is_refused_with_its_reason(
    tmp_path: Path, faults: tuple[Fault, ...], reason: str
) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        cart.do(fault(*faults))
        await floor.quiet()
        assert await refusal_of(floor, ALICE, cart.code) == reason
        cart.do(fault())
        await floor.quiet()
        await floor.agent.counter.bind(ALICE, cart.code)

    play(tmp_path, story)


def test_withdrawn_offline_and_unknown_carts_are_refused(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        await floor.agent.counter.set_withdrawn(cart.cart, StaffId("mia"), True)
        await floor.quiet()
        assert await refusal_of(floor, ALICE, cart.code) == "withdrawn"
        await floor.agent.counter.set_withdrawn(cart.cart, StaffId("mia"), False)
        await floor.quiet()
        assert await refusal_of(floor, ALICE, "c1-AAAAAA") == "unknown-code"
        assert await refusal_of(floor, ALICE, "c99-AAAAAA") == "unknown-code"
        assert await refusal_of(floor, ALICE, "nonsense") == "unknown-code"
        cart.lose_radio()
        await floor.quiet()
        assert await refusal_of(floor, ALICE, cart.code) == "offline"

    play(tmp_path, story)


def test_an_old_code_is_void(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        old = cart.code
        await floor.agent.counter.bind(ALICE, old)
        await floor.agent.counter.hand_back(ALICE)
        await floor.quiet()
        assert await refusal_of(floor, BOB, old) == "unknown-code"
        await floor.agent.counter.bind(BOB, cart.code)

    play(tmp_path, story)


def test_a_cart_that_does_not_answer_is_free_again_and_called_back_if_it_began_late(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        cart.deaf = True
        assert await refusal_of(floor, ALICE, cart.code) == "no-answer"
        assert "did not answer" in floor.agent.counter.phone(ALICE).problem
        cart.deaf = False
        await floor.agent.counter.bind(BOB, cart.code)

    play(tmp_path, story)


def test_a_session_that_began_after_the_store_gave_up_is_ended(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        floor.wire.lossy = lambda: cart.basket.phase is Phase.SHOPPING  # its answer is lost on the air
        assert await refusal_of(floor, ALICE, cart.code) == "no-answer"
        assert cart.basket.phase is Phase.SHOPPING
        floor.wire.lossy = lambda: False
        await floor.quiet(60)
        assert cart.basket.phase is Phase.IDLE
        assert floor.wire.commands(EndSession)
        await floor.agent.counter.bind(BOB, cart.code)

    play(tmp_path, story)


def test_a_cart_may_refuse_with_a_reason_of_its_own(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        cart.refuses = "wheels-locked"
        assert await refusal_of(floor, ALICE, cart.code) == "wheels-locked"
        assert floor.agent.recorder.shop.bindings.on_cart(cart.cart) is None

    play(tmp_path, story)


def test_a_silent_binding_is_handed_back_after_its_time(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        await floor.quiet(290)
        cart.put_in(MILK)
        await floor.quiet(290)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.SHOPPING
        await floor.quiet(15)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.UNBOUND
        assert cart.basket.phase is Phase.IDLE
        assert not cart.basket.lines

    play(tmp_path, story, binding_idle_s=300)


def test_a_cart_that_restarts_in_the_middle_keeps_its_shopper(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        cart.lose_radio()
        await floor.quiet(5)
        assert not floor.agent.counter.phone(ALICE).cart_online
        cart.put_in(MILK)
        cart.find_radio()
        await floor.quiet(1)
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.SHOPPING
        assert len(view.lines) == 2

    play(tmp_path, story)


def test_hand_back_works_while_the_cart_is_out_of_reach_and_the_cart_learns_of_it_later(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound("c1", ALICE)
        cart.lose_radio()
        await floor.quiet()
        await floor.agent.counter.hand_back(ALICE)
        second = await floor.cart("c2")
        await floor.agent.counter.bind(ALICE, second.code)
        await floor.quiet(120)
        cart.find_radio()
        await floor.quiet(5)
        assert cart.basket.phase is Phase.IDLE
        assert second.basket.phase is Phase.SHOPPING

    play(tmp_path, story)


def test_a_cart_in_use_is_not_withdrawn(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        with pytest.raises(RefusedError, match="in-use"):
            await floor.agent.counter.set_withdrawn(cart.cart, StaffId("mia"), True)

    play(tmp_path, story)


@pytest.mark.parametrize("typed", ["c1-7K3M9Q", " c1-7k3m9q ", "C1 - 7K3M9Q", "c1-7k3m9q\n"])
def test_codes_are_read_as_people_type_them(typed: str) -> None:
    assert parse(typed) == ("c1", "7K3M9Q")


def test_look_alikes_are_forgiven_and_carts_may_have_hyphens() -> None:
    assert parse("cart-7-O1L0AB") == ("cart-7", "0110AB")
