"""Who may say and hear what at the real broker, with the configuration and access list that the product renders."""

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cart_protocol import topics
from cart_protocol.ids import CartId, StoreId
from cart_protocol.messages import (
    Ack,
    Birth,
    Events,
    LessonLearned,
    LessonWanted,
    Presence,
    RecordPart,
    RecordUnavailable,
    RecordWanted,
    SightIssue,
    StoreBirth,
)
from cart_protocol.topics import Direction
from edge_agent.devices.authority import Authority, Credentials
from tests.broker import STORE, Broker

pytestmark = pytest.mark.broker

NOT_AUTHORISED = 0x87
DELIVERED = 0x00
NOBODY_LISTENS = 0x10
_PATIENCE_S = 20.0
_C1, _C2 = CartId("c1"), CartId("c2")


class Party:
    """One MQTT client, driven from the test: every question waits for the broker's answer."""

    def __init__(
        self,
        broker: Broker,
        files: Credentials | None,
        *,
        client_id: str = "",
        will: str = "",
        session_s: int = 0,
    ) -> None:
        self._broker = broker
        self._session_s = session_s
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._connected: queue.Queue[int | str] = queue.Queue()
        self._answered: queue.Queue[int] = queue.Queue()
        self.lost = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        context = ssl.create_default_context(cafile=str(broker.authority.certificate))
        if files is not None:
            context.load_cert_chain(files.certificate, files.key)
        self._client.tls_set_context(context)
        if will:
            self._client.will_set(will, b"will", qos=1)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._connected.put(code.value)
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = lambda _c, _u, _mid, code, _p: self._answered.put(code.value)
        self._client.on_subscribe = lambda _c, _u, _mid, codes, _p: self._answered.put(codes[0].value)
        self._client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))

    def connect(self) -> int | str:
        """Return the broker's CONNACK reason, or what the handshake failed with."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._session_s
        properties.ReceiveMaximum = 1000
        try:
            self._client.connect(
                self._broker.host, self._broker.port, clean_start=self._session_s == 0, properties=properties
            )
        except (ssl.SSLError, OSError) as error:
            return str(error)
        self._client.loop_start()
        return self._connected.get(timeout=_PATIENCE_S)

    def say(self, topic: str, payload: bytes = b"{}") -> int:
        """Publish and return the reason in the broker's PUBACK."""
        self._client.publish(topic, payload, qos=1)
        return self._answered.get(timeout=_PATIENCE_S)

    def listen(self, topic: str) -> int:
        self._client.subscribe(topic, qos=1)
        return self._answered.get(timeout=_PATIENCE_S)

    def hear(self) -> tuple[str, bytes]:
        return self.heard.get(timeout=_PATIENCE_S)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Drop off the network without a word."""
        self._client.loop_stop()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _on_disconnect(self, *_: object) -> None:
        self.lost.set()
        self._connected.put("disconnected by the broker")


Join = Callable[..., Party]


@pytest.fixture
def arrive(broker: Broker) -> Iterator[Join]:
    """Make a client of a common name, connected."""
    parties: list[Party] = []

    def make(name: str, **how: object) -> Party:
        party = Party(broker, broker.client_files(name), **how)  # type: ignore[arg-type]
        parties.append(party)
        assert party.connect() == DELIVERED
        return party

    yield make
    for party in parties:
        party.leave()


def up(row: topics.Topic, cart: str, store: str = STORE) -> str:
    return topics.address(row.message, StoreId(store), CartId(cart))


UP_ROWS = [row for row in topics.TABLE if row.direction is Direction.UP]
STORE_ROWS = [row for row in topics.TABLE if row.direction is not Direction.UP]


def test_a_cart_says_all_its_own_messages_and_the_agent_hears_them(arrive: Join) -> None:
    agent, cart = arrive("agent"), arrive("c1")
    agent.listen(topics.subscriptions_of_store(STORE)[0])
    for row in UP_ROWS:
        assert cart.say(up(row, "c1"), row.leaf.encode()) == DELIVERED
        assert agent.hear() == (up(row, "c1"), row.leaf.encode())


def test_the_agent_reaches_a_cart_by_all_its_own_messages(arrive: Join) -> None:
    agent, cart = arrive("agent"), arrive("c1")
    for subscription in topics.subscriptions_of_cart(STORE, _C1):
        cart.listen(subscription)
    for row in STORE_ROWS:
        assert agent.say(up(row, "c1"), row.leaf.encode()) == DELIVERED
        assert cart.hear() == (up(row, "c1"), row.leaf.encode())


@pytest.mark.parametrize(
    "topic",
    [
        topics.address(Events, STORE, _C2),
        topics.address(Presence, STORE, _C2),
        topics.address(RecordPart, STORE, _C2),
        topics.address(RecordUnavailable, STORE, _C2),
        topics.address(RecordWanted, STORE, _C1),
        topics.address(LessonLearned, STORE, _C2),
        topics.address(LessonWanted, STORE, _C1),
        topics.address(SightIssue, STORE),
        topics.address(Ack, STORE, _C1),
        topics.address(Ack, STORE, _C2),
        topics.address(StoreBirth, STORE),
        topics.address(Events, StoreId("otherstore"), _C1),
        topics.address(Events, STORE, _C1) + "/more",
        "cartwright/v1/teststore/cart/c1/up/invented",
        "hello",
    ],
)
def test_a_cart_that_speaks_out_of_turn_is_refused_and_goes_on(arrive: Join, topic: str) -> None:
    agent, cart = arrive("agent"), arrive("c1")
    agent.listen("#")
    assert cart.say(topic) == NOT_AUTHORISED
    assert cart.say(topics.address(Birth, STORE, _C1)) == DELIVERED
    assert agent.hear()[0] == topics.address(Birth, STORE, _C1), "nothing came before it"
    assert not cart.lost.is_set(), "one mistake does not cost a cart its connection"


def test_a_cart_that_listens_to_others_hears_nothing_of_them(arrive: Join) -> None:
    agent, spy, victim = arrive("agent"), arrive("c1"), arrive("c2")
    for topic in ("#", "cartwright/#", f"cartwright/v1/{STORE}/cart/c2/#", f"cartwright/v1/{STORE}/cart/+/down/ack"):
        spy.listen(topic)
    victim.listen(topics.subscriptions_of_cart(STORE, _C2)[0])
    assert agent.say(topics.address(Ack, STORE, _C2), b"for c2") == DELIVERED
    assert victim.hear() == (topics.address(Ack, STORE, _C2), b"for c2")
    victim.say(topics.address(Events, STORE, _C2), b"from c2")
    agent.say(topics.address(Ack, STORE, _C1), b"for c1")
    assert spy.hear() == (topics.address(Ack, STORE, _C1), b"for c1"), "the broker keeps order: nothing came before it"


def test_the_agent_cannot_speak_as_a_cart(arrive: Join) -> None:
    assert arrive("agent").say(topics.address(Events, STORE, _C1)) == NOT_AUTHORISED


def test_a_client_id_of_another_cart_takes_nothing_over(arrive: Join) -> None:
    victim = arrive("c2", client_id="c2", session_s=3600)
    victim.listen(topics.subscriptions_of_cart(STORE, _C2)[0])
    thief = arrive("c1", client_id="c2", session_s=3600)
    assert thief.say(topics.address(Events, STORE, _C2)) == NOT_AUTHORISED
    arrive("agent").say(topics.address(Ack, STORE, _C2), b"for c2")
    assert victim.hear() == (topics.address(Ack, STORE, _C2), b"for c2")
    assert not victim.lost.is_set()
    assert thief.heard.empty()


def test_a_will_is_bound_by_the_same_rights(arrive: Join, broker: Broker) -> None:
    agent = arrive("agent")
    agent.listen(topics.subscriptions_of_store(STORE)[0])
    for cart in (_C2, _C1):
        party = Party(broker, broker.client_files("c1"), will=topics.address(Presence, STORE, cart))
        assert party.connect() == DELIVERED
        party.vanish()
    assert agent.hear() == (topics.address(Presence, STORE, _C1), b"will"), "the will in the name of c2 came to nothing"


def refused(broker: Broker, files: Credentials | None) -> None:
    """Assert that a client does not come in."""
    party = Party(broker, files)
    answer = party.connect()
    party.leave()
    assert isinstance(answer, str), f"the broker let it in with reason {answer:#x}"


def test_without_a_certificate_nobody_comes_in(broker: Broker) -> None:
    refused(broker, None)


def test_a_certificate_of_another_authority_is_refused(broker: Broker, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "foreign", STORE)
    refused(broker, foreign.issue("c1", "cart"))


def test_a_servers_certificate_opens_no_client_door(broker: Broker, authority: Authority) -> None:
    refused(broker, authority.issue("shop-web", "web", ["localhost"]))


def test_a_broker_of_another_authority_is_not_trusted_by_the_cart(broker: Broker, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "foreign", STORE)
    context = ssl.create_default_context(cafile=str(foreign.certificate))
    with (
        socket.create_connection((broker.host, broker.port)) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(sock, server_hostname=broker.host)


@pytest.mark.parametrize("learn", [Broker.reread, Broker.restart], ids=["reread", "restart"])
def test_a_revoked_certificate_is_refused_once_the_broker_read_the_list(
    broker: Broker, authority: Authority, learn: Callable[[Broker], None]
) -> None:
    name = f"c-stolen-{learn.__name__}"
    files = authority.issue(name, "cart")
    before = Party(broker, files)
    assert before.connect() == DELIVERED
    before.leave()
    assert authority.revoke(name) == 1
    learn(broker)
    refused(broker, files)
    replaced = Party(broker, authority.issue(name, "cart"))
    assert replaced.connect() == DELIVERED, "the repaired cart comes back with a new certificate"
    replaced.leave()


def test_nothing_is_dropped_while_the_agent_is_away(arrive: Join, broker: Broker) -> None:
    """The default of mosquitto drops all beyond 1000 and says nothing (reference/messaging, section 2.4)."""
    agent = arrive("agent", session_s=3600)
    agent.listen(topics.subscriptions_of_store(STORE)[0])
    agent.leave()
    cart = arrive("c1")
    for number in range(1_100):
        assert cart.say(topics.address(Events, STORE, _C1), str(number).encode()) == DELIVERED
    again = Party(broker, broker.client_files("agent"), session_s=3600)
    assert again.connect() == DELIVERED
    assert [again.hear()[1] for _ in range(1_100)] == [str(number).encode() for number in range(1_100)]
    again.leave()


def test_a_killed_broker_comes_back_on_the_same_address(arrive: Join, broker: Broker) -> None:
    cart = arrive("c1")
    broker.kill()
    assert cart.lost.wait(_PATIENCE_S)
    assert not broker.running
    broker.restart()
    again = arrive("c2")
    assert again.say(topics.address(Birth, STORE, _C2)) in (DELIVERED, NOBODY_LISTENS)
