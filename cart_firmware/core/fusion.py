"""Scans and steps of the load become lines. A product is charged only when the load changed as the product demands.

A step that nothing explains is held for three seconds, in which a scan may still come or a hand let go; then the cart
asks. The settled load in the basket is always what the recorded events account for, so a program that dies in between
finds the step again on the scale.
"""

from cart_firmware.core.decision import UNKNOWN_US, Context, Draft, Evidence, HeldStep, Taken
from cart_firmware.core.expectation import expectation_of
from cart_firmware.core.explanation import (
    Arrived,
    CameBack,
    Cancelled,
    Explanation,
    Left,
    Offer,
    Question,
    arriving,
    cancelling,
    coming_back,
    leaving,
)
from cart_firmware.core.scanning import Refused, Shown
from cart_firmware.core.weighing import Step
from cart_protocol.basket import (
    ItemScanned,
    Line,
    LineAdded,
    LineRemoved,
    PendingScan,
    Phase,
    ScanAbandoned,
    ScanRefused,
    WeightExplained,
)
from cart_protocol.ids import LineId, ScanId
from cart_protocol.mass import Mass, Variance
from cart_protocol.pricing.line import price_line

HOLD_US = 3_000_000
"""A hand that leans on the basket is gone by then; cancelling within 3 s halved the false alarms of simulated trips."""
ASKED_VARIANCE = Variance(4_000**2)
"""Of a step that was asked about: the event keeps its mass only (weighing: 4 g)."""
PUT_BACK_US = 20_000_000
"""A line that was taken out may come back without a scan for so long: reading the label, making room."""


def hold(evidence: Evidence, phase: Phase, step: Step) -> HeldStep | None:
    """Take note of a step of the load, in place; return what is to be decided, nothing in a cart that is nobody's."""
    evidence.level, evidence.variance, evidence.quiet = step.level, step.variance, True
    if phase is Phase.IDLE:
        return None
    held = HeldStep(step.at_us, step.mass, step.variance)
    evidence.held = (*evidence.held, held)
    return held


def step_seen(draft: Draft, held: HeldStep | None, context: Context) -> None:
    """Decide on a step that was noted; what cannot be explained stays held. An idle cart takes any load as it is."""
    if held is None:
        draft.settle()
        return
    decide_held(draft, held, context)
    if draft.events:
        draft.settle()


def load_reported(draft: Draft, level: Mass, variance: Variance, context: Context, *, quiet: bool) -> None:
    """Take note of the load between steps; creep is recorded when it has become worth it."""
    evidence = draft.evidence
    evidence.level, evidence.variance, evidence.quiet = level, variance, quiet
    if quiet and not evidence.held:
        draft.settle(at_least=context.drift_mg)


def scan_seen(draft: Draft, seen: Shown | Refused, context: Context) -> None:
    """Decide on a code that was shown. In an idle cart nothing is scanned."""
    if draft.basket.phase is Phase.IDLE:
        return
    if isinstance(seen, Refused):
        _refuse(draft, seen)
        return
    if draft.basket.phase is not Phase.SHOPPING:
        draft.add(ScanRefused(text=seen.code.text, symbology=seen.symbology, reason="basket-closed"))
        return
    scan = ScanId(context.mint())
    draft.evidence.scanned_us[scan] = seen.at_us
    draft.add(
        ItemScanned(
            scan=scan,
            product=seen.product.id,
            name=seen.product.name,
            text=seen.code.text,
            symbology=seen.symbology,
            marked=seen.code.marked,
            marked_mass=seen.code.marked_mass,
        )
    )
    if found := arriving(_offers(draft, context), _questions(draft, context), scan=scan):
        _tell(draft, found, context)
        draft.settle()


def _refuse(draft: Draft, seen: Refused) -> None:
    """Note a refusal. A pack that must not be sold is not waited for either, whatever its other code said before."""
    if seen.product is None:
        draft.add(ScanRefused(text=seen.text, symbology=seen.symbology, reason=seen.reason))
        return
    for scan in [scan for scan, waiting in draft.basket.pending.items() if waiting.product == seen.product.id]:
        draft.add(ScanAbandoned(scan=scan))
    draft.add(ScanRefused(text=seen.text, symbology=seen.symbology, reason=seen.reason, name=seen.product.name))


def time_passed(draft: Draft, context: Context) -> None:
    """Ask about what was held long enough, give up scans that were waited for long enough."""
    for held in draft.evidence.held:
        if draft.is_held(held) and context.now_us - held.at_us >= HOLD_US:
            decide_held(draft, held, context)
            if draft.is_held(held):
                draft.ask(held)
    if draft.events:
        draft.settle()
    for scan in list(draft.basket.pending):
        since = draft.evidence.scanned_us.setdefault(scan, context.now_us)
        if context.now_us - since >= context.scan_patience_us and draft.basket.phase is Phase.SHOPPING:
            draft.add(ScanAbandoned(scan=scan))
    _forget(draft, context)


def decide_held(draft: Draft, held: HeldStep, context: Context) -> None:
    """Explain a held step with what is known now, if it can be."""
    others = [question for question in _questions(draft, context) if question.held is not held]
    newest = Question(None, held.mass, held.variance, held=held)
    if found := _explain(draft, newest, others, context):
        _tell(draft, found, context)


