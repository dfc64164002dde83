"""The exit lane as a table: in which state which event leads where, and what is done about it.

    IDLE -code-> CHECKING -accepted-> WEIGHING -passed-> PASSED -passage-> IDLE
                     └refused-> IDLE      └failed-> FAILED -code (again)-> CHECKING
                                                           -let through by staff-> PASSED
                                                           -resolved by staff-> IDLE
    a live tag between the pedestals, in any state -> TAG_ALARM;   a device lost -> OUT_OF_ORDER

Every pair stands either in `TABLE` or, with its reason, in `REFUSED`; a test holds both against all pairs. What is
refused comes from outside at a wrong time: it is counted and changes nothing.
"""

from enum import StrEnum

import msgspec


class LaneState(StrEnum):
    """Where the lane is. Only PASSED has the barrier open and the deactivator live."""

    OUT_OF_ORDER = "out-of-order"
    """A device does not answer."""
    IDLE = "idle"
    CHECKING = "checking"
    """A code was read and is looked up."""
    WEIGHING = "weighing"
    """The order is paid; the load is to stand still on the scale."""
    PASSED = "passed"
    FAILED = "failed"
    """The weight does not fit; the shopper repeats, or staff looks and lets through or resolves."""
    TAG_ALARM = "tag-alarm"
    """Goods with a live tag at the gate; only staff resolves. Nobody is let through: the goods come first."""


class LaneEvent(StrEnum):
    CODE_READ = "code-read"
    ORDER_ACCEPTED = "order-accepted"
    ORDER_REFUSED = "order-refused"
    """Unpaid, unknown, used, expired, forged, or at another lane."""
    WEIGHT_PASSED = "weight-passed"
    WEIGHT_FAILED = "weight-failed"
    PASSAGE = "passage"
    """Somebody went through the gate."""
    TAG_ALARM = "tag-alarm"
    HOLD_ENDED = "hold-ended"
    """The lane waited long enough for what should come next."""
    RESOLVED = "resolved"
    """Staff resolved the lane's incident; who is still there scans again."""
    LET_THROUGH = "let-through"
    """Staff checked the goods of a weight that does not fit: they may leave."""
    DEVICE_LOST = "device-lost"
    DEVICE_BACK = "device-back"


class Effect(StrEnum):
    """What is to be done, in this order. Facts first: see `RECORDED`; protective ones do not wait for them."""

    DISABLE_DEACTIVATOR = "disable deactivator"
    CLOSE_BARRIER = "close barrier"
    LAMP_RED = "lamp red"
    LAMP_AMBER = "lamp amber"
    TONE_ON = "tone on"
    STOP_WEIGHING = "stop weighing"
    STOP_HOLD = "stop hold timer"
    RECORD_CHECK = "record check"
    BURN = "burn token"
    RAISE_MISMATCH = "raise weight incident"
    RAISE_UNPAID = "raise unpaid-goods incident"
    RAISE_BARGED = "raise barged-through incident"
    RAISE_DEVICE = "raise device incident"
    RECORD_RELEASE = "record release by staff"
    RECORD_LET_THROUGH = "record let-through by staff"
    FORGET_ORDER = "forget order"
    LOOK_UP = "look up code"
    START_WEIGHING = "start weighing"
    ENABLE_DEACTIVATOR = "enable deactivator"
    OPEN_BARRIER = "open barrier"
    LAMP_GREEN = "lamp green"
    LAMP_OFF = "lamp off"
    TONE_OFF = "tone off"
    START_HOLD = "start hold timer"
    SAY = "say"
    """The sentence belongs to the pair, see `core.lane_speech`."""


PROTECTIVE = frozenset(
    {
        Effect.DISABLE_DEACTIVATOR,
        Effect.CLOSE_BARRIER,
        Effect.LAMP_RED,
        Effect.LAMP_AMBER,
        Effect.TONE_ON,
        Effect.STOP_WEIGHING,
        Effect.STOP_HOLD,
    }
)
"""Done at once: they can only make the lane safer, and must not wait for a disk."""
RECORDED = frozenset(
    {
        Effect.RECORD_CHECK,
        Effect.BURN,
        Effect.RAISE_MISMATCH,
        Effect.RAISE_UNPAID,
        Effect.RAISE_BARGED,
        Effect.RAISE_DEVICE,
        Effect.RECORD_RELEASE,
        Effect.RECORD_LET_THROUGH,
    }
)
"""Committed together, before any later effect."""


