"""Both MQTT links against a real mosquitto, by one contract; and against brokers that behave badly."""

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
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.link.mqtt import MqttLink
from cart_protocol.link.settings import LinkError, MqttSettings, TlsFiles
from cart_protocol.topics import ROOT
from edge_agent.devices.authority import Authority
from tests.broker import Broker

if TYPE_CHECKING:
    from tests.cart_protocol.conftest import OpenBroker

pytestmark = pytest.mark.broker

PATIENCE_S = 20.0


Link = MqttLink | AsyncioMqttLink


def settings_for(port: int, **windows: int) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=port, tls=None, reconnect_min_s=0.1, reconnect_max_s=0.5, **windows)


async def next_of(link: Link) -> Up | Down | Received:
    async with asyncio.timeout(PATIENCE_S):
        return await link.receive()


VANISHING = """
import asyncio, os, signal, sys
from importlib import import_module
from cart_protocol.link import Will
from cart_protocol.link.settings import MqttSettings
async def main():
    settings = MqttSettings(host="127.0.0.1", port=int(sys.argv[1]), tls=None)
    will = Will(topic="shop/presence", payload=b"vanished")
    made = getattr(import_module(sys.argv[2]), sys.argv[3])
    link = made(settings, client_id="c9", subscriptions=["x"], will=will)
    await link.receive()
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@asynccontextmanager
async def scripted_broker(subacks: list[bytes], connack: bytes = b"\x20\x03\x00\x00\x00") -> AsyncIterator[int]:
    """A broker that answers what it is told to, one SUBACK after the other, and nothing else."""
    conversations: list[asyncio.StreamWriter] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(writer)
        try:
            while True:
                first, size = await reader.readexactly(2)
                body = await reader.readexactly(size)
                if first >> 4 == 1:
                    writer.write(connack)
                elif first >> 4 == 8 and subacks:
                    answer = subacks.pop(0)
                    writer.write(answer[:2] + body[:2] + answer[4:])
                elif first >> 4 == 14:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in conversations:
            writer.close()


class LinkContract:
    """What the shop needs of a link, whatever it is made of."""

    link: type[MqttLink] | type[AsyncioMqttLink]

    @asynccontextmanager
    async def linked(
        self, port: int, name: str, *subscriptions: str, will: Will | None = None, **windows: int
    ) -> AsyncIterator[Link]:
        """A link that is up."""
        link = self.link(settings_for(port, **windows), client_id=name, subscriptions=subscriptions, will=will)
        try:
            assert await next_of(link) == Up()
            yield link
        finally:
            await link.close()

    async def test_what_one_publishes_the_other_receives_in_order(self, open_broker: "OpenBroker") -> None:
        async with (
            self.linked(open_broker.port, "c1") as cart,
            self.linked(open_broker.port, "agent", "shop/#") as agent,
        ):
            for number in range(50):
                assert cart.publish("shop/events", str(number).encode())
            assert [await next_of(agent) for _ in range(50)] == [
                Received("shop/events", str(number).encode()) for number in range(50)
            ]

    async def test_a_retained_message_waits_for_who_comes_later(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "agent") as agent:
            agent.publish("shop/price-book", b"7", retain=True)
            async with self.linked(open_broker.port, "c1", "shop/price-book") as cart:
                assert await next_of(cart) == Received("shop/price-book", b"7")

    async def test_a_broker_that_is_killed_and_comes_back_is_down_then_up_and_messages_flow_again(
        self,
        open_broker: "OpenBroker",
    ) -> None:
        async with (
            self.linked(open_broker.port, "agent", "shop/#") as agent,
            self.linked(open_broker.port, "c1") as cart,
        ):
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

    async def test_a_broker_that_is_not_there_is_named_once_and_found_when_it_starts(
        self, open_broker: "OpenBroker"
    ) -> None:
        open_broker.kill()
        link = self.link(settings_for(open_broker.port), client_id="c1", subscriptions=["a"])
        down = await next_of(link)
        assert isinstance(down, Down)
        assert f"127.0.0.1:{open_broker.port} cannot be reached" in down.reason
        assert "refused" in down.reason
        await asyncio.sleep(0.7)
        open_broker.start()
        assert await next_of(link) == Up()
        await link.close()

    async def test_what_came_while_we_were_away_is_kept_by_the_broker_and_follows_the_up(
        self, open_broker: "OpenBroker"
    ) -> None:
        async with self.linked(open_broker.port, "agent", "shop/#"):
            pass
        async with self.linked(open_broker.port, "c1") as cart:
            for number in range(30):
                cart.publish("shop/events", str(number).encode())
            await asyncio.sleep(0.1)
        async with self.linked(open_broker.port, "agent", "shop/#") as agent:
            assert [await next_of(agent) for _ in range(30)] == [
                Received("shop/events", str(number).encode()) for number in range(30)
            ]

    async def test_an_expired_message_is_not_delivered(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "c1", "shop/#"):
            pass
        async with self.linked(open_broker.port, "agent") as agent:
            agent.publish("shop/command", b"stale", expiry_s=1)
            agent.publish("shop/command", b"lasting", expiry_s=600)
            await asyncio.sleep(2.1)
        async with self.linked(open_broker.port, "c1", "shop/#") as cart:
            assert await next_of(cart) == Received("shop/command", b"lasting")

    async def test_the_broker_holds_back_what_nobody_receives(self, open_broker: "OpenBroker") -> None:
        """Back-pressure: with a window of 10, a reader that sleeps has 10 messages in memory and loses none of 200."""
        async with (
            self.linked(open_broker.port, "agent", "shop/#", receive_maximum=10) as agent,
            self.linked(open_broker.port, "c1") as cart,
        ):
            for number in range(200):
                assert cart.publish("shop/events", str(number).encode())
            await asyncio.sleep(0.5)
            assert agent.waiting == 10
            assert [await next_of(agent) for _ in range(200)] == [
                Received("shop/events", str(number).encode()) for number in range(200)
            ]
            assert agent.dropped_inbound == 0

    async def test_what_is_held_here_is_bounded_and_what_is_not_held_is_counted(
        self, open_broker: "OpenBroker"
    ) -> None:
        sent = 4_000
        async with (
            self.linked(open_broker.port, "agent", "shop/#", inbox=20, receive_maximum=5_000) as agent,
            self.linked(open_broker.port, "c1", "last", send_queue=sent + 1) as cart,
        ):
            for _ in range(sent):
                assert cart.publish("shop/events", bytes(1_000))
            cart.publish("last", b"")
            await next_of(cart)  # the broker has had all of it
            await asyncio.sleep(0.3)
            assert agent.waiting <= 20 + 256, "the bound, and at most what one reading of 256 KiB brings"
            taken = 0
            async with asyncio.timeout(PATIENCE_S):
                while taken + agent.dropped_inbound < sent:
                    await agent.receive()
                    taken += 1 + len(agent.drain())
            assert taken + agent.dropped_inbound == sent

    async def test_all_that_is_at_hand_can_be_taken_at_once_and_in_order(self, open_broker: "OpenBroker") -> None:
        async with (
            self.linked(open_broker.port, "agent", "shop/#") as agent,
            self.linked(open_broker.port, "c1", send_queue=3_000) as cart,
        ):
            assert agent.drain() == []
            for number in range(3_000):
                assert cart.publish("shop/events", str(number).encode())
            taken: list[Up | Down | Received] = []
            while len(taken) < 3_000:
                taken += [await next_of(agent), *agent.drain()]
            assert taken == [Received("shop/events", str(number).encode()) for number in range(3_000)]

    async def test_a_large_message_passes_whole_among_small_ones(self, open_broker: "OpenBroker") -> None:
        async with (
            self.linked(open_broker.port, "agent", "shop/#") as agent,
            self.linked(open_broker.port, "c1") as cart,
        ):
            large = bytes(range(256)) * 20_000
            for payload in (b"before", large, b"after"):
                assert cart.publish("shop/events", payload)
            assert [await next_of(agent) for _ in range(3)] == [
                Received("shop/events", payload) for payload in (b"before", large, b"after")
            ]

    async def test_a_connection_over_which_nothing_comes_any_more_is_noticed(self, open_broker: "OpenBroker") -> None:
        """Half open: the other side is there and silent, as behind a switch that lost its power."""
        async with self.linked(open_broker.port, "agent", "shop/#", keepalive_s=1) as agent:
            os.kill(open_broker._process.pid, signal.SIGSTOP)
            assert isinstance(await next_of(agent), Down)
            os.kill(open_broker._process.pid, signal.SIGCONT)
            while await next_of(agent) != Up():
                pass

    async def test_a_quiet_connection_stays_up(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "agent", "shop/#", keepalive_s=1) as agent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3.5):
                    pytest.fail(f"{await agent.receive()}")

    async def test_a_subscription_that_is_refused_is_named_and_asked_for_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules[self.link.__module__], "_SUBSCRIBE_AGAIN_S", 0.1)
        answers = [b"\x90\x04\x00\x01\x00\x87", b"\x90\x04\x00\x02\x00\x01"]
        async with scripted_broker(answers) as port:
            link = self.link(settings_for(port), client_id="agent", subscriptions=["shop/#"])
            down = await next_of(link)
            assert isinstance(down, Down)
            assert "refused to subscribe us to shop/#" in down.reason
            assert "ot authorized" in down.reason
            assert not link.publish("shop/events", b"")
            assert await next_of(link) == Up()
            await link.close()

    async def test_a_broker_that_refuses_us_is_asked_again(self) -> None:
        async with scripted_broker([], connack=b"\x20\x03\x00\x87\x00") as port:
            link = self.link(settings_for(port), client_id="agent", subscriptions=["shop/#"])
            down = await next_of(link)
            assert isinstance(down, Down)
            assert "ot authorized" in down.reason
            await link.close()

    async def test_a_send_queue_that_is_full_drops_and_says_so(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "c1", send_queue=5) as cart:
            os.kill(open_broker._process.pid, signal.SIGSTOP)
            taken = [cart.publish("shop/events", b"") for _ in range(8)]
            os.kill(open_broker._process.pid, signal.SIGCONT)
            assert taken == [True] * 5 + [False] * 3
            assert cart.dropped_outbound == 3

    async def test_closing_sends_what_was_taken_and_publishes_nothing_else(self, open_broker: "OpenBroker") -> None:
        will = Will(topic="shop/presence", payload=b"vanished")
        async with self.linked(open_broker.port, "agent", "shop/#") as agent:
            async with self.linked(open_broker.port, "c1", will=will) as cart:
                for number in range(10):
                    cart.publish("shop/events", str(number).encode())
            assert [await next_of(agent) for _ in range(10)] == [
                Received("shop/events", str(number).encode()) for number in range(10)
            ]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    pytest.fail(f"{await agent.receive()}")

    async def test_who_waits_when_the_link_is_closed_is_told(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "c1") as cart:
            waiting = asyncio.create_task(cart.receive())
            await asyncio.sleep(0)
            await cart.close()
            assert await waiting == Down("closed by us")
            await cart.close()
            assert not cart.publish("shop/events", b"")

    async def test_a_link_that_was_never_used_closes(self) -> None:
        await self.link(settings_for(1), client_id="c1", subscriptions=[]).close()

    @pytest.mark.processes
    async def test_the_broker_speaks_the_will_of_who_is_killed(self, open_broker: "OpenBroker") -> None:
        async with self.linked(open_broker.port, "agent", "shop/#") as agent:
            cart = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", VANISHING, str(open_broker.port), self.link.__module__, self.link.__name__],
                check=False,
            )
            assert cart.returncode == -signal.SIGKILL
            assert await next_of(agent) == Received("shop/presence", b"vanished")
            async with self.linked(open_broker.port, "console", "shop/presence") as console:
                assert await next_of(console) == Received("shop/presence", b"vanished"), "it is retained"

    def secured(self, broker: Broker, name: str, *subscriptions: str) -> MqttLink:
        held = broker.client_files(name)
        files = TlsFiles(authority=held.authority, certificate=held.certificate, key=held.key)
        settings = MqttSettings(host=broker.host, port=broker.port, tls=files, reconnect_min_s=0.1, reconnect_max_s=0.5)
        return self.link(settings, client_id=name, subscriptions=subscriptions)

    async def test_with_certificates_a_cart_and_its_store_hear_each_other(self, broker: Broker) -> None:
        here = f"{ROOT}/{broker.store}"
        cart = self.secured(broker, "c1", f"{here}/cart/c1/down/#", f"{here}/all/#")
        agent = self.secured(broker, "agent", f"{here}/cart/+/up/#")
        assert await next_of(cart) == Up()
        assert await next_of(agent) == Up()
        cart.publish(f"{here}/cart/c1/up/birth", b"up")
        assert await next_of(agent) == Received(f"{here}/cart/c1/up/birth", b"up")
        agent.publish(f"{here}/cart/c1/down/ack", b"down")
        assert await next_of(cart) == Received(f"{here}/cart/c1/down/ack", b"down")
        await cart.close()
        await agent.close()

    def test_files_that_are_no_certificates_are_named(self, tmp_path: Path) -> None:
        wrong = tmp_path / "key.pem"
        wrong.write_text("none")
        files = TlsFiles(authority=wrong, certificate=wrong, key=wrong)
        with pytest.raises(LinkError, match=r"key\.pem.*name three readable PEM files"):
            self.link(MqttSettings(host="shop", port=8883, tls=files), client_id="c1", subscriptions=[])

    def test_without_tls_only_this_machines_broker_is_spoken_to(self) -> None:
        with pytest.raises(LinkError, match=r"broker 192\.0\.2\.1 is not on this machine"):
            self.link(MqttSettings(host="192.0.2.1", port=1883, tls=None), client_id="c1", subscriptions=[])

    async def test_a_broker_that_is_not_the_shops_is_refused_and_the_reason_told(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        held = broker.client_files("c1")
        stranger = Authority.create(tmp_path / "stranger", StoreId("stranger"))
        authority = stranger.issue("c1", "cart").authority
        files = TlsFiles(authority=authority, certificate=held.certificate, key=held.key)
        link = self.link(
            MqttSettings(host=broker.host, port=broker.port, tls=files), client_id="c1", subscriptions=["a"]
        )
        down = await next_of(link)
        assert isinstance(down, Down)
        assert "certificate verify failed" in down.reason
        await link.close()

    async def test_a_certificate_of_another_authority_is_refused_by_the_shops_broker(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        stranger = Authority.create(tmp_path / "stranger", StoreId("stranger")).issue("c1", "cart")
        ours = broker.client_files("c1").authority
        files = TlsFiles(authority=ours, certificate=stranger.certificate, key=stranger.key)
        link = self.link(
            MqttSettings(host=broker.host, port=broker.port, tls=files), client_id="c1", subscriptions=["a"]
        )
        assert isinstance(await next_of(link), Down)
        assert not link.publish("a", b"")
        await link.close()


class TestTheCartsLink(LinkContract):
    link = MqttLink


class TestTheStoresLink(LinkContract):
    link = AsyncioMqttLink

    async def test_a_broker_that_takes_nothing_does_not_keep_a_closed_connection(
        self, open_broker: "OpenBroker", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules[self.link.__module__], "_FAREWELL_S", 0.2)
        async with self.linked(open_broker.port, "agent") as agent:
            wire = agent._wire
            os.kill(open_broker._process.pid, signal.SIGSTOP)
            try:
                for _ in range(100):  # 10 MB: more than any socket takes
                    agent.publish("shop/events", bytes(100_000), qos=0)
                    await asyncio.sleep(0)
                await agent.close()
                assert wire is not None
                assert wire._gone.is_set()
            finally:
                os.kill(open_broker._process.pid, signal.SIGCONT)
