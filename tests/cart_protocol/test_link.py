"""The MQTT link against a real mosquitto."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cart_protocol.ids import StoreId
from cart_protocol.link import Down, Received, Up, Will
from cart_protocol.link.mqtt import LinkError, MqttLink, MqttSettings, TlsFiles
from cart_protocol.topics import ROOT
from edge_agent.devices.authority import Authority
from tests.broker import Broker

if TYPE_CHECKING:
    from tests.cart_protocol.conftest import OpenBroker

pytestmark = pytest.mark.broker

PATIENCE_S = 20.0


def settings_for(port: int, **windows: int) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=port, tls=None, reconnect_min_s=0.1, reconnect_max_s=0.5, **windows)


@asynccontextmanager
async def linked(
    port: int, name: str, *subscriptions: str, will: Will | None = None, **windows: int
) -> AsyncIterator[MqttLink]:
    """A link that is up."""
    link = MqttLink(settings_for(port, **windows), client_id=name, subscriptions=subscriptions, will=will)
    try:
        assert await next_of(link) == Up()
        yield link
    finally:
        await link.close()


async def next_of(link: MqttLink) -> Up | Down | Received:
    async with asyncio.timeout(PATIENCE_S):
        return await link.receive()


async def test_what_one_publishes_the_other_receives_in_order(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "c1") as cart, linked(open_broker.port, "agent", "shop/#") as agent:
        for number in range(50):
            assert cart.publish("shop/events", str(number).encode())
        assert [await next_of(agent) for _ in range(50)] == [
            Received("shop/events", str(number).encode()) for number in range(50)
        ]


async def test_a_retained_message_waits_for_who_comes_later(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "agent") as agent:
        agent.publish("shop/price-book", b"7", retain=True)
        async with linked(open_broker.port, "c1", "shop/price-book") as cart:
            assert await next_of(cart) == Received("shop/price-book", b"7")


async def test_a_broker_that_is_killed_and_comes_back_is_down_then_up_and_messages_flow_again(
    open_broker: "OpenBroker",
) -> None:
    async with linked(open_broker.port, "agent", "shop/#") as agent, linked(open_broker.port, "c1") as cart:
        open_broker.kill()
        assert isinstance(await next_of(agent), Down)
        assert isinstance(await next_of(cart), Down)
        assert not cart.publish("shop/events", b"into the void")
        assert cart.dropped_outbound == 1
        await asyncio.sleep(0.7)  # several attempts in vain
        open_broker.start()
        for link in (agent, cart):
            told = [await next_of(link)]
            while told[-1] != Up():
                told.append(await next_of(link))
            assert len(told) == len(set(map(repr, told))), "one Down per reason, not one per attempt"
        assert cart.publish("shop/events", b"after")
        assert await next_of(agent) == Received("shop/events", b"after")


async def test_a_broker_that_is_not_there_is_named_once_and_found_when_it_starts(open_broker: "OpenBroker") -> None:
    open_broker.kill()
    link = MqttLink(settings_for(open_broker.port), client_id="c1", subscriptions=["a"])
    down = await next_of(link)
    assert isinstance(down, Down)
    assert f"127.0.0.1:{open_broker.port} cannot be reached" in down.reason
    assert "refused" in down.reason
    await asyncio.sleep(0.7)
    open_broker.start()
    assert await next_of(link) == Up()
    await link.close()


async def test_what_came_while_we_were_away_is_kept_by_the_broker_and_follows_the_up(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "agent", "shop/#"):
        pass
    async with linked(open_broker.port, "c1") as cart:
        for number in range(30):
            cart.publish("shop/events", str(number).encode())
        await asyncio.sleep(0.1)
    async with linked(open_broker.port, "agent", "shop/#") as agent:
        assert [await next_of(agent) for _ in range(30)] == [
            Received("shop/events", str(number).encode()) for number in range(30)
        ]


async def test_an_expired_message_is_not_delivered(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "c1", "shop/#"):
        pass
    async with linked(open_broker.port, "agent") as agent:
        agent.publish("shop/command", b"stale", expiry_s=1)
        agent.publish("shop/command", b"lasting", expiry_s=600)
        await asyncio.sleep(2.1)
    async with linked(open_broker.port, "c1", "shop/#") as cart:
        assert await next_of(cart) == Received("shop/command", b"lasting")


async def test_the_broker_holds_back_what_nobody_receives(open_broker: "OpenBroker") -> None:
    """Back-pressure: with a window of 10, a reader that sleeps has 10 messages in memory and loses none of 200."""
    async with (
        linked(open_broker.port, "agent", "shop/#", receive_maximum=10) as agent,
        linked(open_broker.port, "c1") as cart,
    ):
        for number in range(200):
            assert cart.publish("shop/events", str(number).encode())
        await asyncio.sleep(0.5)
        assert len(agent._inbox) == 10
        assert [await next_of(agent) for _ in range(200)] == [
            Received("shop/events", str(number).encode()) for number in range(200)
        ]
        assert agent.dropped_inbound == 0


async def test_what_the_inbox_cannot_hold_is_dropped_and_counted(open_broker: "OpenBroker") -> None:
    """QoS 0 knows no window."""
    async with (
        linked(open_broker.port, "agent", "shop/#", inbox=20) as agent,
        linked(open_broker.port, "c1", "last") as cart,
    ):
        for _ in range(100):
            assert cart.publish("shop/events", b"", qos=0)
        cart.publish("last", b"")
        await next_of(cart)  # the broker has passed on all of it
        await asyncio.sleep(0.2)
        assert len(agent._inbox) == 20
        assert agent.dropped_inbound == 80


async def test_a_send_queue_that_is_full_drops_and_says_so(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "c1", send_queue=5) as cart:
        os.kill(open_broker._process.pid, signal.SIGSTOP)
        taken = [cart.publish("shop/events", b"") for _ in range(8)]
        os.kill(open_broker._process.pid, signal.SIGCONT)
        assert taken == [True] * 5 + [False] * 3
        assert cart.dropped_outbound == 3


async def test_closing_sends_what_was_taken_and_publishes_nothing_else(open_broker: "OpenBroker") -> None:
    will = Will(topic="shop/presence", payload=b"vanished")
    async with linked(open_broker.port, "agent", "shop/#") as agent:
        async with linked(open_broker.port, "c1", will=will) as cart:
            for number in range(10):
                cart.publish("shop/events", str(number).encode())
        assert [await next_of(agent) for _ in range(10)] == [
            Received("shop/events", str(number).encode()) for number in range(10)
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                pytest.fail(f"{await agent.receive()}")


async def test_who_waits_when_the_link_is_closed_is_told(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "c1") as cart:
        waiting = asyncio.create_task(cart.receive())
        await asyncio.sleep(0)
        await cart.close()
        assert await waiting == Down("closed by us")
        await cart.close()
        assert not cart.publish("shop/events", b"")


async def test_a_link_that_was_never_used_closes() -> None:
    await MqttLink(settings_for(1), client_id="c1", subscriptions=[]).close()


VANISHING = """
import asyncio, os, signal, sys
from cart_protocol.link import Will
from cart_protocol.link.mqtt import MqttLink, MqttSettings
async def main():
    settings = MqttSettings(host="127.0.0.1", port=int(sys.argv[1]), tls=None)
    will = Will(topic="shop/presence", payload=b"vanished")
    link = MqttLink(settings, client_id="c9", subscriptions=["x"], will=will)
    await link.receive()
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.mark.processes
async def test_the_broker_speaks_the_will_of_who_is_killed(open_broker: "OpenBroker") -> None:
    async with linked(open_broker.port, "agent", "shop/#") as agent:
        cart = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", VANISHING, str(open_broker.port)], check=False
        )
        assert cart.returncode == -signal.SIGKILL
        assert await next_of(agent) == Received("shop/presence", b"vanished")
        async with linked(open_broker.port, "console", "shop/presence") as console:
            assert await next_of(console) == Received("shop/presence", b"vanished"), "it is retained"


