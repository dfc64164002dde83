"""A shopper who asks is forgotten: in the log, the tables, memory and the very bytes; the ledger still adds up."""

import asyncio
import sqlite3
import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psycopg
import pytest
from msgspec.structs import replace

from cart_protocol.basket import Position, SessionEnded
from cart_protocol.ids import (
    CartId,
    CommandId,
    Epoch,
    LineId,
    OrderId,
    OrderNumber,
    ProductId,
    Seq,
    SessionId,
    ShopperId,
    TenderId,
)
from cart_protocol.mass import Mass, Variance
from cart_protocol.pricing.line import LinePrice
from cart_protocol.pricing.price_book import SoldBy
from edge_agent.core.erasure import pseudonym_for, rewritten
from edge_agent.core.events import (
    BindRequested,
    Fact,
    OrderCancelled,
    OrderLine,
    OrderPlaced,
    ShopperForgotten,
    StoreEvent,
    TenderSubmitted,
    encode,
)
from edge_agent.core.refusals import ErasureRefusedError, NoRoomError
from edge_agent.core.views import PhonePhase
from edge_agent.services.record import RecorderStoppedError
from edge_agent.store.journal import JournalError, SqlJournal
from edge_agent.store.status import Status, read_status
from edge_agent.store.verify import verify
from sim.disk import Disk
from tests.edge_agent.shop_floor import ShopFloor, euros, play
from tests.edge_agent.test_agent_restart import state_of
from tests.postgres import Postgres

MIA = ShopperId("p5f0c2d9e8b7a6f5e4d3c2b1a0f9e8d7")
TOM = ShopperId("p0123456789abcdef0123456789abcde")


async def a_visit(floor: ShopFloor, shopper: ShopperId, cart: str = "c1") -> None:
    """A whole visit, with everything that leaves a trace: a second thought, a declined card, a page's key."""
    trolley = await floor.frozen(cart, shopper)
    counter = floor.agent.counter
    await counter.thaw(shopper)
    await floor.quiet(1)
    await counter.freeze(shopper)
    floor.bank.mood = "declines"
    await asyncio.gather(counter.pay(shopper, "card", f"key-{shopper}-1"), return_exceptions=True)
    floor.bank.mood = "good"
    await counter.pay(shopper, "card", f"key-{shopper}-2")
    await floor.leave(shopper)
    await floor.quiet(5)
    assert counter.phone(shopper).phase is PhonePhase.GOODBYE
    trolley.lose_radio()


