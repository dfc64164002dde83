"""The day's books against the acquirer's: every planted difference is found and named, and nothing else is."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cart_protocol.money import Money
from edge_agent.__main__ import app
from edge_agent.core.reconciliation import OurTender, Reconciliation, Settled, reconcile, report
from edge_agent.store.settlement_file import SettlementFileError, read_settlement
from edge_agent.store.tenders import read_tenders
from sim.acquirer_ledger import Ledger
from tests.edge_agent.shop_floor import ALICE, BOB, ShopFloor, play

HEAD = "# TEST - no real money\nreference;key;captured;refunded;currency;at_ms\n"


def ours(key: str, captured: int = 500, refunded: int = 0, *, in_doubt: bool = False, at_ms: int = 1) -> OurTender:
    return OurTender(
        key=key, reference="" if in_doubt or not captured else f"R-{key}", captured=Money(captured, "EUR"),
        refunded=Money(refunded, "EUR"), in_doubt=in_doubt, at_ms=at_ms,
    )  # fmt: skip


def theirs(key: str, captured: int = 500, refunded: int = 0, *, reference: str = "", currency: str = "EUR") -> Settled:
    return Settled(
        key=key, reference=reference or f"R-{key}", captured=Money(captured, currency),
        refunded=Money(refunded, currency), at_ms=2,
    )  # fmt: skip


def test_books_that_agree_agree() -> None:
    found = reconcile([ours("a"), ours("b", 250, 50), ours("declined", 0)], [theirs("b", 250, 50), theirs("a")])
    assert found.agrees
    assert {tender.key for tender in found.matching} == {"a", "b"}
    assert report(found) == ["2 payments match"]


def test_every_kind_of_difference_lands_in_its_list() -> None:
    found = reconcile(
        [ours("same"), ours("not-settled"), ours("asked", 0, in_doubt=True), ours("less"), ours("refund"),
         ours("won"), ours("renamed"), ours("declined-here", 0), ours("unanswered", 0, in_doubt=True)],
        [theirs("same"), theirs("stranger"), theirs("less", 499), theirs("refund", 500, 100), theirs("same"),
         theirs("won", currency="KRW"), theirs("renamed", reference="other"), theirs("declined-here"),
         theirs("unanswered")],
    )  # fmt: skip
    assert not found.agrees
    assert [tender.key for tender in found.matching] == ["same"]
    assert [tender.key for tender in found.ours_only] == ["not-settled", "asked"]
    assert [line.key for line in found.theirs_only] == ["stranger", "same"], "the second charge under one key too"
    assert [(each.ours.key, each.what) for each in found.differing] == [
        ("less", ("captured",)), ("refund", ("refunded",)), ("won", ("captured", "refunded")),
        ("renamed", ("reference",)), ("declined-here", ("captured", "reference")), ("unanswered", ("in-doubt",)),
    ]  # fmt: skip
    text = "\n".join(report(found))
    for word in ("ours only: 2", "theirs only: 2", "differing: 6", "stranger", "no answer yet", "€4.99"):
        assert word in text


def test_a_days_file_is_not_asked_for_other_days_and_midnight_splits_no_payment() -> None:
    day = [ours("before", at_ms=99), ours("first", at_ms=100), ours("last", at_ms=199), ours("after", at_ms=200)]
    found = reconcile(day, [theirs("before"), theirs("first")], since_ms=100, until_ms=200)
    assert [tender.key for tender in found.ours_only] == ["last"]
    assert {tender.key for tender in found.matching} == {"before", "first"}, "begun before midnight, settled after it"
    assert found.theirs_only == ()


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.booleans()), unique_by=lambda row: row[0]),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3))),
)
def test_nothing_is_lost_between_the_lists(mine: list[tuple[str, int, bool]], other: list[tuple[str, int]]) -> None:
    us = [ours(key, 0 if doubt else captured, in_doubt=doubt) for key, captured, doubt in mine]
    them = [theirs(key, captured) for key, captured in other]
    found = reconcile(us, them)
    assert len(found.matching) + len(found.differing) + len(found.theirs_only) == len(them)
    for tender in us:
        listed = [*found.matching, *found.ours_only, *(each.ours for each in found.differing)].count(tender)
        assert listed == (tender.captured.minor > 0 or tender.in_doubt or tender.key in {line.key for line in them})
    if found.agrees:
        assert sum(tender.captured.minor for tender in us) == sum(line.captured.minor for line in them)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_columns_may_stand_in_any_order_and_more_of_them(tmp_path: Path) -> None:
    file = tmp_path / "settlement.csv"
    file.write_text("key;reference;fee;currency;captured;refunded;at_ms\na;R-a;3;EUR;500;0;2\n\n# end\n")
    assert read_settlement(file) == [theirs("a")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column reference"),
        ("reference;key;captured\n", "no column refunded, currency, at_ms"),
        (HEAD + "R;k;5;0;EUR\n", "line 3"),
        (HEAD + "R;k;5.00;0;EUR;1\n", "line 3: captured is '5.00', not a count of minor units"),
        (HEAD + "R;k;-5;0;EUR;1\n", "line 3: captured"),
        (HEAD + "R;k;5;0;XXX;1\n", "currency 'XXX'"),
        (HEAD + "R;;5;0;EUR;1\n", "no key"),
        (HEAD + "R;k;5;0;EUR;soon\n", "line 3"),
    ],
)
def test_half_a_file_is_never_used(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settlement.csv"
    file.write_text(text)
    with pytest.raises(SettlementFileError, match=r"settlement\.csv") as refused:
        read_settlement(file)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettlementFileError, match="name the acquirer's settlement file"):
        read_settlement(tmp_path / "nothing.csv")


# ── the program, on real books ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Reconciliation]]:
    """A day's journal of two paid orders and a declined card, and the program that compares it with a file."""

    async def a_day(floor: ShopFloor) -> None:
        await floor.paid("c1", ALICE)
        await floor.frozen("c2", BOB)
        floor.bank.mood = "declines"
        await asyncio.gather(floor.agent.counter.pay(BOB, "card", "k1"), return_exceptions=True)
        floor.bank.mood = "good"
        await floor.agent.counter.pay(BOB, "card", "k2")

    play(tmp_path, a_day)
    config = tmp_path / "edge.toml"
    config.write_text(f"""
database = "sqlite:///{tmp_path / "store.db"}"
price_book = "x"
signing_key = "x"
staff = "x"
[identity]
store = "s1"
name = "S"
[broker]
host = "127.0.0.1"
authority = "x"
certificate = "x"
key = "x"
""")
    monkeypatch.setenv("COLUMNS", "200")

    def run(text: str, *options: str) -> tuple[int, Reconciliation]:
        file = tmp_path / "settlement.csv"
        file.write_text(text)
        ran = CliRunner().invoke(app, ["reconcile", str(file), "--config", str(config), "--json", *options])
        return ran.exit_code, msgspec.json.decode(ran.stdout_bytes, type=Reconciliation)

    return run


