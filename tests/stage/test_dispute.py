"""A dispute from end to end: a real cart records, staff ask, the real store keeps it; the air between them is bad."""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from cart_firmware.core.recording import read_bundle, sessions_of
from cart_firmware.devices.segment_ring import SegmentRing
from cart_firmware.perception.reader import Reader
from cart_firmware.screen import drawing
from cart_firmware.screen.timeline import Timeline
from cart_firmware.services.cart import Cart
from cart_firmware.services.replay import replay
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.codec import decode, encode
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CartId, IncidentId, RecordId, SessionId, ShopperId, StaffId, StoreId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import Presence, RecordPart, RecordWanted
from cart_protocol.topics import address, subscriptions_of_cart, subscriptions_of_store
from edge_agent.config import Limits
from edge_agent.core import cart_record, incident
from edge_agent.core.events import RecordAsked, RecordDropped, RecordFailed, RecordKept
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.views import RecordView
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.store.backup import backup, restore
from edge_agent.store.journal import SqlJournal
from edge_agent.store.room import JournalRoom
from edge_agent.store.verify import verify
from sim.virtual_time import SeededDice, VirtualTimeLoop
from sim.wires.air import Air, Station, Weather
from tests.cart_firmware.cart_rig import KEY, Rig, on_virtual_time, settings
from tests.cart_firmware.corner_shop import BOOK, MILK, PASTA
from tests.edge_agent.shop_floor import Bank

STORE, C1 = StoreId("s1"), CartId("c1")
MIA, ADAM = ShopperId("p5f0c2d9e8b7a6f5e4d3c2b1a0f9e8d7"), StaffId("adam")
GOOD = Weather()
BAD = Weather(lost=0.15, repeated=0.2, late=0.2, late_s=8.0)


async def drawn(record: bytes) -> bytes:
    picture = Timeline()
    replay(read_bundle(record, "record"), picture.saw)
    return drawing.png(picture.drawing())


class Tap:
    """A cart's wire, on which a test may hold up or change what the cart says of its record."""

    def __init__(self, station: Station, change: Callable[[RecordPart], RecordPart | None]) -> None:
        self.station, self._change = station, change
        self.publishing = True

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        message = decode(payload).message
        if isinstance(message, RecordPart):
            changed = self._change(message)
            if changed is None:
                return True
            payload = encode(changed)
        elif isinstance(message, Presence) and not self.publishing:
            payload = encode(msgspec.structs.replace(message, sends_records=False))
        return self.station.publish(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s)

    async def receive(self) -> object:
        return await self.station.receive()

    def drain(self) -> tuple[()]:
        return ()

    async def close(self) -> None:
        await self.station.close()