class Step(msgspec.Struct, frozen=True):
    """What one event does: the state after it and the effects, in order. `refused` says why nothing happened."""

    state: LaneState
    effects: tuple[Effect, ...] = ()
    refused: str = ""


_S, _V, _E = LaneState, LaneEvent, Effect
_SHUT = (_E.DISABLE_DEACTIVATOR, _E.CLOSE_BARRIER)
_REST = (_E.STOP_WEIGHING, _E.STOP_HOLD)
_CALM = (_E.FORGET_ORDER, _E.LAMP_OFF, _E.TONE_OFF)
_UNPAID = Step(_S.TAG_ALARM, (*_SHUT, _E.LAMP_RED, _E.TONE_ON, *_REST, _E.RAISE_UNPAID, _E.FORGET_ORDER, _E.SAY))
_LOST = Step(_S.OUT_OF_ORDER, (*_SHUT, _E.LAMP_AMBER, *_REST, _E.RAISE_DEVICE, _E.FORGET_ORDER, _E.SAY))
_RELEASED = Step(_S.IDLE, (*_SHUT, *_REST, _E.RECORD_RELEASE, *_CALM))
_OPEN = (_E.ENABLE_DEACTIVATOR, _E.OPEN_BARRIER, _E.LAMP_GREEN, _E.START_HOLD, _E.SAY)
_LOOK_UP = Step(_S.CHECKING, (_E.LAMP_AMBER, _E.STOP_HOLD, _E.FORGET_ORDER, _E.TONE_OFF, _E.LOOK_UP))

TABLE: dict[tuple[LaneState, LaneEvent], Step] = {
    (_S.IDLE, _V.CODE_READ): _LOOK_UP,
    (_S.IDLE, _V.TAG_ALARM): _UNPAID,
    (_S.IDLE, _V.HOLD_ENDED): Step(_S.IDLE, (_E.LAMP_OFF,)),
    (_S.IDLE, _V.DEVICE_LOST): _LOST,
    (_S.CHECKING, _V.ORDER_ACCEPTED): Step(_S.WEIGHING, (_E.START_WEIGHING, _E.START_HOLD, _E.SAY)),
    (_S.CHECKING, _V.ORDER_REFUSED): Step(_S.IDLE, (*_SHUT, _E.LAMP_RED, _E.FORGET_ORDER, _E.START_HOLD, _E.SAY)),
    (_S.CHECKING, _V.TAG_ALARM): _UNPAID,
    (_S.CHECKING, _V.DEVICE_LOST): _LOST,
    (_S.WEIGHING, _V.WEIGHT_PASSED): Step(_S.PASSED, (*_REST, _E.RECORD_CHECK, *_OPEN)),
    (_S.WEIGHING, _V.WEIGHT_FAILED): Step(
        _S.FAILED, (*_SHUT, _E.LAMP_RED, _E.TONE_ON, *_REST, _E.RECORD_CHECK, _E.RAISE_MISMATCH, _E.SAY)
    ),
    (_S.WEIGHING, _V.HOLD_ENDED): Step(_S.IDLE, (*_SHUT, *_REST, *_CALM, _E.SAY)),
    (_S.WEIGHING, _V.TAG_ALARM): _UNPAID,
    (_S.WEIGHING, _V.DEVICE_LOST): _LOST,
    (_S.PASSED, _V.PASSAGE): Step(_S.IDLE, (*_SHUT, *_REST, _E.BURN, *_CALM, _E.SAY)),
    (_S.PASSED, _V.HOLD_ENDED): Step(_S.IDLE, (*_SHUT, *_REST, *_CALM, _E.SAY)),
    (_S.PASSED, _V.TAG_ALARM): _UNPAID,
    (_S.PASSED, _V.DEVICE_LOST): _LOST,
    (_S.FAILED, _V.CODE_READ): _LOOK_UP,
    (_S.FAILED, _V.PASSAGE): Step(_S.FAILED, (*_SHUT, _E.LAMP_RED, _E.TONE_ON, _E.RAISE_BARGED, _E.SAY)),
    (_S.FAILED, _V.RESOLVED): _RELEASED,
    (_S.FAILED, _V.LET_THROUGH): Step(_S.PASSED, (*_REST, _E.RECORD_LET_THROUGH, _E.TONE_OFF, *_OPEN)),
    (_S.FAILED, _V.TAG_ALARM): _UNPAID,
    (_S.FAILED, _V.DEVICE_LOST): Step(_S.FAILED, (*_SHUT, _E.RAISE_DEVICE)),
    (_S.TAG_ALARM, _V.TAG_ALARM): Step(_S.TAG_ALARM, (*_SHUT, _E.LAMP_RED, _E.TONE_ON, _E.RAISE_UNPAID)),
    (_S.TAG_ALARM, _V.PASSAGE): Step(_S.TAG_ALARM, (*_SHUT, _E.LAMP_RED, _E.TONE_ON, _E.RAISE_BARGED)),
    (_S.TAG_ALARM, _V.RESOLVED): _RELEASED,
    (_S.TAG_ALARM, _V.DEVICE_LOST): Step(_S.TAG_ALARM, (*_SHUT, _E.RAISE_DEVICE)),
    (_S.OUT_OF_ORDER, _V.CODE_READ): Step(_S.OUT_OF_ORDER, (_E.SAY,)),
    (_S.OUT_OF_ORDER, _V.TAG_ALARM): _UNPAID,
    (_S.OUT_OF_ORDER, _V.DEVICE_LOST): Step(_S.OUT_OF_ORDER, (*_SHUT, _E.RAISE_DEVICE)),
    (_S.OUT_OF_ORDER, _V.DEVICE_BACK): Step(_S.IDLE, (*_SHUT, *_REST, *_CALM, _E.SAY)),
}
"""The pairs that mean something."""

