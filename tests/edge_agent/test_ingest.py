"""From the wire to the journal: nothing lost, nothing twice, strangers answered and counted."""

from pathlib import Path
from random import Random

from cart_protocol.basket import Phase, Position
from cart_protocol.ids import CartId, Epoch, Seq
from cart_protocol.link import Down, Received, Up
from cart_protocol.messages import Ack, Birth, Presence, Refusal, SnapshotRequest, StoreBirth
from edge_agent.core.events import CartReported
from edge_agent.core.views import PhonePhase
from edge_agent.ports import Heard, LinkDown, LinkUp, Unreadable
from edge_agent.services.cart_link import MqttCartLink
from tests.edge_agent.shop_floor import ALICE, MILK, STORE, Cart, ShopFloor, play


def committed(floor: ShopFloor, cart: str = "c1") -> list[tuple[int, int]]:
    assert floor._journal is not None
    facts = [fact.event for fact in floor._journal.replay()]
    return [(f.epoch, f.recorded.seq) for f in facts if isinstance(f, CartReported) and f.cart == cart]


def test_events_are_committed_once_in_order_and_acknowledged_after_the_commit(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        for _ in range(20):
            cart.put_in(MILK)
        await floor.quiet(1)
        assert committed(floor) == [(1, seq) for seq in range(1, len(cart.outbox) + 1)]
        assert cart.acknowledged == len(cart.outbox)
        assert floor.agent.recorder.shop.mirror(cart.cart).basket == cart.basket

    play(tmp_path, story)


def test_over_a_wire_that_loses_a_third_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        dice = Random(3)
        floor.wire.lossy = lambda: dice.random() < 0.33
        for n in range(40):
            cart.put_in(MILK)
            await floor.quiet(0.2)
            if n in {13, 27}:
                await floor.restart()
        floor.wire.lossy = lambda: False
        await floor.quiet(120)
        assert committed(floor) == [(1, seq) for seq in range(1, len(cart.outbox) + 1)]
        assert floor.agent.recorder.shop.mirror(cart.cart).basket == cart.basket
        assert cart.acknowledged == len(cart.outbox)

    play(tmp_path, story)


def test_a_cart_with_a_new_outbox_is_adopted_by_snapshot_and_its_session_is_over(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet()
        cart.lose_radio()
        fresh = Cart("c1", floor.wire, floor.clock, floor.mint, epoch=2)
        fresh.switch_on()
        await floor.quiet(5)
        mirror = floor.agent.recorder.shop.mirror(cart.cart)
        assert (mirror.epoch, mirror.basket) == (2, fresh.basket)
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.UNBOUND
        assert "start afresh" in view.problem
        await floor.agent.counter.bind(ALICE, fresh.code)
        assert fresh.basket.phase is Phase.SHOPPING

    play(tmp_path, story)


def test_after_a_restart_the_agent_announces_itself_and_the_carts_come_back(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        floor.wire.sent.clear()
        await floor.restart()
        cart.put_in(MILK)
        await floor.quiet(5)
        assert any(isinstance(message, StoreBirth) for _, message in floor.wire.sent)
        assert len(floor.agent.counter.phone(ALICE).lines) == 1

    play(tmp_path, story)


def test_unreadable_messages_are_answered_counted_and_shown_once(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        for _ in range(3):
            floor.wire.arrive(Unreadable(cart.cart, "t", "message of protocol version 9"))
        floor.wire.arrive(Unreadable(None, "garbage/topic", "not ours"))
        await floor.quiet()
        view = floor.agent.counter.console()
        assert view.counters.unreadable == 4
        assert sorted(incident.where for incident in view.incidents) == ["broker", "cart c1"]
        refusals = [(to, message.reason) for to, message in floor.wire.sent if isinstance(message, Refusal)]
        assert refusals == [("c1", "message of protocol version 9")] * 3

    play(tmp_path, story)


def test_unknown_fields_are_used_and_counted(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        floor.wire.arrive(Heard(CartId("c9"), Presence(online=True), ("$.battery", "$.tyres")))
        await floor.quiet()
        assert floor.agent.counter.console().counters.unknown_fields == 2
        assert CartId("c9") in floor.agent.presence.online

    play(tmp_path, story)


def test_a_cart_whose_history_is_gone_is_asked_for_a_snapshot(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        birth = Birth(position=Position(epoch=Epoch(5), seq=Seq(90)), oldest=Seq(80), software="x")
        floor.wire.arrive(Heard(CartId("c9"), birth))
        await floor.quiet()
        asked = [message for to, message in floor.wire.sent if to == "c9"]
        assert [type(message) for message in asked] == [SnapshotRequest]

    play(tmp_path, story)


def test_a_cart_that_comes_back_with_thousands_of_events_has_them_all_committed_while_pages_get_their_turn(
    tmp_path: Path,
) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.lose_radio()
        for _ in range(1_500):
            cart.put_in(MILK)
        cart.find_radio()
        await floor.quiet(60)
        assert cart.acknowledged == len(cart.outbox) > 3_000
        assert committed(floor) == [(1, seq) for seq in range(1, len(cart.outbox) + 1)]
        assert floor.agent.recorder.shop.mirror(cart.cart).basket == cart.basket

    play(tmp_path, story)


def test_without_a_broker_every_cart_is_out_of_reach(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.cart()
        assert [card.state for card in floor.agent.counter.console().carts] == ["free"]
        floor.wire.broker_lost()
        await floor.quiet()
        view = floor.agent.counter.console()
        assert (view.broker_online, [card.state for card in view.carts]) == (False, ["offline"])

    play(tmp_path, story)


class Raw:
    """A raw link that says what it is told and keeps what it is given."""

    def __init__(self, *said: Up | Down | Received) -> None:
        self._said = list(said)
        self.published: list[tuple[str, bool, int | None]] = []

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        assert payload
        assert qos in {0, 1}
        self.published.append((topic, retain, expiry_s))
        return True

    async def receive(self) -> Up | Down | Received:
        return self._said.pop(0)

    def drain(self) -> list[Up | Down | Received]:
        said, self._said = self._said, []
        return said

    async def close(self) -> None:
        pass


async def heard_on(topic: str, payload: bytes) -> LinkUp | LinkDown | Heard | Unreadable:
    return await MqttCartLink(Raw(Received(topic, payload)), STORE).receive()


async def test_the_link_reads_topics_and_messages_and_refuses_strangers_by_name() -> None:
    up = "cartwright/v1/test/cart/c1/up"
    presence = b'{"type":"Presence","online":true}'
    assert await heard_on(f"{up}/presence", presence) == Heard(CartId("c1"), Presence(online=True))
    assert await heard_on(f"{up}/presence", b'{"type":"Presence","online":true,"wifi":3}') == Heard(
        CartId("c1"), Presence(online=True), ("$.wifi",)
    )
    strangers = [
        ("weather/today", presence, None, "does not begin with"),
        ("cartwright/v1/other/cart/c1/up/presence", presence, None, "not a topic"),
        ("cartwright/v1/test/cart/c1/down/ack", presence, None, "not a topic"),
        (f"{up}/presence", b"\xff\x00", "c1", "not JSON"),
        (f"{up}/presence", b'{"type":"Presence","v":2,"online":true}', "c1", "version 2"),
        (f"{up}/birth", presence, "c1", "a Presence where Birth"),
    ]
    for topic, payload, cart, reason in strangers:
        found = await heard_on(topic, payload)
        assert isinstance(found, Unreadable)
        assert (found.cart, reason in found.reason) == (cart, True), found


async def test_the_link_sends_by_the_table() -> None:
    raw = Raw(Up(), Down("x"))
    link = MqttCartLink(raw, STORE)
    link.send(Ack(position=Position(epoch=Epoch(1), seq=Seq(1))), CartId("c1"))
    link.send(StoreBirth(wall_ms=1))
    assert raw.published == [
        ("cartwright/v1/test/cart/c1/down/ack", False, 60), ("cartwright/v1/test/all/store-birth", False, None),
    ]  # fmt: skip
    assert (await link.receive(), await link.receive()) == (LinkUp(), LinkDown("x"))
