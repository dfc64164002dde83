"""What a lane puts on record: the facts that belong to the recorded effects of one step, decided together."""

from collections.abc import Callable, Iterable

import msgspec

from cart_protocol.ids import LaneId, OrderId, StaffId, TokenId
from edge_agent.core import payment
from edge_agent.core.events import PASSED, LaneChecked, LaneReleased, NewId, StoreEvent
from edge_agent.core.exit_check import ExitCheck
from edge_agent.core.incident import raise_once
from edge_agent.core.lane_admission import Admission
from edge_agent.core.lane_sequence import Effect
from edge_agent.core.refusals import TokenRefusedError
from edge_agent.core.shop import Shop


class LaneContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the lane when something happens."""

    lane: LaneId
    admission: Admission | None = None
    check: ExitCheck | None = None
    sentence: str = ""
    """What the lane says about it."""
    device: str = ""
    trouble: str = ""
    staff: StaffId | None = None

    @property
    def order(self) -> OrderId | None:
        return self.admission.order.id if self.admission else None

    @property
    def token(self) -> TokenId | None:
        return self.admission.token if self.admission else None


class _Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What an incident is about."""

    key: str
    cause: str
    evidence: tuple[str, ...]


def alarm_key(effect: Effect, lane: LaneId, order: OrderId | None) -> str:
    """Return the incident key of an alarm that holds the lane until staff resolves it; empty for other effects."""
    match effect:
        case Effect.RAISE_MISMATCH:
            return f"lane/{lane}/weight/{order}"
        case Effect.RAISE_UNPAID:
            return f"lane/{lane}/tag-alarm"
    return ""


def decide(effects: Iterable[Effect], shop: Shop, now_ms: int, context: LaneContext, new_id: NewId) -> list[StoreEvent]:
    """Return the facts of these effects. An incident about a matter that is still open is not raised again."""
    return [fact for effect in effects for fact in _facts(effect, shop, now_ms, context, new_id)]


def _facts(effect: Effect, shop: Shop, now_ms: int, context: LaneContext, new_id: NewId) -> list[StoreEvent]:
    if effect is Effect.RECORD_CHECK:
        return _checked(context)
    if effect in _RELEASES:
        return _released(context, _RELEASES[effect])
    if effect is Effect.BURN:
        return _burned(shop, now_ms, context, new_id)
    matter = _MATTERS[effect](context)
    return [] if matter is None else _raise(shop, context, new_id, matter)


def _checked(context: LaneContext) -> list[StoreEvent]:
    check = context.check
    if check is None:
        return []
    return [
        LaneChecked(
            lane=context.lane,
            token=context.token,
            order=context.order,
            verdict=str(check.cause or PASSED),
            expected=check.expected,
            measured=check.measured,
            tolerance=check.tolerance,
            reasons=check.reasons,
        )
    ]


def _burned(shop: Shop, now_ms: int, context: LaneContext, new_id: NewId) -> list[StoreEvent]:
    """The exit: the token is spent in the commit that records it, and the cart forgets its shopper."""
    token = context.token
    if token is None:
        return []
    try:
        return payment.burn(shop, token, context.lane, now_ms=now_ms, new_id=new_id)
    except TokenRefusedError as refusal:  # it was refunded or burned while they walked: they are out, staff must know
        matter = _Matter(
            key=f"lane/{context.lane}/exit/{token}",
            cause="exit-without-token",
            evidence=(f"token {token}: {refusal.reason}",),
        )
        return _raise(shop, context, new_id, matter)


_RELEASES = {Effect.RECORD_RELEASE: "resolved", Effect.RECORD_LET_THROUGH: "let-through"}


def _released(context: LaneContext, reason: str) -> list[StoreEvent]:
    if context.staff is None:
        return []
    return [
        LaneReleased(
            lane=context.lane, staff=context.staff, reason=reason, order=context.order, token=context.token
        )
    ]  # fmt: skip


def _mismatch(context: LaneContext) -> _Matter | None:
    check = context.check
    if check is None or check.cause is None:
        return None
    likely = (f"likely: {check.likely}",) if check.likely else ()
    return _Matter(
        key=alarm_key(Effect.RAISE_MISMATCH, context.lane, context.order),
        cause=str(check.cause),
        evidence=(*_paid(context), *likely, *check.evidence()),
    )


def _unpaid(context: LaneContext) -> _Matter:
    key = alarm_key(Effect.RAISE_UNPAID, context.lane, context.order)
    return _Matter(key=key, cause="unpaid-goods", evidence=_paid(context))


def _barged(context: LaneContext) -> _Matter:
    return _Matter(
        key=f"lane/{context.lane}/barged/{context.order}",
        cause="barged-through",
        evidence=("somebody went through during an alarm", *_paid(context)),
    )


def _device(context: LaneContext) -> _Matter:
    return _Matter(
        key=f"lane/{context.lane}/device/{context.device}",
        cause="out-of-order",
        evidence=(f"{context.device}: {context.trouble}",),
    )


_MATTERS: dict[Effect, Callable[[LaneContext], _Matter | None]] = {
    Effect.RAISE_MISMATCH: _mismatch,
    Effect.RAISE_UNPAID: _unpaid,
    Effect.RAISE_BARGED: _barged,
    Effect.RAISE_DEVICE: _device,
}


def _paid(context: LaneContext) -> tuple[str, ...]:
    if context.admission is None:
        return ("no order at the lane",)
    placed = context.admission.order.placed
    return (f"order {placed.number}, {placed.total}, cart {placed.cart}, {placed.tags} tagged",)


def _raise(shop: Shop, context: LaneContext, new_id: NewId, matter: _Matter) -> list[StoreEvent]:
    return raise_once(
        shop,
        key=matter.key,
        where=f"lane {context.lane}",
        cause=matter.cause,
        sentence=context.sentence,
        new_id=new_id,
        evidence=matter.evidence,
        lane=context.lane,
        order=context.order,
    )
