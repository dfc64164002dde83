"""What staff hear of packs that carts refused because they must not be sold."""

from pathlib import Path

import msgspec

from cart_protocol.basket import ScanRefused
from cart_protocol.pricing.price_book import Recall
from edge_agent.core.views import IncidentCard
from tests.edge_agent.shop_floor import ALICE, MILK, ShopFloor, a_price_book, play


def alarms(floor: ShopFloor) -> list[IncidentCard]:
    return [alarm for alarm in floor.agent.counter.console().incidents if not alarm.resolved_by]


def refused(reason: str, name: str = "Milk") -> ScanRefused:
    return ScanRefused(text="(01)…", symbology="]d2", reason=reason, name=name)


def test_staff_hear_once_of_a_recalled_pack_and_why_it_is_recalled(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound("c1", ALICE)
        recalled = Recall(product=MILK, reason="pieces of glass", lots=("L7",))
        floor.book = msgspec.structs.replace(a_price_book(version=2), recalls=(recalled,))
        await floor.restart()
        assert cart.prices is not None
        assert cart.prices.recalls_of(MILK) == [recalled], "the cart has it from the store"
        cart.do(refused("recalled"), refused("recalled"))
        await floor.quiet()
        (alarm,) = alarms(floor)
        assert (alarm.where, alarm.cause) == ("cart c1", "recalled-goods")
        assert alarm.sentence.startswith("Milk was shown to cart c1. It is recalled: pieces of glass. Please take it")

    play(tmp_path, story)


def test_expired_goods_are_another_matter_and_each_cart_has_its_own(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        first, second = await floor.bound("c1", ALICE), await floor.cart("c2")
        first.do(refused("expired"), refused("past-best-before"))
        second.do(refused("expired", name="x" * 5_000))
        await floor.quiet()
        assert sorted((alarm.where, alarm.cause) for alarm in alarms(floor)) == [
            ("cart c1", "expired-goods"), ("cart c1", "past-best-before-goods"), ("cart c2", "expired-goods"),
        ]  # fmt: skip
        assert max(len(alarm.sentence) for alarm in alarms(floor)) < 300

    play(tmp_path, story)


def test_an_unknown_code_is_no_matter_for_staff(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound("c1", ALICE)
        for reason in ("unknown-product", "check-digit", "not-a-product", "coupon", "basket-closed", "anything"):
            cart.do(refused(reason))
        await floor.quiet()
        assert alarms(floor) == []

    play(tmp_path, story)