def reconsider(draft: Draft, context: Context) -> None:
    """Look again at all that was asked about: the basket is open again and its lines may explain it."""
    for number in list(draft.basket.unexplained):
        questions = _questions(draft, context)
        newest = next((question for question in questions if question.number == number), None)
        if newest is None:
            continue
        if found := _explain(draft, newest, [one for one in questions if one is not newest], context):
            _tell(draft, found, context)


def _explain(draft: Draft, newest: Question, others: list[Question], context: Context) -> Explanation | None:
    """Return the best story; goods of a closed basket can only come back to where they were."""
    stories = [cancelling(newest, others)]
    if draft.basket.phase is Phase.SHOPPING:
        pending = [waiting.product for waiting in draft.basket.pending.values()]
        stories += [
            arriving(_offers(draft, context), others, newest=newest),
            coming_back(newest, others, draft.evidence.taken),
            leaving(newest, others, list(draft.basket.lines.values()), pending),
        ]
    return min((story for story in stories if story), key=lambda story: story.score, default=None)


def _questions(draft: Draft, context: Context) -> list[Question]:
    """Return all that is open, the longest asked about first."""
    asked = [
        Question(
            step.number,
            step.step,
            ASKED_VARIANCE,
            fresh=context.now_us - draft.evidence.asked_us.get(step.number, UNKNOWN_US) <= context.scan_patience_us,
        )
        for step in draft.basket.unexplained.values()
    ]
    return asked + [Question(None, held.mass, held.variance, held=held) for held in draft.evidence.held]


def _offers(draft: Draft, context: Context) -> list[Offer]:
    """Return the scans that could be priced if they arrived now."""
    return [
        Offer(waiting.scan, waiting.product, expectation_of(waiting, context.prices))
        for waiting in draft.basket.pending.values()
        if context.prices and context.prices.find(waiting.product)
    ]


def _tell(draft: Draft, explanation: Explanation, context: Context) -> None:
    """Turn an explanation into events."""
    explained = [question.held for question in explanation.questions]
    draft.evidence.held = tuple(held for held in draft.evidence.held if not any(held is one for one in explained))
    for question in explanation.questions:
        if question.number is not None:
            draft.add(WeightExplained(number=question.number, by=_reason(explanation, question)))
    match explanation.story:
        case Arrived(scans=scans, masses=masses):
            for scan, mass in zip(scans, masses, strict=True):
                _add_line(draft, draft.basket.pending[scan], mass, context)
        case CameBack(taken=taken):
            _put_back(draft, taken, context)
        case Left(lines=lines, masses=masses):
            for line, mass in zip(lines, masses, strict=True):
                _remove_line(draft, draft.basket.lines[line], mass, context)
        case Cancelled():
            pass


def _reason(explanation: Explanation, question: Question) -> str:
    match explanation.story:
        case Arrived():
            return "scan"
        case CameBack():
            return "returned"
        case Left():
            return "taken-out"
        case Cancelled():
            return "taken-out" if question.mass > 0 else "returned"


def _add_line(draft: Draft, waiting: PendingScan, mass: Mass, context: Context) -> None:
    if context.prices is None:
        raise AssertionError("a scan was offered without a price book")  # _offers makes none
    product = context.prices[waiting.product]
    charged = waiting.marked_mass if waiting.marked_mass is not None else mass
    draft.add(
        LineAdded(
            line=LineId(context.mint()),
            scan=waiting.scan,
            product=product.id,
            name=product.name,
            quantity=1,
            mass=mass,
            price=price_line(context.prices, product, mass=charged, marked=waiting.marked),
            tagged=product.tagged,
        )
    )


def _put_back(draft: Draft, taken: Taken, context: Context) -> None:
    """The same product at the same price, as a new line: the old one has left for good."""
    line = taken.line
    draft.evidence.taken = tuple(each for each in draft.evidence.taken if each is not taken)
    draft.add(
        LineAdded(
            line=LineId(context.mint()),
            scan=ScanId(context.mint()),
            product=line.product,
            name=line.name,
            quantity=line.quantity,
            mass=line.mass,
            price=line.price,
            tagged=line.tagged,
            marked=line.marked,
            marked_mass=line.marked_mass,
        )
    )


def _remove_line(draft: Draft, line: Line, mass: Mass, context: Context) -> None:
    draft.add(LineRemoved(line=line.line, mass=mass))
    draft.evidence.taken = (*draft.evidence.taken, Taken(context.now_us, line))
    # Held before the camera on its way out, it was not scanned to be bought again.
    shown = next((scan for scan, each in draft.basket.pending.items() if each.product == line.product), None)
    if shown is not None:
        draft.add(ScanAbandoned(scan=shown))


def _forget(draft: Draft, context: Context) -> None:
    """Drop evidence that nothing can refer to any more."""
    evidence, basket = draft.evidence, draft.basket
    evidence.taken = tuple(each for each in evidence.taken if context.now_us - each.at_us <= PUT_BACK_US)
    evidence.scanned_us = {scan: at for scan, at in evidence.scanned_us.items() if scan in basket.pending}
    evidence.asked_us = {number: at for number, at in evidence.asked_us.items() if number in basket.unexplained}