def lines_of(folder: Path) -> list[str]:
    return [
        f"{tender.reference};{tender.key};{tender.captured.minor};{tender.refunded.minor};EUR;{tender.at_ms}"
        for tender in read_tenders(f"sqlite:///{folder / 'store.db'}")
        if tender.captured.minor
    ]


def test_the_program_ends_with_0_only_when_all_match(
    tmp_path: Path, books: Callable[..., tuple[int, Reconciliation]]
) -> None:
    good = HEAD + "\n".join(lines_of(tmp_path))
    assert books(good)[0] == 0
    status, found = books(HEAD + lines_of(tmp_path)[0])
    assert (status, len(found.matching), len(found.ours_only)) == (1, 1, 1)
    status, found = books(HEAD + lines_of(tmp_path)[0], "--until", "2000-01-01")
    assert (status, len(found.ours_only)) == (0, 0)
    status, found = books(good + "\nTEST-9;somebody;700;0;EUR;1\n")
    assert (status, [line.key for line in found.theirs_only]) == (1, ["somebody"])


def test_the_test_acquirers_own_file_is_read(tmp_path: Path) -> None:
    ledger = Ledger(":memory:")
    ledger.charge("k1", 500, "EUR", "card")
    ledger.charge("k2", 500, "EUR", "test_declined")
    ledger.refund("k1", "r", 200)
    file = tmp_path / "settlement.csv"
    file.write_text(ledger.settlement_file())
    ledger.close()
    (line,) = read_settlement(file)
    assert (line.key, line.captured, line.refunded) == ("k1", Money(500, "EUR"), Money(200, "EUR"))
