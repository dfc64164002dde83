"""The cart's end: go-back-N from the first unacknowledged event, and a question where others would repeat."""

from collections.abc import Callable
from enum import Enum
from typing import Any

from cart_protocol.basket import Position
from cart_protocol.exchange.answer_timer import AnswerTimer
from cart_protocol.exchange.effects import (
    Counts,
    Effect,
    LocalProtocolError,
    PruneThrough,
    Send,
    SendEvents,
    SendSnapshot,
)
from cart_protocol.ids import Seq
from cart_protocol.messages import (
    Ack,
    Birth,
    Command,
    LessonKept,
    LessonWanted,
    Message,
    PriceBookIssue,
    ProductPicture,
    RecordWanted,
    Refusal,
    SightIssue,
    SnapshotRequest,
    StoreBirth,
)

FIRST_FLIGHT = 32
"""Events in flight until the store has acknowledged some; doubles with each advance, up to the window."""
LARGEST_BATCH = 64
"""Events in one message: some 30 kB, far below any broker's packet limit."""


class CartState(Enum):
    DOWN = "down"
    """No connection."""
    GREETING = "greeting"
    """Asked the store where it stands (Birth or Snapshot sent); no events until it says."""
    FLOWING = "flowing"


class CartEnd:
    """See Exchange, whose CART role this is."""

    def __init__(self, position: Position, acknowledged: int, software: str, window: int, counts: Counts) -> None:
        if not 0 <= acknowledged <= position.seq or window < 1:
            raise LocalProtocolError(f"acknowledged {acknowledged} of {position.seq} recorded, window {window}")
        self.state = CartState.DOWN
        self.acknowledged = acknowledged
        self.timer = AnswerTimer()
        self._epoch, self._recorded = position.epoch, int(position.seq)
        self._software, self._window, self._counts = software, window, counts
        self._sent = acknowledged
        """The next event to send is this one's successor; going back lowers it."""
        self._ever_sent = acknowledged
        self._allowance = min(FIRST_FLIGHT, window)
        self._going_back = False
        self._timed: tuple[int, int] | None = None
        """A seq that was sent only once, and when: the next sample for the timer."""

    def connected(self, now_us: int) -> list[Effect]:
        self.timer.progress()
        return self._greet(now_us)

    def disconnected(self) -> None:
        self.state, self._timed = CartState.DOWN, None
        self.timer.disarm()

    def recorded(self, seq: int, now_us: int) -> list[Effect]:
        if seq < self._recorded:
            raise LocalProtocolError(f"event {seq} recorded after event {self._recorded}")
        self._recorded = seq
        return self._fill(now_us) if self.state is CartState.FLOWING else []

    def receive(self, message: Message, now_us: int) -> list[Effect]:
        reaction = CART_TABLE.get((self.state, type(message)))
        if reaction is None:
            raise LocalProtocolError(f"a cart does not receive {type(message).__name__}")
        return reaction(self, message, now_us)

    def tick(self, now_us: int) -> list[Effect]:
        if not self.timer.due(now_us):
            return []
        self._counts.timeouts += 1
        self.timer.back_off()
        return self._greet(now_us)

    # ── reactions: the entries of CART_TABLE ──

    def advance(self, ack: Ack, now_us: int) -> list[Effect]:
        """FLOWING: prune and send on. The same Ack again says that the store saw a gap: go back, once."""
        if not self._is_ours(ack.position):
            return self._greet(now_us)
        if ack.position.seq > self.acknowledged:
            return [*self._acknowledge(ack.position.seq, now_us), *self._fill(now_us)]
        if ack.position.seq == self.acknowledged and self._sent > self.acknowledged and not self._going_back:
            self._going_back = True
            return self._go_back(now_us)
        return []

    def resume(self, ack: Ack, now_us: int) -> list[Effect]:
        """GREETING: the store says where it stands; everything after that is sent, perhaps again.

        This is going back: what else was on its way says nothing of a gap.
        """
        if not self._is_ours(ack.position) or ack.position.seq < self.acknowledged:
            return []  # left over from earlier: our question is out and its timer runs
        effects: list[Effect] = []
        if ack.position.seq > self.acknowledged:
            effects = self._acknowledge(ack.position.seq, now_us)
        self.state, self._going_back = CartState.FLOWING, True
        return effects + self._go_back(now_us)

    def prune(self, ack: Ack, now_us: int) -> list[Effect]:
        """DOWN: what is committed is committed; everything else waits for the connection."""
        if not self._is_ours(ack.position) or ack.position.seq <= self.acknowledged:
            return []
        effects = self._acknowledge(ack.position.seq, now_us)
        self.timer.disarm()
        return effects

    def restore(self, request: SnapshotRequest, now_us: int) -> list[Effect]:
        self.state = CartState.GREETING
        self.timer.arm(now_us)
        return [SendSnapshot(answers=request.position)]

    def greet_again(self, _: StoreBirth, now_us: int) -> list[Effect]:
        self.timer.progress()
        return self._greet(now_us)

    def keep(self, _: Refusal, __: int) -> list[Effect]:
        """Nothing was committed. The timer, backing off, will offer it again: perhaps to a newer store."""
        self._counts.refused += 1
        return []

    def ignore(self, _: Message, __: int) -> list[Effect]:
        return []

    # ── what the reactions are made of ──

    def _greet(self, now_us: int) -> list[Effect]:
        self.state = CartState.GREETING
        self._allowance = min(FIRST_FLIGHT, self._window)
        self.timer.arm(now_us)
        position = Position(epoch=self._epoch, seq=Seq(self._recorded))
        return [Send(Birth(position=position, oldest=Seq(self.acknowledged + 1), software=self._software))]

    def _is_ours(self, position: Position) -> bool:
        """Return False for another outbox's position, and for one that we never recorded."""
        if position.epoch != self._epoch:
            return False
        known = 0 <= position.seq <= self._recorded
        self._counts.nonsense += not known
        return known

    def _acknowledge(self, seq: int, now_us: int) -> list[Effect]:
        self.acknowledged = seq
        self._sent, self._ever_sent = max(self._sent, seq), max(self._ever_sent, seq)
        self._allowance = min(self._allowance * 2, self._window)
        self._going_back = False
        self.timer.progress()
        if self._timed and seq >= self._timed[0]:
            self.timer.sample(now_us - self._timed[1])
            self._timed = None
        self._wait_while_in_flight(now_us)
        return [PruneThrough(seq)]

    def _go_back(self, now_us: int) -> list[Effect]:
        if self._sent > self.acknowledged:
            self._timed = None  # sent twice from here on: whose answer comes is no longer known
        self._sent = self.acknowledged
        effects = self._fill(now_us)
        self._wait_while_in_flight(now_us)
        return effects

    def _fill(self, now_us: int) -> list[Effect]:
        """Send what may be in flight and is not."""
        effects: list[Effect] = []
        end = min(self._recorded, self.acknowledged + self._allowance)
        if self._sent == self.acknowledged and end > self._sent:
            self.timer.arm(now_us)
        while self._sent < end:
            through = min(end, self._sent + LARGEST_BATCH)
            effects.append(SendEvents(after=self._sent, through=through))
            self._sent = through
        if self._sent > self._ever_sent:
            self._ever_sent = self._sent
            self._timed = self._timed or (self._sent, now_us)
        return effects

    def _wait_while_in_flight(self, now_us: int) -> None:
        if self._sent > self.acknowledged:
            self.timer.arm(now_us)
        else:
            self.timer.disarm()


