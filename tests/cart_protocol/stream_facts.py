"""Events of a cart's stream for the exchange's tests. Each leaves its mark: equal baskets are equal histories."""

from cart_protocol.basket import Position, WeightUnexplained
from cart_protocol.ids import Epoch, Seq
from cart_protocol.mass import Mass
from cart_protocol.messages import CartTime, Events, Recorded

AT = CartTime(boot="b", monotonic_us=1, wall_ms=1, synchronised=True)
NEVER = Position(epoch=Epoch(0), seq=Seq(0))
SECOND = 1_000_000


def at(epoch: int, seq: int) -> Position:
    return Position(epoch=Epoch(epoch), seq=Seq(seq))


def recorded(epoch: int, seq: int) -> Recorded:
    return Recorded(seq=Seq(seq), at=AT, event=WeightUnexplained(number=seq, step=Mass(epoch)))


def batch(epoch: int, first: int, last: int) -> Events:
    return Events(epoch=Epoch(epoch), events=tuple(recorded(epoch, seq) for seq in range(first, last + 1)))