_BUSY = "the lane is serving another code; the next shopper waits"
_STRAY = "somebody went through a shut gate, or a beam was crossed twice: counted, nobody is accused"
_LATE = "an answer that came after the lane had moved on"
_NOTHING_OPEN = "there is no alarm to resolve"
_NOBODY_WAITS = "no order waits here to be let through; the shopper scans again"
_NO_TIMER = "no timer runs here; it had been stopped"
_NOT_LOST = "the lane was not waiting for a device"

REFUSED: dict[tuple[LaneState, LaneEvent], str] = {
    **{(state, _V.CODE_READ): _BUSY for state in (_S.CHECKING, _S.WEIGHING, _S.PASSED)},
    (_S.TAG_ALARM, _V.CODE_READ): "an alarm is open; staff comes first",
    **{(state, _V.ORDER_ACCEPTED): _LATE for state in _S if state is not _S.CHECKING},
    **{(state, _V.ORDER_REFUSED): _LATE for state in _S if state is not _S.CHECKING},
    **{(state, _V.WEIGHT_PASSED): _LATE for state in _S if state is not _S.WEIGHING},
    **{(state, _V.WEIGHT_FAILED): _LATE for state in _S if state is not _S.WEIGHING},
    **{(state, _V.PASSAGE): _STRAY for state in (_S.IDLE, _S.CHECKING, _S.WEIGHING, _S.OUT_OF_ORDER)},
    **{(state, _V.HOLD_ENDED): _NO_TIMER for state in (_S.CHECKING, _S.FAILED, _S.TAG_ALARM, _S.OUT_OF_ORDER)},
    **{(state, _V.RESOLVED): _NOTHING_OPEN for state in _S if state not in (_S.FAILED, _S.TAG_ALARM)},
    **{(state, _V.LET_THROUGH): _NOBODY_WAITS for state in _S if state not in (_S.FAILED, _S.TAG_ALARM)},
    (_S.TAG_ALARM, _V.LET_THROUGH): "there are goods with a live tag; they come first, then the shopper scans again",
    **{(state, _V.DEVICE_BACK): _NOT_LOST for state in _S if state is not _S.OUT_OF_ORDER},
}
"""The pairs that do nothing, and why."""


def step(state: LaneState, event: LaneEvent) -> Step:
    """Return what `event` does in `state`; a refused pair stays where it is and names its reason."""
    found = TABLE.get((state, event))
    return found if found is not None else Step(state, refused=REFUSED[state, event])
