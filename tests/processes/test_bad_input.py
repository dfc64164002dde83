"""What a live shop does with input that is wrong: each has a clear answer, is counted or shown, and loses nothing."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest
import pytest_asyncio

from cart_protocol import base45
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Up
from cart_protocol.link.mqtt import MqttLink
from cart_protocol.link.settings import MqttSettings, TlsFiles
from cart_protocol.messages import PROTOCOL_VERSION, Birth, CartMessage, Events, Presence
from cart_protocol.topics import address
from edge_agent.core import exit_token
from edge_agent.core.views import CartCard, LaneCard
from edge_agent.devices.signature import Signer
from sim.exit_lane import AMBER, BARRIER, LANE
from sim.live_shop import LiveShop
from sim.phone import RefusedError
from tests.processes.visit import Visit, agreed_books, console, eventually, lane_card, lane_pin

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.timeout(300),
]  # fmt: skip

STORE, C1 = StoreId("demo"), CartId("c1")
HONEY = "blossom honey"
SAME_LOOK_S = 2.5
"""A code that a scanner reports again within two seconds is one code (edge_agent.services.lane)."""


# ── at the order scanner ─────────────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="module")
async def openings(shop: LiveShop) -> list[str]:
    """One entry for each time that the barrier opens during the test."""
    opened: list[str] = []
    shop.world.street.lane_pins(LANE).on_output(BARRIER, lambda open_: opened.append("open") if open_ else None)
    return opened


async def refused(shop: LiveShop, code: str, cause: str, words: str) -> None:
    """Scan a code and wait until the lane refuses it for this cause: red, shut, and said aloud."""

    async def spoken() -> int:
        return len(list(shop.files.voice.glob("*.wav")))

    before, counted = await spoken(), (await lane_card(shop)).codes_refused
    shop.world.lane.scan(code)
    lane = await eventually(lambda: lane_card(shop), lambda lane: lane.cause == cause and words in lane.said)
    assert (lane.state, lane.deactivator_live, lane.barrier_open) == ("idle", False, False)
    assert await shop.world.lane.outcome(1) == "alarm"
    await eventually(spoken, lambda now: now > before)
    assert (await lane_card(shop)).codes_refused == counted + 1


def forged(token: str) -> str:
    """Return a token that is wrong in one bit, of what the goods should weigh."""
    octets = bytearray(base45.decode(token))
    octets[48] ^= 0x01
    return base45.encode(bytes(octets))


def expired(token: str, signer: Signer) -> str:
    """Return what the store itself would have signed for this order an hour ago."""
    claims = exit_token.read(token, signer.verifier.verify, 0, STORE)
    return exit_token.issue(msgspec.structs.replace(claims, issued_ms=claims.issued_ms - 3_600_000), signer.sign)


async def test_only_the_genuine_code_opens_the_lane_and_only_once(
    shop: LiveShop, visit: Visit, openings: list[str]
) -> None:
    await visit.begin(HONEY)
    await visit.check_out()
    token = await visit.pay()
    visit.lane.place(visit.in_cart)
    await refused(shop, forged(token), "forged", "no valid exit code")
    signer = Signer.load(shop.files.store / "keys" / "signing.key")
    await refused(shop, expired(token, signer), "expired", "has expired")
    assert openings == []
    await visit.leave(token)
    await asyncio.sleep(SAME_LOOK_S)
    await refused(shop, token, "used", "used already")
    assert openings == ["open"]
    await agreed_books(shop)


async def test_an_order_that_is_not_paid_does_not_leave(shop: LiveShop, visit: Visit, openings: list[str]) -> None:
    await visit.begin(HONEY)
    to_pay = await visit.check_out()
    visit.lane.place(visit.in_cart)
    await refused(shop, to_pay.order_number or "", "unpaid", "not paid")
    assert openings == []


@pytest.mark.parametrize("nonsense", ["4006381333931", "https://shop/phone?code=c1-7K3M9Q", "A" * 192, "\x01\xff%&"])
async def test_nonsense_at_the_order_scanner_is_answered(shop: LiveShop, nonsense: str, openings: list[str]) -> None:
    await refused(shop, nonsense, "unknown", "do not know")
    assert openings == []


# ── cables pulled out ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cables(shop: LiveShop) -> Iterator[None]:
    """Whatever a test pulls out is plugged in again for the next one."""
    yield
    shop.world.scale.plug()
    shop.world.street.set_plugged("c1", plugged=True)


async def open_alarms(shop: LiveShop, where: str) -> list[str]:
    """Return the causes of the alarms at a place that nobody has resolved yet."""
    incidents = (await console(shop)).incidents
    return [incident.cause for incident in incidents if incident.where == where and not incident.resolved_by]


@pytest.mark.usefixtures("cables")
async def test_a_lane_without_its_scale_is_out_of_order_until_it_is_back(shop: LiveShop, openings: list[str]) -> None:
    async def lane_becomes(state: str) -> LaneCard:
        return await eventually(lambda: lane_card(shop), lambda lane: lane.state == state)

    shop.world.scale.unplug()
    lane = await lane_becomes("out-of-order")
    assert lane.cause.startswith("scale: ")
    assert "out of order" in lane.said
    assert lane_pin(shop, AMBER)
    assert await open_alarms(shop, f"lane {LANE}") == ["out-of-order"]

    shop.world.scale.plug()
    lane = await lane_becomes("idle")
    assert "open again" in lane.said
    await shop.world.lane.call_attendant(goods_paid=False)
    assert await open_alarms(shop, f"lane {LANE}") == []
    assert openings == []


@pytest.mark.usefixtures("cables")
async def test_a_cart_without_its_load_cell_is_taken_by_nobody_until_it_is_back(shop: LiveShop, visit: Visit) -> None:
    async def cart_card() -> CartCard:
        return (await console(shop)).carts[0]

    code = await eventually(visit.cart.read_code, bool)
    shop.world.street.set_plugged("c1", plugged=False)
    card = await eventually(cart_card, lambda card: card.state == "faulty")
    assert card.faults == ("load-cell-silent",)
    page = await eventually(visit.cart.screen, lambda page: "This cart has a fault" in page)
    assert str(code) not in page
    with pytest.raises(RefusedError) as refusal:
        await visit.phone.bind(str(code))
    assert refusal.value.reason == "faulty"

    shop.world.street.set_plugged("c1", plugged=True)
    await eventually(cart_card, lambda card: card.state == "free" and not card.faults)
    await visit.begin(HONEY)
    await visit.phone_lists(*visit.in_cart)


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────────────────────


async def say_as_cart(shop: LiveShop, messages: Sequence[tuple[type[CartMessage], bytes]]) -> None:
    """Publish on the cart's own topics, with its own certificate, which throws the cart itself off the broker."""
    files, folder = shop.files, shop.files.cart(1)
    tls = TlsFiles(authority=folder / "authority.pem", certificate=folder / "c1.pem", key=folder / "c1.key")
    settings = MqttSettings(host="127.0.0.1", port=files.broker_port, tls=tls)
    impostor = MqttLink(settings, client_id=C1, subscriptions=())
    try:
        async with asyncio.timeout(60):
            while not isinstance(await impostor.receive(), Up):
                pass
        for kind, payload in messages:
            assert impostor.publish(address(kind, STORE, C1), payload)
    finally:
        await impostor.close()  # sends what was taken