class Dispute(Rig):
    """One cart and its store with the air between them; both may be killed and started again."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path) -> None:
        (folder / "cart").mkdir()
        super().__init__(loop, folder / "cart")
        self.air = Air(Random("air"), GOOD)
        self.database = f"sqlite:///{folder / 'store.db'}"
        self.limits = Limits()
        self.room: JournalRoom | None = None
        self.records = True
        self.knows_records = True
        self.change: Callable[[RecordPart], RecordPart | None] = lambda part: part
        self.sent = list[RecordPart]()
        self._mint = IdMint(self.clock, SeededDice("store"))

    # ── the store ──

    async def open(self) -> None:
        self.journal = SqlJournal(self.database)
        self._station = self.air.station(subscriptions_of_store(STORE))
        self.agent = Agent(
            store=STORE, name="Corner shop", journal=self.journal, link=MqttCartLink(self._station, STORE),
            acquirer=Bank(), book=BOOK, clock=self.clock, new_id=self._mint.uuid, sign=KEY.sign,
            verify=Verifier(KEY.public_key()).verify, limits=self.limits, room=self.room,
        )  # fmt: skip
        self._serving = asyncio.create_task(self.agent.run())
        await asyncio.sleep(1)

    async def kill_store(self) -> None:
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await self._serving
        self._station.vanish()
        self.journal.close()

    # ── the cart ──

    async def start(self, *, online: bool = True, book: bool = True) -> None:
        del book
        self._lives += 1
        self.ring = SegmentRing(self.folder / "recording", *self.bounds)
        self.outbox = SqliteOutbox(self.folder / "outbox", self.capacity, 42, self.disk_reserve)
        self.tap = Tap(self.air.station(subscriptions_of_cart(STORE, C1), will(STORE, C1)), self._say)
        self.tap.publishing = self.knows_records
        if not online:
            self.tap.station.part()
        self.cart = Cart(
            settings(self.folder), self.clock, IdMint(self.clock, SeededDice(self._lives)),
            load_cell=self.platform, frames=self.camera, reader=Reader(),
            link=MqttStoreLink(self.tap, STORE, C1),  # type: ignore[arg-type]  # a Tap receives what its station does
            outbox=self.outbox, verify=Verifier(KEY.public_key()).verify,
            recordings=self.ring if self.records else None, draw=drawn,
        )  # fmt: skip
        self._running = asyncio.create_task(self.cart.run())
        await asyncio.sleep(3)

    async def kill_cart(self) -> None:
        self.tap.station.vanish()
        self.wire = self.tap.station  # type: ignore[assignment]  # what Rig.kill cuts off
        await self.kill()

    def _say(self, part: RecordPart) -> RecordPart | None:
        self.sent.append(part)
        return self.change(part)

    # ── people ──

    async def trip(self) -> SessionId:
        await self.agent.counter.bind(MIA, f"c1-{self.cart.fuse.basket.code}")
        await self.buy(MILK, 1_033)
        await self.buy(PASTA, 505)
        session = self.cart.fuse.basket.session
        assert session is not None
        return session

    async def trip_and_back(self) -> SessionId:
        session = await self.trip()
        await self.agent.counter.hand_back(MIA)
        self.platform.grams = 0
        await asyncio.sleep(5)
        return session

    async def ask(self) -> RecordId:
        return await self.agent.counter.ask_cart(C1, ADAM)

    def view(self, record: RecordId) -> RecordView:
        view = self.agent.counter.record(record)
        assert view is not None
        return view

    async def later(self, passed_ms: int) -> None:
        """What the store does of itself, so much later."""
        days = self.limits.records_days
        await self.agent.recorder.submit(
            lambda now, now_ms: cart_record.expired(now, days=days, now_ms=now_ms + passed_ms)
        )

    async def until(self, record: RecordId, stage: str, patience_s: float = 400) -> RecordView:
        return await self._seen(record, lambda view: view.stage == stage, patience_s)

    async def halfway(self, record: RecordId) -> None:
        await self._seen(record, lambda view: view.parts_here >= 3)

    async def _seen(self, record: RecordId, holds: Callable[[RecordView], bool], patience_s: float = 400) -> RecordView:
        changes = self.agent.recorder.changes
        async with asyncio.timeout(patience_s):
            while not holds(view := self.view(record)):
                await changes.after(changes.revision)
        return view

    async def is_whole(self, record: RecordId, session: SessionId) -> None:
        """What staff download is what the cart has, and it proves what the cart did."""
        file = await self.agent.counter.record_file(record)
        bundle = read_bundle(file, "file")
        assert sessions_of(bundle) == (session,)
        found = replay(bundle)
        assert found.differences == []
        assert found.decisions > 10
        assert (await self.agent.counter.record_picture(record)).startswith(b"\x89PNG")
        assert verify(self.database).findings == ()

    def stored(self) -> list[object]:
        with SqlJournal(self.database) as journal:
            return [fact.event for fact in journal.replay()]

    def bytes_kept(self) -> int:
        with contextlib.closing(sqlite3.connect(self.database.removeprefix("sqlite:///"))) as connection:
            (found,) = connection.execute("SELECT coalesce(sum(length(data)), 0) FROM cart_record").fetchone()
        return int(found)


def tell(folder: Path, story: Callable[[Dispute], Awaitable[None]], **more: object) -> None:
    async def told(loop: VirtualTimeLoop) -> None:
        shop = Dispute(loop, folder)
        for name, value in more.items():
            setattr(shop, name, value)
        await shop.open()
        await shop.start()
        await story(shop)
        await shop.stop()
        await shop.kill_store()

    on_virtual_time(told)


def bytes_of(folder: Path) -> bytes:
    """What the store has on its disk."""
    return b"".join(file.read_bytes() for file in folder.glob("store.db*"))


# ── what staff get ──


def test_staff_ask_and_get_the_record_the_picture_and_an_audit_entry(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        record = await shop.ask()
        view = await shop.until(record, "kept")
        assert (view.session, view.asked_by, view.cart) == (session, ADAM, C1)
        await shop.is_whole(record, session)
        assert [part.part for part in shop.sent] == list(range(view.parts or len(shop.sent)))
        assert await shop.ask() == record, "asking again for what is here asks nobody"
        (asked,) = [event for event in shop.stored() if isinstance(event, RecordAsked)]
        assert (asked.staff, asked.session, asked.cart) == (ADAM, session, C1)
        (kept,) = [event for event in shop.stored() if isinstance(event, RecordKept)]
        body = await shop.agent.recorder.record(record)
        assert (kept.size, kept.sha256) == (len(body), hashlib.sha256(body).hexdigest())

    tell(tmp_path, story)


def test_progress_is_told_in_parts_and_every_part_wakes_the_page(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        record = await shop.ask()
        seen, revision = set[tuple[int, int]](), 0
        while shop.view(record).stage == "asked":
            revision = await shop.agent.recorder.changes.after(revision)
            view = shop.view(record)
            seen.add((view.parts_here, view.parts))
        (total,) = {parts for _, parts in seen if parts}
        assert total >= 5
        assert {here for here, parts in seen if parts} >= set(range(1, total))

    tell(tmp_path, story)


def test_a_record_of_a_trip_under_way_can_be_had_and_had_again_when_it_went_on(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip()
        first = await shop.ask()
        assert (await shop.until(first, "kept")).shopper_here
        await shop.buy(MILK, 1_033)
        second = await shop.agent.counter.ask_again(first, ADAM)
        await shop.until(second, "kept")
        await shop.is_whole(second, session)
        assert shop.agent.counter.record(first) is None, "the later one tells all of it"
        assert shop.bytes_kept() == len(await shop.agent.recorder.record(second))

    tell(tmp_path, story)


def test_an_alarm_about_a_cart_without_an_order_is_asked_for_by_its_time(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        await shop.agent.recorder.submit(
            lambda now, _: incident.raise_once(
                now, key="k", where="cart c1", cause="load-cell-drifts", sentence="Look.", cart=C1, new_id=lambda: "i1"
            )
        )
        record = await shop.agent.counter.ask_about(IncidentId("i1"), ADAM)
        view = await shop.until(record, "kept")
        assert view.session is None
        assert session in sessions_of(read_bundle(await shop.agent.counter.record_file(record), "file"))
        (card,) = shop.agent.counter.console().incidents
        assert card.record is not None
        assert (card.record.record, card.record.stage) == (record, "kept")

    tell(tmp_path, story)


# ── bad air, deaths and liars ──


def test_parts_that_are_lost_repeated_and_overtaken_change_nothing(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        shop.air.weather = BAD
        record = await shop.ask()
        await shop.until(record, "kept", 3_000)
        assert min(shop.air.lost, shop.air.repeated, shop.air.late) > 0
        await shop.is_whole(record, session)

    tell(tmp_path, story)


def test_a_cart_killed_in_mid_transfer_goes_on_with_the_part_that_is_missing(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        record = await shop.ask()
        await shop.halfway(record)
        await shop.kill_cart()
        assert shop.view(record).parts_here >= 3, "what is here stays"
        before = len(shop.sent)
        await asyncio.sleep(30)
        await shop.start()
        await shop.until(record, "kept")
        assert shop.sent[before].part >= 3
        await shop.is_whole(record, session)

    tell(tmp_path, story)


def test_a_cart_killed_on_a_trip_under_way_has_more_to_tell_and_the_store_begins_anew(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip()
        record = await shop.ask()
        await shop.halfway(record)
        await shop.kill_cart()
        await shop.start()
        await shop.until(record, "kept")
        assert len({part.sha256 for part in shop.sent}) == 2
        await shop.is_whole(record, session)

    tell(tmp_path, story)


def test_a_store_killed_in_mid_transfer_asks_again_by_itself(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        record = await shop.ask()
        await shop.halfway(record)
        await shop.kill_store()
        await asyncio.sleep(10)
        await shop.open()
        await shop.until(record, "kept")
        await shop.is_whole(record, session)

    tell(tmp_path, story)


def test_a_cart_out_of_reach_is_waited_for_a_day_and_asked_when_it_is_back(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        await shop.kill_cart()
        record = await shop.ask()
        await asyncio.sleep(600)
        view = shop.view(record)
        assert (view.stage, view.cart_online) == ("asked", False)
        await shop.start()
        await shop.until(record, "kept")
        await shop.kill_cart()
        again = await shop.agent.counter.ask_again(record, ADAM)
        await shop.later(cart_record.OPEN_MS)
        view = shop.view(again)
        assert (view.stage, view.sentence[:31]) == ("failed", "The cart has not been connected")
        assert shop.view(record).stage == "kept"

    tell(tmp_path, story)


def test_bytes_changed_on_the_way_are_refused_and_three_times_are_enough(tmp_path: Path) -> None:
    def spoil(part: RecordPart) -> RecordPart:
        return msgspec.structs.replace(part, data=bytes([part.data[0] ^ 1]) + part.data[1:]) if part.part == 2 else part

    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        shop.change = spoil
        record = await shop.ask()
        assert "damaged three times" in (await shop.until(record, "failed")).sentence
        assert shop.bytes_kept() == 0
        shop.change = lambda part: part
        again = await shop.ask()
        assert again != record
        await shop.until(again, "kept")
        await shop.is_whole(again, session)

    tell(tmp_path, story)


def test_what_a_cart_sends_unasked_or_for_another_cart_is_not_taken(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        record = await shop.ask()
        await shop.halfway(record)
        thief = shop.air.station(())
        forged = msgspec.structs.replace(shop.sent[0], part=shop.view(record).parts_here, data=bytes(16_384))
        for name in (record, RecordId("never asked")):
            part = msgspec.structs.replace(forged, record=name)
            thief.publish(address(RecordPart, STORE, CartId("c2")), encode(part))
        await shop.until(record, "kept")
        await shop.is_whole(record, session)

    tell(tmp_path, story)


def test_events_do_not_wait_for_a_record(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip()
        shop.change = lambda _: None  # the cart's own wire has swallowed a part
        record = await shop.ask()
        await shop.buy(MILK, 1_033)
        mirror = shop.agent.recorder.shop.carts[C1]
        assert mirror.seq == shop.cart.fuse.position.seq
        assert shop.view(record).stage == "asked"
        wanted = sum(isinstance(message, RecordPart) for message in shop.sent)
        assert wanted <= 3, "and it is not asked for like mad"

    tell(tmp_path, story)


# ── carts that have none ──


def test_a_recorder_that_is_off_is_told_in_plain_words(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        view = await shop.until(await shop.ask(), "failed")
        assert view.sentence == "This cart's flight recorder is switched off: nothing was recorded."

    tell(tmp_path, story, records=False)


def test_a_record_that_was_overwritten_or_erased_is_told_in_plain_words(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        await shop.cart.recorder.erase(session)
        record = await shop.ask()
        assert "has no record of that" in (await shop.until(record, "failed")).sentence
        assert await shop.ask() != record, "it may be tried again"

    tell(tmp_path, story)


def test_a_cart_of_an_earlier_version_is_told_at_once_and_hears_nothing_that_it_cannot_read(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        view = await shop.until(await shop.ask(), "failed", 30)
        assert "too old" in view.sentence
        assert shop.sent == []

    tell(tmp_path, story, knows_records=False)


def test_a_record_larger_than_the_store_takes_is_refused_by_the_cart(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        shop.cart.send_record.wanted(RecordWanted(record=RecordId("r"), part=0, most=1_000))
        await asyncio.sleep(2)
        assert shop.sent == []

    tell(tmp_path, story)


# ── how it goes again ──


def test_with_the_shopper_goes_the_record_and_none_can_be_had_any_more(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        record = await shop.ask()
        await shop.until(record, "kept")
        body = await shop.agent.recorder.record(record)
        assert body[1_000:1_040] in bytes_of(tmp_path)
        await shop.agent.counter.forget(MIA)
        assert shop.agent.counter.record(record) is None
        assert shop.bytes_kept() == 0
        assert body[1_000:1_040] not in bytes_of(tmp_path)
        assert [event.reason for event in shop.stored() if isinstance(event, RecordDropped)] == ["forgotten"]
        with pytest.raises(StaffRefusedError, match="forgotten"):
            await shop.ask()
        assert verify(shop.database).findings == ()

    tell(tmp_path, story)


def test_a_shopper_forgotten_while_the_record_comes_leaves_nothing_of_it(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        record = await shop.ask()
        await shop.halfway(record)
        await shop.agent.counter.forget(MIA)
        await asyncio.sleep(60)
        assert shop.agent.counter.record(record) is None
        assert shop.bytes_kept() == 0

    tell(tmp_path, story)


def test_a_record_of_a_span_that_tells_of_somebody_forgotten_is_not_kept(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        await shop.agent.counter.forget(MIA)
        await shop.agent.recorder.submit(
            lambda now, _: incident.raise_once(
                now, key="k", where="cart c1", cause="load-cell-drifts", sentence="Look.", cart=C1, new_id=lambda: "i1"
            )
        )
        record = await shop.agent.counter.ask_about(IncidentId("i1"), ADAM)
        assert "asked to be forgotten" in (await shop.until(record, "failed")).sentence
        assert shop.bytes_kept() == 0
        (failed,) = [event for event in shop.stored() if isinstance(event, RecordFailed)]
        assert failed.reason == "forgotten"

    tell(tmp_path, story)


def test_records_go_after_their_days_and_the_oldest_where_room_runs_out(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        records = []
        for _ in range(3):
            await shop.trip_and_back()
            records.append(await shop.ask())
            await shop.until(records[-1], "kept")
        here = [shop.agent.counter.record(record) is not None for record in records]
        assert here == [False, True, True], "1 MB holds two with their pictures"
        await shop.later(86_400_000)
        assert shop.view(records[-1]).stage == "kept"
        await shop.later(2 * 86_400_000)
        assert shop.agent.counter.record(records[-1]) is None
        assert shop.bytes_kept() == 0
        reasons = [event.reason for event in shop.stored() if isinstance(event, RecordDropped)]
        assert reasons == ["room", "expired", "expired"]

    tell(tmp_path, story, limits=Limits(records_mb=1, records_days=2))


def test_a_store_short_of_room_fetches_none_and_says_so(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        await shop.trip_and_back()
        await shop.kill_store()
        shop.limits = Limits(disk_floor_mb=10_000_000)
        shop.room = JournalRoom(shop.database, 0)
        await shop.open()
        await asyncio.sleep(10)
        assert "no room" in (await shop.until(await shop.ask(), "failed")).sentence
        assert shop.sent == []

    tell(tmp_path, story)


def test_a_record_is_in_the_backup_and_damage_to_it_is_found(tmp_path: Path) -> None:
    async def story(shop: Dispute) -> None:
        session = await shop.trip_and_back()
        record = await shop.ask()
        await shop.until(record, "kept")
        backup(shop.database, tmp_path / "copy", shop.clock)
        await shop.kill_store()
        shop.database = f"sqlite:///{tmp_path / 'restored.db'}"
        restore(tmp_path / "copy", shop.database, shop.clock)
        await shop.open()
        await shop.is_whole(record, session)
        with contextlib.closing(sqlite3.connect(tmp_path / "restored.db")) as connection:
            connection.execute("UPDATE cart_record SET data = zeroblob(length(data)) WHERE part = 1")
            connection.execute("INSERT INTO cart_record VALUES ('stray', 0, x'00')")
            connection.commit()
        found = verify(shop.database).findings
        assert [finding.partition(":")[0] for finding in found] == ["cart_record stray", f"cart_record {record}"]

    tell(tmp_path, story)
