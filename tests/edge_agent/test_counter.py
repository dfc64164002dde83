"""What pages see and staff can do."""

import asyncio
from pathlib import Path

import pytest

from cart_protocol.basket import Fault, WeightUnexplained
from cart_protocol.ids import CartId, IncidentId, StaffId
from cart_protocol.mass import grams
from cart_protocol.messages import ExplainWeight, PriceBookIssue
from edge_agent.core.refusals import RefusedError, StaffRefusedError
from edge_agent.core.views import PhonePhase
from edge_agent.services.publish_prices import PriceBookRefusedError
from tests.edge_agent.shop_floor import ALICE, BOB, CHEESE, MILK, ShopFloor, a_price_book, euros, fault, play

MIA = StaffId("mia")


def test_a_whole_trip_as_the_phone_sees_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        phases: list[PhonePhase] = []

        async def watch() -> None:
            revision = 0
            while True:
                revision = await floor.agent.counter.wait_for_change(revision, ALICE)
                phase = floor.agent.counter.phone(ALICE).phase
                if not phases or phases[-1] is not phase:
                    phases.append(phase)

        watching = asyncio.create_task(watch())
        cart = await floor.cart()
        await floor.agent.counter.bind(ALICE, cart.code)
        cart.put_in(CHEESE, grams(250))
        await floor.quiet()
        await floor.agent.counter.freeze(ALICE)
        await floor.agent.counter.pay(ALICE, "card", "k")
        await floor.leave()
        watching.cancel()
        wanted = ["unbound", "binding", "shopping", "closing", "to-pay", "paying", "paid", "goodbye"]
        assert [phase.value for phase in phases] == wanted

    play(tmp_path, story)


def test_lines_are_shown_as_shoppers_read_them(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(CHEESE, grams(482))
        cart.put_in(MILK)
        await floor.quiet()
        view = floor.agent.counter.phone(ALICE)
        assert [(line.amount, line.unit) for line in view.lines] == [
            ("0.482 kg", "€19.90 / kg"), ("1 x", "€1.20 each"),
        ]  # fmt: skip
        assert view.total == euros("10.79")
        assert [(tax.name, tax.tax) for tax in view.taxes] == [("7 %", euros("0.71"))]

    play(tmp_path, story)


def test_the_console_shows_each_cart_in_its_state(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.cart("c1")
        (await floor.cart("c2")).do(fault(Fault.CAMERA_SILENT))
        (await floor.cart("c3")).lose_radio()
        shopping = await floor.bound("c4", ALICE)
        shopping.put_in(MILK)
        await floor.frozen("c5", BOB)
        await floor.agent.counter.set_withdrawn((await floor.cart("c6")).cart, MIA, True)
        await floor.quiet()
        cards = {card.cart: card for card in floor.agent.counter.console().carts}
        assert [cards[CartId(f"c{n}")].state for n in range(1, 7)] == [
            "free", "faulty", "offline", "shopping", "paying", "withdrawn",
        ]  # fmt: skip
        four = cards[CartId("c4")]
        assert (four.items, four.total, four.code) == (1, euros("1.20"), "")
        assert four.committed == len(shopping.outbox)

    play(tmp_path, story)


def test_staff_explains_a_weight(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.do(WeightUnexplained(number=1, step=grams(212)))
        await floor.quiet()
        assert "+212 g" in floor.agent.counter.console().carts[0].attention
        await floor.agent.counter.explain_weight(cart.cart, MIA)
        await floor.quiet()
        assert not floor.agent.counter.console().carts[0].attention
        await floor.agent.counter.explain_weight(cart.cart, MIA)
        assert len(floor.wire.commands(ExplainWeight)) == 1
        with pytest.raises(StaffRefusedError, match="unknown-cart"):
            await floor.agent.counter.explain_weight(CartId("c9"), MIA)

    play(tmp_path, story)


def test_an_unanswered_command_is_repeated_until_it_expires_with_the_same_id(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.do(WeightUnexplained(number=1, step=grams(212)))
        cart.deaf = True
        await floor.quiet()
        await floor.agent.counter.explain_weight(cart.cart, MIA)
        await floor.quiet(300)
        sent = floor.wire.commands(ExplainWeight)
        assert len({command.id for command in sent}) == 1
        assert 20 <= len(sent) <= 40  # every 2 s for a minute

    play(tmp_path, story)


def test_incidents_are_resolved_once_by_name(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK, charge=euros("9.99"))
        await floor.quiet()
        await floor.agent.counter.freeze(ALICE)
        (card,) = floor.agent.counter.console().incidents
        assert any("cart €9.99, store €1.20" in line for line in card.evidence)
        await floor.agent.counter.resolve(card.incident, MIA)
        await floor.agent.counter.resolve(card.incident, StaffId("noa"))
        assert floor.agent.counter.console().incidents[0].resolved_by == "mia"
        with pytest.raises(RefusedError, match="unknown-incident"):
            await floor.agent.counter.resolve(IncidentId("nope"), MIA)

    play(tmp_path, story)


def test_the_price_book_is_published_at_every_connection(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        floor.wire.sent.clear()
        floor.wire.broker_lost()
        floor.wire.broker_accepts()
        await floor.quiet()
        issues = [message for _, message in floor.wire.sent if isinstance(message, PriceBookIssue)]
        assert [issue.version for issue in issues] == [1]

    play(tmp_path, story)


def test_a_book_with_other_prices_under_the_same_version_stops_the_start(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.kill()
        floor.book = a_price_book(version=1, milk="9.00")
        await floor.open()
        assert floor._running is not None
        with pytest.RaisesGroup(PriceBookRefusedError):
            await floor._running
        floor.book = a_price_book(version=1)
        await floor.restart()

    play(tmp_path, story)
