"""What the store may ask of a cart, and the answers. One command, one event that bears its id: done or refused.

instruction    idle                           shopping                                   frozen
BeginSession   SessionBegan, or faulty,       busy                                       busy
               charging, withdrawn or
               unknown-code
EndSession     no-session                     SessionEnded and a new code                likewise
Freeze         no-session                     BasketFrozen, or unexplained, pending,     already-frozen
                                              empty or moving
Thaw           no-session                     not-frozen                                 BasketThawed
ExplainWeight  no-session                     WeightExplained by staff, attention over   likewise
SetWithdrawn   Withdrawn                      Withdrawn                                  Withdrawn
"""

from cart_firmware.core.decision import Context, Draft, Evidence
from cart_firmware.core.fusion import reconsider
from cart_protocol.basket import (
    AttentionChanged,
    BasketFrozen,
    BasketThawed,
    CodeOffered,
    CommandRefused,
    ContainerAdded,
    Fault,
    Phase,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    Withdrawn,
)
from cart_protocol.ids import CommandId, SessionId
from cart_protocol.messages import BeginSession, Command, EndSession, ExplainWeight, Freeze, SetWithdrawn, Thaw

FREEZE_WAIT_US = 3_000_000
"""How long an order waits for the load to come to rest and for held steps to be decided, before it is refused."""


def started(draft: Draft, context: Context) -> None:
    """The program began: a cart that is free offers a code, unless the one on its screen is still good."""
    if draft.basket.phase is Phase.IDLE and not draft.basket.code:
        draft.add(CodeOffered(code=context.code))


def carry_out(draft: Draft, command: Command, context: Context) -> None:
    """Decide on a command that was not answered yet."""
    reason = None
    match command.instruction:
        case BeginSession(session=session, code=code):
            reason = _begin(draft, command.id, session, code)
        case SetWithdrawn(withdrawn=withdrawn):
            draft.add(Withdrawn(command=command.id, withdrawn=withdrawn))
        case EndSession(session=session, reason=why):
            reason = _other_session(draft, session) or _end(draft, command.id, session, why, context)
        case Freeze(session=session):
            reason = _other_session(draft, session) or _freeze(draft, command.id)
        case Thaw(session=session):
            reason = _other_session(draft, session) or _thaw(draft, command.id, context)
        case ExplainWeight(session=session):
            reason = _other_session(draft, session) or _explain_weight(draft, command.id, context)
    if reason:
        draft.add(CommandRefused(command=command.id, reason=reason))


def refuse(draft: Draft, command: Command, reason: str) -> None:
    draft.add(CommandRefused(command=command.id, reason=reason))


def must_wait(draft: Draft, command: Command) -> bool:
    """Return whether an order should wait a moment: the load moves, or it is not known yet what moved it."""
    return (
        isinstance(command.instruction, Freeze)
        and draft.basket.phase is Phase.SHOPPING
        and (bool(draft.evidence.held) or not draft.evidence.quiet)
    )


def expiry_us(command: Command, arrived_us: int, store_ms: int | None) -> int | None:
    """Return when, on this cart's monotonic clock, the store gives up on a command that arrived at `arrived_us`.

    What is left of its life is counted from its arrival, so that no wall clock needs to be right: how long it may have
    been under way is bounded by the broker (topics.TABLE). A store that does not say when it sent it is believed by
    `store_ms`, the store's clock as far as we know it; without any idea of that (None) a command never expires.
    """
    sent_ms = command.sent_ms if command.sent_ms is not None else store_ms
    return None if sent_ms is None else arrived_us + (command.expires_ms - sent_ms) * 1_000


def _begin(draft: Draft, command: CommandId, session: SessionId, code: str) -> str | None:
    basket = draft.basket
    if basket.withdrawn:
        return "withdrawn"
    if basket.phase is not Phase.IDLE:
        return "busy"
    if Fault.CHARGING in basket.faults:
        return "charging"
    if basket.faults:
        return "faulty"
    if not basket.code or code != basket.code:
        return "unknown-code"
    draft.settle()  # what lies there becomes the tare
    draft.add(SessionBegan(session=session, command=command))
    return None


def _end(draft: Draft, command: CommandId, session: SessionId, reason: str, context: Context) -> str | None:
    evidence = draft.evidence
    draft.evidence = Evidence(level=evidence.level, variance=evidence.variance, quiet=evidence.quiet)
    draft.add(SessionEnded(session=session, reason=reason, command=command))
    draft.settle()
    draft.add(CodeOffered(code=context.code))
    return None


def _freeze(draft: Draft, command: CommandId) -> str | None:
    basket, evidence = draft.basket, draft.evidence
    if basket.phase is Phase.FROZEN:
        return "already-frozen"
    if basket.unexplained or evidence.held:
        return "unexplained"
    if basket.pending:
        return "pending"
    if not basket.lines:
        return "empty"
    if not evidence.quiet:
        return "moving"
    draft.settle()
    draft.add(BasketFrozen(command=command, settled=basket.settled, variance=evidence.variance))
    return None


def _thaw(draft: Draft, command: CommandId, context: Context) -> str | None:
    if draft.basket.phase is not Phase.FROZEN:
        return "not-frozen"
    draft.add(BasketThawed(command=command))
    reconsider(draft, context)
    return None


def _explain_weight(draft: Draft, command: CommandId, context: Context) -> str | None:
    """Staff looked. What was announced as a container and is too heavy to be believed unseen is one now."""
    draft.evidence.held = ()
    if not draft.basket.unexplained and not draft.basket.attention:
        draft.settle()
        return "nothing-unexplained"
    for number, step in list(draft.basket.unexplained.items()):
        draft.add(WeightExplained(number=number, by="staff", command=command))
        if draft.basket.attention == "container" and step.step > context.heaviest_container_mg:
            draft.add(ContainerAdded(number=number, mass=step.step))
    if draft.basket.attention:
        draft.add(AttentionChanged(reason="", command=command))
    draft.settle()
    return None


def _other_session(draft: Draft, session: SessionId) -> str | None:
    if draft.basket.session is None:
        return "no-session"
    return None if draft.basket.session == session else "other-session"
