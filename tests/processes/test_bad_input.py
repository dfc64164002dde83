"""What a live shop does with input that is wrong: each has a clear answer, is counted or shown, and loses nothing."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from cart_protocol import base45
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Up
from cart_protocol.link.mqtt import MqttLink, MqttSettings, TlsFiles
from cart_protocol.messages import Birth, Events, Presence
from cart_protocol.topics import address
from edge_agent.core import exit_token
from edge_agent.core.views import CartCard, ConsoleView, LaneCard
from edge_agent.devices.signature import Signer
from sim.exit_lane import AMBER, BARRIER, LANE
from sim.live_shop import LiveShop
from sim.phone import RefusedError
from sim.shop_files import ShopFiles, program, write_cart, write_edge
from tests.processes.visit import (
    Visit,
    agreed_books,
    console,
    eventually,
    lane_card,
    lane_is_shut,
    lane_pin,
)

live = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.timeout(300),
]  # fmt: skip
STORE, C1 = StoreId("demo"), CartId("c1")


# ── at the order scanner ─────────────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="module")
async def openings(shop: LiveShop) -> AsyncIterator[list[bool]]:
    """One entry for each time the barrier opened during the test."""
    opened: list[bool] = []
    shop.world.street.lane_pins(LANE).on_output(BARRIER, lambda level: opened.append(level) if level else None)
    yield opened


async def refused(shop: LiveShop, code: str, cause: str, words: str) -> None:
    """Scan a code and wait until the lane has refused it, aloud, for this cause."""
    spoken = len(list(shop.files.voice.glob("*.wav")))
    shop.world.lane.scan(code)
    lane = await eventually(lambda: lane_card(shop), lambda lane: lane.cause == cause and words in lane.said)
    assert lane.state == "idle"
    assert not lane.barrier_open
    assert not lane.deactivator_live
    assert lane_is_shut(shop)

    async def sentences() -> int:
        return len(list(shop.files.voice.glob("*.wav")))

    await eventually(sentences, lambda now: now > spoken)


def forged(token: str) -> str:
    """Return a token that is wrong in one bit, of what the goods should weigh."""
    octets = bytearray(base45.decode(token))
    octets[48] ^= 0x01
    return base45.encode(bytes(octets))


def expired(token: str, signer: Signer) -> str:
    """Return what the store itself would have signed for this order an hour ago."""
    claims = exit_token.read(token, signer.verifier.verify, 0, STORE)
    return exit_token.issue(msgspec.structs.replace(claims, issued_ms=claims.issued_ms - 3_600_000), signer.sign)


@in_the_shop
async def test_only_the_genuine_code_opens_the_lane_and_only_once(
    shop: LiveShop, visit: Visit, openings: list[bool]
) -> None:
    await visit.begin("blossom honey")
    await visit.check_out()
    token = await visit.pay()
    signer = Signer.load(shop.files.store / "keys" / "signing.key")

    visit.lane.place(visit.in_cart)
    await refused(shop, forged(token), "forged", "no valid exit code")
    await refused(shop, expired(token, signer), "expired", "expired")
    assert openings == []
    await visit.leave(token)
    await refused(shop, token, "used", "used already")
    assert openings == [True]
    await agreed_books(shop)


@in_the_shop
async def test_an_order_that_is_not_paid_does_not_leave(shop: LiveShop, visit: Visit, openings: list[bool]) -> None:
    await visit.begin("blossom honey")
    to_pay = await visit.check_out()
    visit.lane.place(visit.in_cart)
    await refused(shop, to_pay.order_number or "", "unpaid", "not paid")
    assert openings == []


@in_the_shop
@pytest.mark.parametrize("nonsense", ["4006381333931", "https://shop.example/?code=c1-7K3M9Q", "A" * 192, "\x00\xff%&"])
async def test_nonsense_at_the_order_scanner_is_answered(
    shop: LiveShop, nonsense: str, openings: list[bool]
) -> None:
    await refused(shop, nonsense, "unknown", "do not know")
    assert openings == []
