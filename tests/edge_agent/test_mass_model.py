"""What the store learns of its products' masses, from which weighings, and whom it tells."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_protocol.ids import LaneId
from cart_protocol.mass import Mass, grams, sigma
from cart_protocol.messages import PriceBookIssue
from cart_protocol.pricing.learned_mass import LearnedMasses
from cart_protocol.pricing.price_book import Product, SoldBy
from edge_agent.core.events import PASSED, LaneChecked
from edge_agent.core.mass_model import MassModel
from tests.edge_agent.shop_floor import ALICE, MILK, ShopFloor, a_price_book, play

_MILK = next(product for product in a_price_book().products if product.id == MILK)
BREAD = msgspec.structs.replace(_MILK, mass=grams(500), mass_variance=sigma(grams(7.5)))
"""A loaf as the book has it: 500 g, and the legal spread."""


def learned_from(masses: list[float], product: Product = BREAD) -> MassModel:
    model = MassModel()
    for mass in masses:
        model.learn(product, grams(mass))
    return model


def test_many_weighings_find_the_true_mass_and_spread() -> None:
    dice = random.Random(1)
    found = learned_from([dice.gauss(512, 2.5) for _ in range(200)]).of(BREAD)
    assert found is not None
    assert found.mass == pytest.approx(grams(512), abs=700)
    assert found.variance**0.5 == pytest.approx(grams(2.5), abs=900)
    assert found.weighings >= 190


def test_few_weighings_are_kept_to_oneself_and_move_the_mass_a_little() -> None:
    assert learned_from([510, 509, 511, 510]).of(BREAD) is None
    found = learned_from([510, 509, 511, 510, 509]).of(BREAD)
    assert found is not None
    assert grams(503) < found.mass < grams(508)


def test_wrong_packs_among_the_right_ones_hardly_count() -> None:
    dice = random.Random(2)
    sound = [dice.gauss(503, 2) for _ in range(100)]
    clean, dirty = learned_from(sound).of(BREAD), learned_from(sound + [517, 489, 250, 1_000] * 3).of(BREAD)
    assert clean is not None
    assert dirty is not None
    assert abs(clean.mass - dirty.mass) < 300
    assert dirty.variance**0.5 < grams(4)


def test_the_share_of_a_sum_and_goods_by_the_kilogram_teach_nothing() -> None:
    assert learned_from([500.0] * 20).confirmed == 0
    loose = msgspec.structs.replace(BREAD, sold_by=SoldBy.KILOGRAM, mass=Mass(0))
    assert learned_from([480, 510, 530], loose).confirmed == 0


@settings(max_examples=200)
@given(st.lists(st.floats(1, 5_000), max_size=60))
def test_whatever_is_weighed_the_mass_stays_near_what_the_book_and_the_scale_said(masses: list[float]) -> None:
    found = learned_from(masses).of(BREAD)
    if found is not None:
        assert min(500.0, *masses) <= found.mass / 1_000 + 1e-3
        assert found.mass / 1_000 - 1e-3 <= max(500.0, *masses)
        assert found.variance >= 500**2


def test_only_what_passed_the_lane_by_weight_is_learned_from_and_no_restart_forgets_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.paid()
        await _weighed(floor, "not-scanned")
        await floor.leave()
        assert floor.agent.recorder.shop.masses.confirmed == 0
        await floor.restart()
        await _shop_once(floor, "c2")
        assert floor.agent.recorder.shop.masses.confirmed == 2
        await floor.restart()
        assert floor.agent.recorder.shop.masses.confirmed == 2

    play(tmp_path, story)


def test_carts_hear_of_masses_with_the_price_book_when_it_is_worth_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        for number in range(10):
            await _shop_once(floor, f"c{number}")
        floor.wire.sent.clear()
        await floor.quiet(901)
        (issue,) = [message for _, message in floor.wire.sent if isinstance(message, PriceBookIssue)]
        learned = msgspec.json.decode(issue.learned, type=LearnedMasses)
        assert (issue.version, learned.issue) == (1, 20)
        assert [(one.product, one.weighings) for one in learned.masses] == [(MILK, 20)]
        floor.wire.sent.clear()
        await floor.quiet(901)
        assert not [message for _, message in floor.wire.sent if isinstance(message, PriceBookIssue)]

    play(tmp_path, story)


async def _shop_once(floor: ShopFloor, name: str) -> None:
    """Somebody pays for two milks of 1,033 g, is weighed and leaves."""
    cart = await floor.bound(name)
    for _ in range(2):
        cart.put_in(MILK, grams(1_033))
    await floor.quiet()
    await floor.agent.counter.freeze(ALICE)
    await floor.agent.counter.pay(ALICE, "card", f"key-{name}")
    await _weighed(floor)
    await floor.leave()


async def _weighed(floor: ShopFloor, verdict: str = PASSED) -> None:
    shop = floor.agent.recorder.shop
    order = shop.orders.of_session(shop.bindings.latest_of[ALICE].session)
    assert order is not None
    checked = LaneChecked(
        lane=LaneId("lane-2"), token=None, order=order.id, verdict=verdict,
        expected=Mass(0), measured=Mass(0), tolerance=Mass(0),
    )  # fmt: skip
    await floor.agent.recorder.submit(lambda *_: [checked])
