"""From a frozen basket to an order with a number and a price."""

import asyncio
from pathlib import Path

import pytest

from cart_protocol.basket import ItemScanned, Phase, WeightUnexplained
from cart_protocol.gs1.check_digit import parse_order_number
from cart_protocol.ids import ScanId
from cart_protocol.mass import grams, kilograms
from cart_protocol.messages import Freeze, Thaw
from edge_agent.core.refusals import OrderRefusedError
from edge_agent.core.views import PhonePhase
from tests.edge_agent.shop_floor import (
    ALICE,
    BOB,
    CHEESE,
    MILK,
    RAZOR,
    Cart,
    ShopFloor,
    a_price_book,
    euros,
    play,
)


async def refusal_of(floor: ShopFloor) -> str:
    with pytest.raises(OrderRefusedError) as refused:
        await floor.agent.counter.freeze(ALICE)
    return refused.value.reason


def test_the_order_is_what_lay_in_the_cart_when_it_froze(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        cart.put_in(CHEESE, grams(482))
        cart.put_in(RAZOR)
        await floor.quiet()
        order_id = await floor.agent.counter.freeze(ALICE)
        placed = floor.agent.recorder.shop.orders.by_id[order_id].placed
        assert [line.name for line in placed.lines] == ["Milk", "Cheese", "Razor"]
        # 1.20 + round(19.90 * 0.482) + 9.99
        assert placed.total == euros("1.20") + euros("9.59") + euros("9.99")
        assert [(tax.name, tax.gross) for tax in placed.taxes] == [("7 %", euros("10.79")), ("19 %", euros("9.99"))]
        assert placed.settled == grams(1030 + 482 + 80)
        assert placed.tags == 1
        assert placed.frozen_at.seq == len(cart.outbox)
        assert parse_order_number(placed.number) == placed.number
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.TO_PAY
        assert (view.order_id, view.order_number, view.total) == (order_id, placed.number, placed.total)

    play(tmp_path, story)


def test_order_numbers_count_up_and_survive_a_restart(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen("c1", ALICE)
        await floor.restart()
        await floor.frozen("c2", BOB)
        assert sorted(order.placed.sequence for order in floor.agent.recorder.shop.orders.by_id.values()) == [1, 2]

    play(tmp_path, story)


def test_a_basket_that_is_not_in_order_is_not_closed(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        with pytest.raises(OrderRefusedError, match="no-cart"):
            await floor.agent.counter.freeze(ALICE)
        cart = await floor.bound()
        assert await refusal_of(floor) == "empty"
        cart.put_in(MILK)
        scanned = ItemScanned(scan=ScanId("s9"), product=MILK, name="Milk", text="x", symbology="EAN-13")
        cart.do(scanned)
        await floor.quiet()
        assert await refusal_of(floor) == "pending"
        cart.do(WeightUnexplained(number=1, step=kilograms(1)))
        await floor.quiet()
        assert await refusal_of(floor) == "unexplained"
        assert "put in without a scan" in floor.agent.counter.phone(ALICE).attention
        assert not floor.wire.commands(Freeze)

    play(tmp_path, story)


def test_a_cart_out_of_reach_cannot_be_closed(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        cart.lose_radio()
        await floor.quiet()
        assert await refusal_of(floor) == "offline"

    play(tmp_path, story)


def test_the_cart_may_refuse_to_close_and_the_phone_says_so(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        cart.refuses = "unexplained"
        assert await refusal_of(floor) == "unexplained"
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.SHOPPING
        assert "not scanned" in view.problem

    play(tmp_path, story)


def test_closing_twice_at_once_makes_one_order(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        first, second = await asyncio.gather(floor.agent.counter.freeze(ALICE), floor.agent.counter.freeze(ALICE))
        assert first == second
        assert len(floor.agent.recorder.shop.orders.by_id) == 1

    play(tmp_path, story)


def test_a_freeze_without_answer_ends_and_a_late_one_still_makes_the_order(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        floor.wire.lossy = lambda: cart.basket.phase is Phase.FROZEN
        assert await refusal_of(floor) == "no-answer"
        assert cart.basket.phase is Phase.FROZEN
        floor.wire.lossy = lambda: False
        await floor.quiet(60)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.TO_PAY

    play(tmp_path, story)


def test_keep_shopping_voids_the_order_and_opens_the_cart(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.frozen()
        await floor.agent.counter.thaw(ALICE)
        await floor.quiet()
        assert cart.basket.phase is Phase.SHOPPING
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.SHOPPING
        cart.put_in(RAZOR)
        await floor.quiet()
        await floor.agent.counter.freeze(ALICE)
        orders = list(floor.agent.recorder.shop.orders.by_id.values())
        assert [order.cancelled for order in orders] == ["kept-shopping", ""]
        assert orders[1].placed.total == euros("12.39")

    play(tmp_path, story)


def test_a_thaw_that_the_cart_missed_is_repeated(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.frozen()
        cart.lose_radio()
        await floor.quiet()
        await floor.agent.counter.thaw(ALICE)
        await floor.quiet(90)
        cart.find_radio()
        await floor.quiet(5)
        assert cart.basket.phase is Phase.SHOPPING
        assert len(floor.wire.commands(Thaw)) >= 2

    play(tmp_path, story)


async def order_with_wrong_price(floor: ShopFloor, charge: str) -> tuple[Cart, str, list[str]]:
    cart = await floor.bound()
    cart.put_in(MILK, charge=euros(charge))
    await floor.quiet()
    await floor.agent.counter.freeze(ALICE)
    order = next(iter(floor.agent.recorder.shop.orders.by_id.values()))
    causes = [incident.cause for incident in floor.agent.counter.console().incidents]
    return cart, str(order.placed.total), causes


@pytest.mark.parametrize(("cart_says", "charged"), [("1.50", "€1.20"), ("0.90", "€0.90")])
def test_where_cart_and_store_disagree_the_lower_price_is_charged_and_staff_is_told(
    tmp_path: Path, cart_says: str, charged: str
) -> None:
    async def story(floor: ShopFloor) -> None:
        _, total, causes = await order_with_wrong_price(floor, cart_says)
        assert total == charged
        assert causes == ["price-disagreement"]

    play(tmp_path, story)


def test_a_line_keeps_the_price_of_the_book_it_was_scanned_under(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        floor.book = a_price_book(version=2, milk="1.30")
        await floor.restart()
        await floor.quiet(2)
        cart.put_in(MILK)
        await floor.quiet(1)
        await floor.agent.counter.freeze(ALICE)
        view = floor.agent.counter.phone(ALICE)
        assert [str(line.total) for line in view.lines] == ["€1.20", "€1.30"]
        assert not floor.agent.counter.console().incidents

    play(tmp_path, story)


def test_a_price_printed_on_the_pack_is_the_price(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(CHEESE, grams(300), marked=euros("4.44"))
        await floor.quiet()
        await floor.agent.counter.freeze(ALICE)
        assert str(floor.agent.counter.phone(ALICE).total) == "€4.44"
        assert not floor.agent.counter.console().incidents

    play(tmp_path, story)