_NO_DELIVERY: tuple[type[Message], ...] = (
    Command, PriceBookIssue, ProductPicture, RecordWanted, SightIssue, LessonWanted, LessonKept,
)  # fmt: skip
# A reaction takes exactly the message type that its row names, which a dictionary's type cannot say: hence Any.
_Reaction = Callable[[CartEnd, Any, int], list[Effect]]
CART_TABLE: dict[tuple[CartState, type[Message]], _Reaction] = {
    (CartState.DOWN, Ack): CartEnd.prune,
    (CartState.DOWN, SnapshotRequest): CartEnd.ignore,
    (CartState.DOWN, StoreBirth): CartEnd.ignore,
    (CartState.DOWN, Refusal): CartEnd.keep,
    (CartState.GREETING, Ack): CartEnd.resume,
    (CartState.GREETING, SnapshotRequest): CartEnd.restore,
    (CartState.GREETING, StoreBirth): CartEnd.greet_again,
    (CartState.GREETING, Refusal): CartEnd.keep,
    (CartState.FLOWING, Ack): CartEnd.advance,
    (CartState.FLOWING, SnapshotRequest): CartEnd.restore,
    (CartState.FLOWING, StoreBirth): CartEnd.greet_again,
    (CartState.FLOWING, Refusal): CartEnd.keep,
    # What else travels down is no part of delivery.
    **{(state, message): CartEnd.ignore for state in CartState for message in _NO_DELIVERY},
}
"""What a cart does: state x message -> reaction. Every message that travels down stands here, in every state."""
