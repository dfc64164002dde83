"""Known frauds in a cart, each beside the honest act that looks like it: a table of small plays.

Numbers are those of the project's list of known frauds; those that happen at the till or the gate are not here. A play
is a list of moves; letters are products, drawn afresh each time.
"""

from enum import StrEnum

import msgspec


class Verb(StrEnum):
    SCAN = "scan"
    STRIKE = "strike"
    PUT = "put"
    PUT_TOO = "put with the other hand"
    TAKE = "take"
    BAG = "bag in"
    BAG_OUT = "bag out"
    HOLD_UP = "hold the basket up"
    LEAN = "lean"


class Move(msgspec.Struct, frozen=True):
    verb: Verb
    what: str = "A"
    after_s: tuple[float, float] = (2.0, 4.0)
    """Least and most time since the move before it."""


class Play(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    number: int
    honest: bool
    moves: tuple[Move, ...]
    resembling: tuple[float, float] | None = None
    """How heavy B is as a share of A, where the thief chose it for that."""


_S, _P, _T = Verb.SCAN, Verb.PUT, Verb.TAKE
_QUICK = (0.8, 1.6)

PLAYS: tuple[Play, ...] = (
    Play(name="puts in without a scan", number=1, honest=False, moves=(Move(_P),)),
    Play(name="scans long before", number=1, honest=True, moves=(Move(_S), Move(_P, "A", (5, 9)))),
    Play(
        name="scans one, puts in two", number=2, honest=False,
        moves=(Move(_S), Move(_P), Move(Verb.PUT_TOO, "B", (0.05, 0.4))),
    ),
    Play(
        name="scans two, puts in both at once", number=2, honest=True,
        moves=(Move(_S), Move(_S, "B"), Move(_P), Move(Verb.PUT_TOO, "B", (0.05, 0.4))),
    ),
    Play(name="scans cheap, puts in dear", number=3, honest=False, moves=(Move(_S), Move(_P, "B"))),
    Play(name="scans and puts in", number=3, honest=True, moves=(Move(_S), Move(_P))),
    Play(
        name="label of one as heavy", number=4, honest=False, moves=(Move(_S), Move(_P, "B")),
        resembling=(0.98, 1.02),
    ),
    Play(
        name="label of a lighter one", number=4, honest=False, moves=(Move(_S), Move(_P, "B")),
        resembling=(1.3, 3.0),
    ),
    Play(name="dear goods as bananas", number=5, honest=False, moves=(Move(_S), Move(_P, "B"))),
    Play(name="bananas as bananas", number=5, honest=True, moves=(Move(_S), Move(_P))),
    Play(
        name="swaps for dearer", number=6, honest=False,
        moves=(Move(_S), Move(_P), Move(_T, "A", (4, 7)), Move(_P, "B", (1.5, 3))),
    ),
    Play(
        name="takes out, reads, puts back", number=6, honest=True,
        moves=(Move(_S), Move(_P), Move(_T, "A", (4, 7)), Move(_P, "A", (1.5, 6))),
    ),
    Play(
        name="strikes off the list, keeps it", number=7, honest=False,
        moves=(Move(_S), Move(_P), Move(Verb.STRIKE, "A", (4, 7))),
    ),
    Play(
        name="strikes off the list, takes it out", number=7, honest=True,
        moves=(Move(_S), Move(_P), Move(Verb.STRIKE, "A", (4, 7)), Move(_T)),
    ),
    Play(
        name="takes out, returns heavier", number=8, honest=False,
        moves=(Move(_S), Move(_P), Move(_T, "A", (4, 7)), Move(_P, "B", (4, 8))),
        resembling=(1.1, 1.4),
    ),
    Play(
        name="takes out, returns it late", number=8, honest=True,
        moves=(Move(_S), Move(_P), Move(_T, "A", (4, 7)), Move(_P, "A", (8, 14))),
    ),
    Play(
        name="holds the basket up while adding", number=9, honest=False,
        moves=(Move(Verb.HOLD_UP), Move(_P, "A", (0.6, 1.2))),
    ),
    Play(
        name="leans while adding", number=9, honest=True,
        moves=(Move(_S), Move(Verb.LEAN), Move(_P, "A", (0.4, 1.0))),
    ),
    Play(name="hangs it beside the platform", number=10, honest=False, moves=(Move(_S, "-"),)),
    Play(
        name="hides goods in the bag", number=11, honest=False, moves=(Move(Verb.BAG), Move(_P, "A", _QUICK)),
    ),
    Play(name="brings a heavy bag", number=11, honest=True, moves=(Move(Verb.BAG),)),
    Play(
        name="takes the bag out after its tare", number=12, honest=False,
        moves=(Move(Verb.BAG), Move(Verb.BAG_OUT, "A", (5, 9)), Move(_P, "A", _QUICK)),
    ),
    Play(
        name="lifts the bag, sets it down", number=12, honest=True,
        moves=(Move(Verb.BAG), Move(Verb.BAG_OUT, "A", (5, 9)), Move(Verb.BAG, "A", (2, 5))),
    ),
    Play(name="adds after submitting", number=16, honest=False, moves=(Move(_P, "A", (4, 7)),)),
    Play(name="leans after submitting", number=16, honest=True, moves=(Move(Verb.LEAN, "A", (4, 7)),)),
    Play(name="calls goods personal", number=22, honest=False, moves=(Move(_P),)),
)  # fmt: skip
"""Numbers 13 to 15 and 17 to 21 need no cart: they are played by sim.shoppers and the tests of lane and payment."""