def bytes_of(folder: Path) -> bytes:
    """Everything the store has on its disk."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def stored(floor: ShopFloor) -> list[Fact]:
    with SqlJournal(floor.database) as journal:
        return list(journal.replay())


def books_of(floor: ShopFloor) -> Status:
    """What the journal adds up to, without the room on the disk, which other programs use as well."""
    return replace(read_status(floor.database), journal_mb=None, log_mb=None, disk_free_mb=None)


# ── what is forgotten ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_fact_names_a_shopper_that_the_erasure_does_not_know_of() -> None:
    naming = {
        kind.__name__ for kind in typing.get_args(StoreEvent) if ShopperId in typing.get_type_hints(kind).values()
    }
    assert naming == {"BindRequested", "OrderPlaced", "ShopperForgotten"}


def test_a_forgotten_shopper_is_in_no_entry_no_table_no_memory_and_no_byte(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        await a_visit(floor, TOM, "c2")
        assert MIA.encode() in bytes_of(tmp_path), "or the search finds nothing because there is nothing"
        before, books = stored(floor), books_of(floor)

        await floor.agent.counter.forget(MIA)

        assert MIA.encode() not in bytes_of(tmp_path), "database, write-ahead log and all"
        assert TOM.encode() in bytes_of(tmp_path)
        assert floor.agent.recorder.traces_left == 0
        assert MIA not in repr(state_of(floor.agent.recorder.shop))
        assert MIA not in repr(vars(floor.agent.recorder.changes))
        assert floor.agent.counter.phone(MIA).phase is PhonePhase.UNBOUND
        assert floor.agent.counter.phone(TOM).phase is PhonePhase.GOODBYE

        *after, last = stored(floor)
        assert isinstance(last.event, ShopperForgotten)
        assert books_of(floor) == books, "the ledger adds up to the same"
        assert verify(floor.database).findings == (), "and the tables are what the log makes them"
        changed = [(old.event, new.event) for old, new in zip(before, after, strict=True) if old != new]
        assert {type(new) for _, new in changed} == {BindRequested, OrderPlaced, TenderSubmitted}
        for old, new in changed:
            assert len(encode(old)) == len(encode(new)), "overwritten where it lies"
        pseudonyms = {new.shopper for _, new in changed if not isinstance(new, TenderSubmitted)}
        assert pseudonyms == {last.event.shopper}
        assert not any("p5f0" in new.page_key for _, new in changed if isinstance(new, TenderSubmitted))

    play(tmp_path, story)


def test_memory_after_the_erasure_is_what_a_restart_reads(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        await a_visit(floor, TOM, "c2")
        await floor.agent.counter.forget(MIA)
        before = state_of(floor.agent.recorder.shop), dict(floor.agent.recorder.shop.bindings.latest_of)
        await floor.restart()
        assert (state_of(floor.agent.recorder.shop), floor.agent.recorder.shop.bindings.latest_of) == before

    play(tmp_path, story)


def test_whoever_is_unknown_or_forgotten_already_is_forgotten_again_and_nothing_is_written(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        forget = floor.agent.counter.forget
        await asyncio.gather(forget(MIA), forget(MIA), forget(TOM))
        await forget(MIA)
        assert [type(fact.event) for fact in stored(floor)].count(ShopperForgotten) == 1

    play(tmp_path, story)


def test_the_same_phone_may_come_again_and_is_somebody_new(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        await floor.agent.counter.forget(MIA)
        await a_visit(floor, MIA, "c2")
        await floor.agent.counter.forget(MIA)
        named = {fact.event.shopper for fact in stored(floor) if isinstance(fact.event, ShopperForgotten)}
        assert len(named) == 2
        assert MIA.encode() not in bytes_of(tmp_path)
        assert read_status(floor.database).paid_minor == 2 * euros("2.40").minor

    play(tmp_path, story)


def test_a_pseudonym_leads_nowhere_and_is_as_long_as_the_id() -> None:
    made = pseudonym_for(MIA, lambda: "019b76daa81e7ce6918d264aad6c210f")
    assert len(made) == len(MIA)
    assert made[:1] == "f"
    assert made != pseudonym_for(MIA, lambda: "019b76daa81e7ce6918d264aad6c210e")


def test_other_shoppers_facts_stay_as_they_are() -> None:
    bound = BindRequested(
        session=SessionId("s"), shopper=TOM, cart=CartId("c1"), code="X", command=CommandId("c"), expires_ms=1
    )
    assert rewritten(bound, MIA, ShopperId("f")) is None


# ── when it may not be done yet ──────────────────────────────────────────────────────────────────────────────────


async def refusal(floor: ShopFloor) -> str:
    with pytest.raises(ErasureRefusedError) as error:
        await floor.agent.counter.forget(MIA)
    return error.value.reason


def test_while_something_is_between_them_and_the_shop_nobody_is_forgotten(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        counter = floor.agent.counter
        await floor.bound("c1", MIA)
        assert await refusal(floor) == "has-cart"
        await counter.hand_back(MIA)
        await counter.forget(MIA)

        await floor.frozen("c2", MIA)
        assert await refusal(floor) == "has-cart"
        floor.bank.mood = "silent-after"
        paying = asyncio.create_task(counter.pay(MIA, "card", "k"))
        await floor.quiet(0.5)
        assert await refusal(floor) == "paying"
        await floor.quiet(3)
        assert await refusal(floor) == "paying", "unknown is not an answer"
        await paying
        await floor.quiet(60)
        assert await refusal(floor) == "not-left"
        assert MIA in repr(state_of(floor.agent.recorder.shop)), "a refusal changes nothing"
        await floor.leave(MIA)
        await counter.forget(MIA)

    play(tmp_path, story)


def test_an_order_that_is_paid_in_part_keeps_its_shopper(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.frozen("c1", MIA)
        floor.bank.mood = "partial"
        await floor.agent.counter.pay(MIA, "card", "k")
        session = floor.agent.recorder.shop.bindings.latest_of[MIA].session
        cart.do(SessionEnded(session=session, reason="withdrawn"))
        await floor.quiet(5)
        assert floor.agent.recorder.shop.bindings.of(MIA) is None, "the cart is gone, the order stands"
        assert await refusal(floor) == "unpaid"

    play(tmp_path, story)


def test_a_journal_that_cannot_be_written_forgets_nobody_and_ends_the_agent(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        with sqlite3.connect(floor.database.removeprefix("sqlite:///")) as other:
            other.execute("CREATE TRIGGER no_room BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'full'); END")
        other.close()
        before = stored(floor)
        with pytest.raises(RecorderStoppedError):
            await floor.agent.counter.forget(MIA)
        assert stored(floor) == before, "what was rewritten before the failure is as it was"
        assert MIA in repr(state_of(floor.agent.recorder.shop)), "memory is not ahead of the disk"
        assert floor._running is not None
        with pytest.RaisesGroup(JournalError, flatten_subgroups=True):
            await floor._running

    play(tmp_path, story)


def test_a_full_disk_forgets_nobody_says_so_and_the_wish_may_be_repeated(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_visit(floor, MIA)
        before = stored(floor)
        platter.full = True
        with pytest.raises(NoRoomError):
            await floor.agent.counter.forget(MIA)
        assert stored(floor) == before
        platter.full = False
        await floor.agent.counter.forget(MIA)
        assert MIA not in repr(stored(floor))

    with Disk() as disk:
        platter = disk.under(tmp_path)
        play(tmp_path, story)


# ── down to the bytes ────────────────────────────────────────────────────────────────────────────────────────────


def a_trip(number: int, shopper: ShopperId) -> list[Fact]:
    session, order = SessionId(f"session-{number:04}"), OrderId(f"order-{number:04}")
    return [Fact(number, event) for event in (
        BindRequested(session=session, shopper=shopper, cart=CartId("c1"), code="X", command=CommandId("c"),
                      expires_ms=1),
        OrderPlaced(order=order, number=OrderNumber(str(number)), sequence=number, session=session, shopper=shopper,
                    cart=CartId("c1"), frozen_at=Position(epoch=Epoch(1), seq=Seq(1)),
                    lines=tuple(map(a_line, range(number % 40 + 1))),
                    total=euros("1"), taxes=(), settled=Mass(1), variance=Variance(1), tags=0),
        TenderSubmitted(tender=TenderId(f"tender-{number:04}"), order=order, amount=euros("1"), method="card",
                        page_key=f"{shopper}-key"),
    )]  # fmt: skip


def streams_of(number: int) -> list[str]:
    return [f"session/session-{number:04}", f"order/order-{number:04}"]


def a_line(number: int) -> OrderLine:
    price = LinePrice(
        sold_by=SoldBy.PIECE, unit=euros("1"), total=euros("1"), tax=euros("0"), tax_class="A", book_version=1
    )
    return OrderLine(
        line=LineId(f"{number}"), product=ProductId("04000000000013"), name="Milk", quantity=1, mass=Mass(1),
        nominal=Mass(1), nominal_variance=Variance(1), price=price, tagged=False,
    )  # fmt: skip


def a_shopper(number: int) -> ShopperId:
    return ShopperId(f"p{number:031x}")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqlJournal]:
    with SqlJournal(f"sqlite:///{tmp_path / 'store.db'}") as made:
        yield made


def test_of_hundreds_of_shoppers_each_goes_without_a_trace_and_the_others_stay(
    tmp_path: Path, journal: SqlJournal
) -> None:
    shoppers = [a_shopper(number) for number in range(1, 241)]
    for number, shopper in enumerate(shoppers, start=1):
        journal.append(a_trip(number, shopper), {})
        if number % 3 == 0:  # rows of the read table grow in the middle and are moved about
            journal.append([Fact(1, OrderCancelled(order=OrderId(f"order-{number - 2:04}"), reason="x" * 40))], {})
    number_of = {shopper: number for number, shopper in enumerate(shoppers, start=1)}
    Random(1).shuffle(shoppers)
    asked: list[str] = []
    journal._writer._connection.set_trace_callback(asked.append)  # type: ignore[attr-defined]
    for number, shopper in enumerate(shoppers[:120]):
        gone = ShopperId(f"f{number:031x}")
        assert journal.forget(shopper, gone, streams_of(number_of[shopper]), [Fact(2, ShopperForgotten(shopper=gone))])
        assert shopper.encode() not in bytes_of(tmp_path)
    journal._writer._connection.set_trace_callback(None)  # type: ignore[attr-defined]
    assert "VACUUM" not in asked, "each was overwritten where it lay"
    left = bytes_of(tmp_path)
    assert all(shopper.encode() in left for shopper in shoppers[120:])
    assert len(list(journal.replay())) == 240 * 3 + 80 + 120


@pytest.mark.postgresql
def test_on_postgresql_no_row_names_them_and_after_its_vacuum_no_table_file_does(postgres: Postgres) -> None:
    address = postgres.database()
    name = address.partition("@/")[2].partition("?")[0]
    with SqlJournal(address) as journal:
        journal.append(a_trip(39, MIA) + a_trip(2, TOM), {})
        gone = pseudonym_for(MIA, lambda: "0" * 32)
        assert journal.forget(MIA, gone, streams_of(39), [Fact(2, ShopperForgotten(shopper=gone))])
        assert MIA not in repr(list(journal.replay()))
        assert TOM in repr(list(journal.replay()))
    connection = psycopg.connect(f"host={postgres.folder} user=postgres dbname={name}", autocommit=True)
    with connection:
        assert connection.execute("SELECT DISTINCT shopper FROM shop_order ORDER BY 1").fetchall() == [(gone,), (TOM,)]
        connection.execute("VACUUM FULL entry, shop_order")
        connection.execute("CHECKPOINT")
    connection.close()
    files = bytes_of(postgres.folder / "data" / "base")
    assert TOM.encode() in files
    assert MIA.encode() not in files


def test_a_copy_that_an_earlier_program_left_between_the_pages_is_found_and_goes(
    tmp_path: Path, journal: SqlJournal
) -> None:
    journal.append(a_trip(1, MIA), {})
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as careless:
        careless.execute("PRAGMA secure_delete=OFF")
        careless.execute("CREATE TABLE old (note TEXT)")
        careless.executemany("INSERT INTO old VALUES (?)", [(f"{MIA} was here",)] * 50)
        careless.execute("DELETE FROM old")
        careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    careless.close()
    assert journal.forget(MIA, TOM, streams_of(1), [])
    assert MIA.encode() not in bytes_of(tmp_path)


def test_a_reader_keeps_old_pages_until_the_next_start_and_we_say_so(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'store.db'}"
    with SqlJournal(address) as journal:
        journal.append(a_trip(1, MIA), {})
        with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM entry").fetchone()
            assert not journal.forget(MIA, TOM, streams_of(1), [])
            reader.execute("COMMIT")
        reader.close()
        with SqlJournal(address):
            assert MIA.encode() not in bytes_of(tmp_path)


@pytest.mark.parametrize("death", ["killed", "power cut"])
def test_whenever_the_agent_dies_the_erasure_happened_or_did_not_and_can_be_repeated(
    tmp_path: Path, death: str
) -> None:
    outcomes = set()
    for operation in range(1, 60):
        folder = tmp_path / str(operation)
        folder.mkdir()
        with Disk() as disk:
            platter = disk.under(folder)
            journal = SqlJournal(f"sqlite:///{folder / 'store.db'}")
            journal.append(a_trip(1, MIA) + a_trip(2, TOM), {})
            before = list(journal.replay())
            platter.stop_at(operation)
            with suppress(JournalError):
                journal.forget(MIA, a_shopper(1), streams_of(1), [Fact(3, ShopperForgotten(shopper=a_shopper(1)))])
            died = platter.stopped
            if death == "killed":
                platter.kill()
            else:
                platter.cut_power(Random(operation))
            with suppress(Exception):
                journal.close()
            with SqlJournal(f"sqlite:///{folder / 'store.db'}") as again:
                after = list(again.replay())
                happened = after != before
                outcomes.add(happened)
                if happened:
                    assert isinstance(after[-1].event, ShopperForgotten)
                    assert MIA not in repr(after)
                assert again.forget(MIA, a_shopper(1), streams_of(1), [])
                assert MIA.encode() not in bytes_of(folder)
                assert TOM in repr(list(again.replay()))
        if not died:
            break
    else:
        pytest.fail("the erasure never came to its end")
    assert outcomes == {True, False}
