"""The agent under measurement: the product's own services and journal, on a plain listener of this machine.

`edge_agent.composition` joins the same parts, with TLS, lanes and pages; raw MQTT is measured without TLS, so this is
too.
Before it serves, an empty journal gets a shop of carts that are bound to shoppers, as the store would have recorded it.
"""

import argparse
import asyncio
import json
import signal
import tempfile
from pathlib import Path

from cart_protocol.basket import CartEvent, CodeOffered, Position, SessionBegan
from cart_protocol.host.clock import HostClock, HostDice, IdMint
from cart_protocol.host.logs import configure
from cart_protocol.ids import CartId, CommandId, Epoch, Seq, SessionId, ShopperId, StoreId
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.link.settings import MqttSettings
from cart_protocol.messages import BeginSession, CartTime, Recorded
from cart_protocol.topics import subscriptions_of_store
from edge_agent.core.events import BindRequested, CartBound, CartReported, CommandSent, Fact, StoreEvent
from edge_agent.devices.acquirer_http import open_acquirer
from edge_agent.devices.signature import Signer
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.store.journal import SqlJournal
from edge_agent.store.price_book_file import read_price_book

STORE = StoreId("bench")
EPOCH = Epoch(1)
BOUND_AT = Seq(2)
"""Each cart has offered its code and begun its session: two events."""
_CATALOGUE = Path(__file__).parents[1] / "edge_agent" / "catalogue" / "demo.toml"
_LONG_MS = 3_600_000
_GLANCE_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="The broker's.")
    parser.add_argument("--database", required=True)
    parser.add_argument("--carts", type=int, required=True)
    options = parser.parse_args()
    configure(verbose=False)
    asyncio.run(serve(options.port, options.database, options.carts))


async def serve(port: int, database: str, carts: int) -> None:
    """Serve until SIGTERM; prints 'ready' when the broker accepted us, and at the end how late the loop was."""
    clock, dice = HostClock(), HostDice()
    with SqlJournal(database) as journal, tempfile.TemporaryDirectory() as folder:
        if not journal.positions():
            bind_all(journal, carts, clock.wall_ms())
        settings = MqttSettings(host="127.0.0.1", port=port, tls=None, send_queue=20_000, subscribe_qos=0)
        raw = AsyncioMqttLink(settings, client_id="agent", subscriptions=subscriptions_of_store(STORE))
        signer = Signer.create(Path(folder) / "signing.key")
        acquirer = open_acquirer("test:http://127.0.0.1:9", "", 1.0)
        agent = Agent(
            store=STORE, name="Bench", journal=journal, link=MqttCartLink(raw, STORE), acquirer=acquirer,
            book=read_price_book(_CATALOGUE), clock=clock, new_id=IdMint(clock, dice).uuid, sign=signer.sign,
            verify=signer.verifier.verify,
        )  # fmt: skip
        agent.ingest.on_up(lambda: print("ready", flush=True))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
        late_ms: list[float] = []
        watching = asyncio.create_task(_watch(late_ms))
        await agent.run()
        watching.cancel()
        late_ms.sort()
        print(json.dumps({"late_p99_ms": late_ms[int(len(late_ms) * 0.99)], "late_most_ms": late_ms[-1]}), flush=True)
        await raw.close()
        await acquirer.close()


async def _watch(late_ms: list[float]) -> None:
    """Note how late the loop comes back to somebody who asked for 10 ms: so long waits a page."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _GLANCE_S
        await asyncio.sleep(_GLANCE_S)
        late_ms.append((loop.time() - due) * 1e3)


def bind_all(journal: SqlJournal, carts: int, now_ms: int) -> None:
    """Write what binding `carts` carts to as many shoppers leaves in the journal."""
    facts: list[StoreEvent] = []
    for number in range(carts):
        cart, session, command = CartId(f"c{number}"), SessionId(f"s{number}"), CommandId(f"k{number}")
        code = f"{number:06}"
        begin = BeginSession(session=session, code=code)
        facts += [
            _reported(cart, 1, CodeOffered(code=code)),
            BindRequested(session=session, shopper=ShopperId(f"p{number}"), cart=cart, code=code, command=command,
                          expires_ms=now_ms + _LONG_MS),
            CommandSent(command=command, cart=cart, instruction=begin, expires_ms=now_ms + _LONG_MS),
            _reported(cart, BOUND_AT, SessionBegan(session=session, command=command)),
            CartBound(session=session),
        ]  # fmt: skip
    positions = {CartId(f"c{number}"): (int(EPOCH), int(BOUND_AT)) for number in range(carts)}
    journal.append([Fact(now_ms, fact) for fact in facts], positions)


def _reported(cart: CartId, seq: int, event: CartEvent) -> CartReported:
    at = CartTime(boot="bench", monotonic_us=seq, wall_ms=0, synchronised=False)
    return CartReported(cart=cart, epoch=EPOCH, recorded=Recorded(seq=Seq(seq), at=at, event=event))


START = Position(epoch=EPOCH, seq=BOUND_AT)


if __name__ == "__main__":
    main()
