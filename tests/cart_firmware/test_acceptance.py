"""When a reading is believed: evidence adds up, and what speaks against it counts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.acceptance import Evidence, Symbol, accepted, belief, resemble

EAN: Symbol = ("]E0", b"4006381333931")
UPC_E: Symbol = ("]E0", b"0042100005264")
LINK: Symbol = ("]Q1", b"https://id.example/01/04006381333931")
LOOKS = st.lists(st.none() | st.floats(-50, 50), min_size=1, max_size=6)
SYMBOLS = st.sampled_from([EAN, UPC_E, LINK, ("]E4", b"96385074"), ("]I1", b"14006381333938"), ("]e0", b"0104")])


@given(SYMBOLS, LOOKS, st.booleans(), st.randoms())
def test_the_order_of_frames_does_not_matter(symbol: Symbol, looks: list[float | None], known: bool, dice) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    mixed = list(looks)
    dice.shuffle(mixed)
    assert belief(symbol, mixed, known=known) == belief(symbol, looks, known=known)


@given(SYMBOLS, LOOKS, st.none() | st.floats(1, 50), st.booleans(), st.integers(0, 4))
def test_a_look_that_does_not_disagree_never_lowers_belief_and_a_contradiction_never_raises_it(
    symbol: Symbol,
    looks: list[float | None],
    look: float | None,
    known: bool,
    against: int,
) -> None:
    before = belief(symbol, looks, known=known, contradictions=against)
    assert belief(symbol, [*looks, look], known=known, contradictions=against) >= before
    assert belief(symbol, looks, known=known, contradictions=against + 1) <= before
    assert belief(symbol, looks, known=True, contradictions=against) >= before


def test_each_further_frame_of_the_same_pack_says_less() -> None:
    beliefs = [belief(EAN, [None] * count, known=True) for count in range(1, 7)]
    gains = [after - before for before, after in pairwise(beliefs)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0


def test_how_many_frames_a_code_of_the_shop_needs() -> None:
    def frames(symbol: Symbol, likelihood: float | None = None) -> int:
        return next(count for count in range(1, 9) if accepted(symbol, [likelihood] * count, known=True))

    assert frames(LINK) == 1
    assert frames(EAN) == 2
    assert frames(("]e0", b"0104006381333931")) == 2
    assert frames(EAN, likelihood=25.0) == 1
    assert frames(EAN, likelihood=5.0) == 2
    assert frames(("]E4", b"96385074")) == 2
    assert frames(UPC_E) == 3
    assert frames(UPC_E, likelihood=25.0) == 2


def test_what_the_shop_does_not_have_is_refused_at_the_second_look_however_sharp() -> None:
    assert not accepted(LINK, [50.0], known=False)
    assert accepted(LINK, [None, None], known=False)
    assert accepted(EAN, [None, None], known=False)


def test_only_codes_that_a_slip_could_turn_into_each_other_resemble() -> None:
    assert resemble(EAN, ("]E0", b"4006381333948"))
    assert not resemble(EAN, EAN)
    assert not resemble(EAN, ("]E0", b"5901234123457"))
    assert not resemble(EAN, ("]Q1", b"4006381333948"))


def test_a_resembling_code_in_its_place_costs_looks_and_one_beside_it_does_not() -> None:
    neighbour: Symbol = ("]E0", b"4006381333948")
    turns, together = Evidence(), Evidence()
    for frame in range(2):
        turns.saw(frame * 100_000, [neighbour])
    for frame in range(2, 4):
        turns.saw(frame * 100_000, [EAN])
        together.saw(frame * 100_000, [EAN, neighbour])
    assert not turns.accepts(EAN, known=True)
    assert together.accepts(EAN, known=True)


def test_looks_long_apart_do_not_add_up() -> None:
    evidence = Evidence()
    evidence.saw(0, [EAN])
    evidence.saw(800_000, [EAN])
    assert not evidence.accepts(EAN, known=True)


def test_a_code_that_no_look_agrees_with_is_not_believed_however_often_it_is_read() -> None:
    assert not accepted(EAN, [-20.0] * 8, known=True)
    assert accepted(EAN, [-20.0, 25.0], known=True)
