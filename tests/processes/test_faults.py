"""Power cuts in the middle of a shopping trip: cart, store and broker killed as real processes, with a real broker.

Whatever dies, the basket stays, nothing is lost, nothing is charged twice, and the shopper gets out.
"""

import asyncio
import os
import signal

import pytest

from sim.live_shop import LiveShop
from tests.processes.visit import Visit, agreed_books

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.timeout(300),
]  # fmt: skip

MILK, HONEY, SPAGHETTI, COLA = "whole milk", "blossom honey", "spaghetti", "cola zero"


async def pay_and_leave(visit: Visit) -> None:
    """Pay, leave, and compare everybody's books."""
    to_pay = await visit.check_out()
    assert to_pay.total_minor == sum(unit.product.price.minor for unit in visit.in_cart)
    before = await visit.shop.acquirer_books()
    await visit.leave(await visit.pay())
    await agreed_books(visit.shop)
    after = await visit.shop.acquirer_books()
    assert after.captured_minor - before.captured_minor == to_pay.total_minor


async def test_a_killed_cart_comes_back_with_its_basket_and_asks_about_what_came_meanwhile(
    shop: LiveShop, visit: Visit
) -> None:
    milk, honey = await visit.begin(MILK, HONEY)
    await visit.phone_lists(milk, honey)
    cola = visit.fetch(COLA)

    await shop.processes.kill("cart-1")
    visit.put(cola)
    await shop.processes.restart("cart-1")

    screen = await visit.screen_shows(lambda screen: screen.prompt == "scan-it")
    assert screen.lines == {milk.name, honey.name}
    asked = await visit.phone_shows(lambda state: bool(state.attention))
    assert [line.name for line in asked.lines] == [milk.name, honey.name]

    await visit.show(cola)
    await visit.phone_lists(milk, honey, cola)
    await visit.phone_shows(lambda state: not state.attention)
    spaghetti = visit.fetch(SPAGHETTI)
    await visit.buy(spaghetti)
    visit.take(honey)
    await visit.screen_shows(lambda screen: screen.lines == {milk.name, cola.name, spaghetti.name})
    await visit.phone_lists(milk, cola, spaghetti)
    await pay_and_leave(visit)


async def test_a_killed_store_comes_back_to_the_same_phone_and_hears_what_it_missed(
    shop: LiveShop, visit: Visit
) -> None:
    milk, honey = await visit.begin(MILK, HONEY)
    await visit.phone_lists(milk, honey)

    await shop.processes.kill("store")
    spaghetti = visit.fetch(SPAGHETTI)
    await visit.buy(spaghetti)
    visit.take(milk)
    await visit.screen_shows(lambda screen: screen.lines == {honey.name, spaghetti.name})
    await shop.processes.restart("store")

    back = await visit.phone_lists(honey, spaghetti)
    assert (back.phase, back.attention) == ("shopping", "")
    await pay_and_leave(visit)


async def test_a_store_killed_while_the_bank_is_asked_charges_once(shop: LiveShop, visit: Visit) -> None:
    await visit.begin(HONEY)
    before = await shop.acquirer_books()
    to_pay = await visit.check_out()
    acquirer = shop.processes.pid("acquirer")
    os.kill(acquirer, signal.SIGSTOP)  # a bank that answers, or sends its notice, would end the asking too soon
    try:
        paying = asyncio.create_task(visit.phone.pay("test_ok"))  # asks again and again, as a phone does
        await visit.phone_shows(lambda state: state.phase == "paying")
        await shop.processes.kill("store")
    finally:
        os.kill(acquirer, signal.SIGCONT)
    await shop.processes.restart("store")

    await paying
    paid = await visit.phone_shows(lambda state: bool(state.exit_token))
    after = await shop.acquirer_books()
    assert (after.charges - before.charges, after.captured_minor - before.captured_minor) == (1, to_pay.total_minor)
    await visit.leave(paid.exit_token or "")
    await agreed_books(shop)


async def test_without_a_broker_the_cart_sells_on_and_the_phone_catches_up(shop: LiveShop, visit: Visit) -> None:
    milk, honey = await visit.begin(MILK, HONEY)
    await visit.phone_lists(milk, honey)

    await shop.processes.kill("broker")
    spaghetti = visit.fetch(SPAGHETTI)
    await visit.buy(spaghetti)
    alone = await visit.screen_shows(lambda screen: screen.offline)
    assert alone.lines == {milk.name, honey.name, spaghetti.name}
    await visit.phone_lists(milk, honey)
    await shop.processes.restart("broker")

    await visit.phone_lists(milk, honey, spaghetti)
    await visit.screen_shows(lambda screen: not screen.offline)
    await pay_and_leave(visit)