async def test_strange_messages_are_counted_and_the_cart_goes_on(shop: LiveShop, visit: Visit) -> None:
    await visit.begin(HONEY)
    before = (await console(shop)).counters
    newer = {"type": "Birth", "v": PROTOCOL_VERSION + 1, "hello": "from tomorrow"}
    chatty = {"type": "Presence", "v": PROTOCOL_VERSION, "online": True, "mood": "sunny"}
    await say_as_cart(shop, [
        (Events, b'{"type": "Events", "epoch"'), (Birth, msgspec.json.encode(newer)),
        (Presence, msgspec.json.encode(chatty)),
    ])  # fmt: skip

    seen = await eventually(
        lambda: console(shop), lambda seen: seen.counters.unknown_fields == before.unknown_fields + 1
    )
    assert seen.counters.unreadable == before.unreadable + 2
    assert await open_alarms(shop, "cart c1") == ["unreadable-message"]

    await eventually(lambda: console(shop), lambda now: now.carts[0].online)
    cola = visit.fetch("cola zero")
    await visit.buy(cola)
    await visit.phone_lists(*visit.in_cart)
    await agreed_books(shop)


# ── twice ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pay_submitted_many_times_charges_once(shop: LiveShop, visit: Visit) -> None:
    await visit.begin(HONEY)
    to_pay = await visit.check_out()
    before = await shop.acquirer_books()
    form = {"method": "test_ok", "key": "the-same-page"}
    await asyncio.gather(*(visit.phone._post("/phone/pay", **form) for _ in range(4)))
    paid = await visit.phone_shows(lambda state: state.phase == "paid")
    await visit.phone._post("/phone/pay", **form)  # the back button
    after = await shop.acquirer_books()
    assert (after.charges - before.charges, after.captured_minor - before.captured_minor) == (1, to_pay.total_minor)
    await visit.leave(paid.exit_token or "")