# ── the shop's own broker: certificates and rights ───────────────────────────────────────────────────────────────


def secured(broker: Broker, name: str, *subscriptions: str) -> MqttLink:
    held = broker.client_files(name)
    files = TlsFiles(authority=held.authority, certificate=held.certificate, key=held.key)
    settings = MqttSettings(host=broker.host, port=broker.port, tls=files, reconnect_min_s=0.1, reconnect_max_s=0.5)
    return MqttLink(settings, client_id=name, subscriptions=subscriptions)


async def test_with_certificates_a_cart_and_its_store_hear_each_other(broker: Broker) -> None:
    here = f"{ROOT}/{broker.store}"
    cart = secured(broker, "c1", f"{here}/cart/c1/down/#", f"{here}/all/#")
    agent = secured(broker, "agent", f"{here}/cart/+/up/#")
    assert await next_of(cart) == Up()
    assert await next_of(agent) == Up()
    cart.publish(f"{here}/cart/c1/up/birth", b"up")
    assert await next_of(agent) == Received(f"{here}/cart/c1/up/birth", b"up")
    agent.publish(f"{here}/cart/c1/down/ack", b"down")
    assert await next_of(cart) == Received(f"{here}/cart/c1/down/ack", b"down")
    await cart.close()
    await agent.close()


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "key.pem"
    wrong.write_text("none")
    files = TlsFiles(authority=wrong, certificate=wrong, key=wrong)
    with pytest.raises(LinkError, match=r"key\.pem.*name three readable PEM files"):
        MqttLink(MqttSettings(host="shop", port=8883, tls=files), client_id="c1", subscriptions=[])


def test_without_tls_only_this_machines_broker_is_spoken_to() -> None:
    with pytest.raises(LinkError, match=r"broker 192\.0\.2\.1 is not on this machine"):
        MqttLink(MqttSettings(host="192.0.2.1", port=1883, tls=None), client_id="c1", subscriptions=[])


async def test_a_broker_that_is_not_the_shops_is_refused_and_the_reason_told(broker: Broker, tmp_path: Path) -> None:
    held = broker.client_files("c1")
    stranger = Authority.create(tmp_path / "stranger", StoreId("stranger"))
    authority = stranger.issue("c1", "cart").authority
    files = TlsFiles(authority=authority, certificate=held.certificate, key=held.key)
    link = MqttLink(MqttSettings(host=broker.host, port=broker.port, tls=files), client_id="c1", subscriptions=["a"])
    down = await next_of(link)
    assert isinstance(down, Down)
    assert "certificate verify failed" in down.reason
    await link.close()


async def test_a_certificate_of_another_authority_is_refused_by_the_shops_broker(
    broker: Broker, tmp_path: Path
) -> None:
    stranger = Authority.create(tmp_path / "stranger", StoreId("stranger")).issue("c1", "cart")
    ours = broker.client_files("c1").authority
    files = TlsFiles(authority=ours, certificate=stranger.certificate, key=stranger.key)
    link = MqttLink(MqttSettings(host=broker.host, port=broker.port, tls=files), client_id="c1", subscriptions=["a"])
    assert isinstance(await next_of(link), Down)
    assert not link.publish("a", b"")
    await link.close()
