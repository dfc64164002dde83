"""Scans and steps of the load become lines. A product is charged only when the load changed as the product demands.

A step that no story explains well enough (cart_firmware.core.judgement) is held for three seconds, in which a scan may
still come or a hand let go; then the cart asks, with a tile for each story that is worth one. The settled load in the
basket is always what the recorded events account for, so a program that dies in between finds the step again on the
scale.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from cart_firmware.core import hypotheses
from cart_firmware.core.decision import (
    UNKNOWN_US,
    Asked,
    Clues,
    Context,
    Draft,
    Evidence,
    HeldStep,
    Passed,
    Sighted,
    Taken,
    Way,
)
from cart_firmware.core.expectation import Expectation, expectation_of, expected_of, weight_of
from cart_firmware.core.hypotheses import (
    Arrived,
    CameBack,
    Cancelled,
    Good,
    Held,
    Hypothesis,
    Left,
    Offer,
    Question,
    Recognised,
    Scene,
    Several,
    Story,
    Swapped,
    TareIn,
    TareOut,
)
from cart_firmware.core.judgement import judge
from cart_firmware.core.passages import kept, of_step, way_of
from cart_firmware.core.scanning import Refused, Shown
from cart_firmware.core.sighting import together
from cart_firmware.core.weighing import Step
from cart_protocol.basket import (
    AttentionChanged,
    ContainerAdded,
    ContainerRemoved,
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
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.mass import Mass, Variance
from cart_protocol.pricing.line import price_line
from cart_protocol.pricing.price_book import SoldBy

HOLD_US = 3_000_000
"""A hand that leans on the basket is gone by then; cancelling within 3 s halved the false alarms of simulated trips."""
RESTED_US = 1_200_000
"""So long the load rests before goods are gone that nobody saw or said to go: hands that lift a basket let go."""
ASKED_VARIANCE = Variance(4_000**2)
"""Of a step that was asked about: the event keeps its mass only (weighing: 4 g at worst)."""
PUT_BACK_US = 20_000_000
"""A line that was taken out may come back without a scan for so long: reading the label, making room."""
ATTENTION_US = 45_000_000
"""A question that is open for so long is no matter of a moment any more: somebody of the staff should look."""
_BY_ITSELF = ("unexplained", "container")
"""Reasons for attention that are over when nothing is unexplained any more; who asked for help waits for a person."""


def hold(evidence: Evidence, phase: Phase, step: Step) -> HeldStep | None:
    """Take note of a step of the load, in place; return what is to be decided, nothing in a cart that is nobody's."""
    evidence.level, evidence.variance, evidence.quiet = step.level, step.variance, True
    if phase is Phase.IDLE:
        return None
    held = HeldStep(step.at_us, step.mass, step.variance, step.undoes_us, step.from_us)
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


def passage_seen(draft: Draft, passed: Passed, context: Context) -> None:
    """Take note of a hand that went over the rim; a change that waits may be told by it."""
    draft.evidence.passages = kept(draft.evidence.passages, passed)
    _look_again(draft, passed, context)


def goods_sighted(draft: Draft, sighted: Sighted, context: Context) -> None:
    """Take note of what a hand was seen to carry; a change that waits may be told by it."""
    draft.evidence.sights = kept(draft.evidence.sights, sighted)
    _look_again(draft, sighted, context)


def _look_again(draft: Draft, seen: Passed | Sighted, context: Context) -> None:
    """Reconsider what is open; what was asked about already is told what was seen of it, too."""
    evidence = draft.evidence
    belated = {
        number: msgspec.structs.replace(step, clues=_with_belated(step.clues, seen, clues_about(evidence, step)))
        for number, step in evidence.asked.items()
        if of_step((seen,), step.from_us, step.at_us)
    }
    evidence.asked.update(belated)
    if evidence.held or belated:
        reconsider(draft, context)
        if draft.events:
            draft.settle()


def _with_belated(known: Clues, seen: Passed | Sighted, now: Clues) -> Clues:
    """Return what is known of a step, with what is now said of the hand or of the goods, whichever was seen."""
    if isinstance(seen, Sighted):
        return msgspec.structs.replace(known, sight=now.sight)
    return msgspec.structs.replace(known, hand=now.hand)


def clues_about(evidence: Evidence, step: HeldStep | Asked) -> Clues:
    """Return what the passages say that belong to a step, while they are kept."""
    return Clues(
        sight=together(of_step(evidence.sights, step.from_us, step.at_us)),
        hand=way_of(evidence.passages, step.from_us, step.at_us),
    )


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
    expect(
        draft,
        ItemScanned(
            scan=scan,
            product=seen.product.id,
            name=seen.product.name,
            text=seen.code.text,
            symbology=seen.symbology,
            marked=seen.code.marked,
            marked_mass=seen.code.marked_mass,
        ),
        seen.at_us,
        context,
    )


def expect(draft: Draft, scanned: ItemScanned, at_us: int, context: Context) -> None:
    """Wait for a product, or find that it was put in before."""
    draft.evidence.scanned_us[scanned.scan] = at_us
    draft.add(scanned)
    questions = questions_of(draft, context)
    stories = hypotheses.of_scan(scene_of(draft, questions, context), scanned.scan, questions)
    if found := judge(stories).believed:
        tell(draft, found, context)
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
        waited_us = context.now_us - held.at_us
        if draft.is_held(held) and waited_us >= RESTED_US:
            decide_held(draft, held, context)
            if draft.is_held(held) and waited_us >= HOLD_US:
                _ask(draft, held, context)
    if draft.events:
        draft.settle()
    _call(draft, context)
    for scan in list(draft.basket.pending):
        since = draft.evidence.scanned_us.setdefault(scan, context.now_us)
        waited = context.now_us - since >= context.scan_patience_us
        # While the cart rolls nothing can be weighed: what was put in on the way shows when it stands.
        if waited and draft.evidence.quiet and draft.basket.phase is Phase.SHOPPING:
            draft.add(ScanAbandoned(scan=scan))
    _forget(draft, context)


def decide_held(draft: Draft, held: HeldStep, context: Context) -> None:
    """Explain a held step with what is known now, if it can be."""
    _decide(draft, _about(held, draft.evidence, context), context)


def _decide(draft: Draft, newest: Question, context: Context) -> None:
    """Explain an open question with what is known now, if it can be, and is not too soon."""
    found = judge(stories_of(draft, newest, context)).believed
    if found and not _hasty(found, draft, context):
        tell(draft, found, context)


def _hasty(story: Hypothesis, draft: Draft, context: Context) -> bool:
    """Return whether a hand on the basket may explain it as well, until the load has rested without that hand.

    So of goods that leave, where nobody saw or said so, and of what came and went in one. What seems to come back is
    waited for, too, by a cart that sees goods: other goods of nearly that mass may lie there.
    """
    clues = hypotheses.clues_of(story.questions)
    signs = {question.mass > 0 for question in story.questions}
    if isinstance(story.story, Left):
        sure = clues.hand is Way.OUT or any(_is_seen_to_go(draft, line, clues) for line in story.story.lines)
    else:
        sure = len(signs) == 1 or isinstance(story.story, Cancelled)
        if isinstance(story.story, CameBack) and draft.evidence.sights:
            sure = sure and clues.sight is not None
    rested = all(context.now_us - each.held.at_us >= RESTED_US for each in story.questions if each.held)
    return not sure and not rested


def _is_seen_to_go(draft: Draft, line: LineId, clues: Clues) -> bool:
    """Return whether the shopper said of a line that it goes, or it was before the camera on its way out."""
    product = draft.basket.lines[line].product
    shown = any(waiting.product == product for waiting in draft.basket.pending.values())
    return shown or line in draft.evidence.leaving_us or clues.of(product) > 0


def reconsider(draft: Draft, context: Context) -> None:
    """Look again at all that is open: lines, scans or the shopper's word may explain it now."""
    for name in [_name(question) for question in questions_of(draft, context)]:
        newest = next((question for question in questions_of(draft, context) if _name(question) == name), None)
        if newest:
            _decide(draft, newest, context)


def choices(draft: Draft, context: Context) -> tuple[Hypothesis, ...]:
    """Return what the shopper is asked to choose from: the stories of the newest open question, at most three.

    Where only a picture stands against what was scanned, that is one of them: the picture may be wrong.
    """
    for newest in reversed(questions_of(draft, context)):
        if found := judge(stories_of(draft, newest, context)).choices:
            said = _believed_unseen(draft, newest, context)
            return found if said is None or said.key in {each.key for each in found} else (*found[:2], said)
    return ()


def _believed_unseen(draft: Draft, newest: Question, context: Context) -> Hypothesis | None:
    """Return what would be believed of a question without any picture of it."""
    if newest.clues.sight is None:
        return None
    unseen = msgspec.structs.replace(newest, clues=msgspec.structs.replace(newest.clues, sight=None))
    said = judge(stories_of(draft, unseen, context)).believed
    if said is None:
        return None
    return msgspec.structs.replace(said, questions=tuple(newest if one is unseen else one for one in said.questions))


def stories_of(draft: Draft, newest: Question, context: Context) -> list[Hypothesis]:
    """Return every story of `newest`; goods of a closed basket can only come back to where they were."""
    questions = questions_of(draft, context)
    others = [question for question in questions if _name(question) != _name(newest)]
    if draft.basket.phase is not Phase.SHOPPING:
        return hypotheses.of_nothing(newest, others)
    return hypotheses.of_step(scene_of(draft, questions, context), newest, others)


def questions_of(draft: Draft, context: Context) -> list[Question]:
    """Return all that is open, the longest asked about first."""
    before = Asked(UNKNOWN_US)
    known = [(step, draft.evidence.asked.get(step.number, before)) for step in draft.basket.unexplained.values()]
    asked = [
        Question(
            step.number,
            step.step,
            ASKED_VARIANCE,
            fresh=context.now_us - each.at_us <= context.scan_patience_us,
            clues=each.clues,
        )
        for step, each in known
    ]
    return asked + [_about(held, draft.evidence, context) for held in draft.evidence.held]


def _about(held: HeldStep, evidence: Evidence, context: Context) -> Question:
    """Return the question that a held step is."""
    too_heavy, clues = _too_heavy(held, evidence, context), clues_about(evidence, held)
    return Question(None, held.mass, held.variance, held=held, announced=too_heavy, clues=clues)


def _too_heavy(held: HeldStep, evidence: Evidence, context: Context) -> bool:
    return evidence.container_us is not None and held.mass > context.heaviest_container_mg


def scene_of(draft: Draft, questions: Sequence[Question], context: Context) -> Scene:
    """Return all that stories of these questions can be made of now."""
    basket, evidence = draft.basket, draft.evidence
    shown = {waiting.product for waiting in basket.pending.values()}
    return Scene(
        offers=_offers(draft, context),
        goods=tuple(
            Good(
                line,
                weight_of(line, context.prices, evidence.weighed.get(line.line)),
                announced=line.line in evidence.leaving_us,
                shown=line.product in shown,
            )
            for line in basket.lines.values()
        ),
        taken=tuple((taken, weight_of(taken.line, context.prices)) for taken in evidence.taken),
        containers=tuple(Held(number, mass) for number, mass in basket.containers.items()),
        heaviest_container=Mass(context.heaviest_container_mg if evidence.container_us is not None else 0),
        candidates=_candidates(draft, questions, context),
    )


def _name(question: Question) -> str:
    return f"{question.number}" if question.held is None else f"held {question.held.at_us} {question.held.mass}"


def _offers(draft: Draft, context: Context) -> list[Offer]:
    """Return the scans that could be priced if they arrived now."""
    found = list[Offer]()
    for waiting in draft.basket.pending.values():
        product = context.prices.find(waiting.product) if context.prices else None
        if product is not None:
            # A pack that is being recalled differs from the next one of its product: each must be scanned.
            alike = waiting.marked is None and not (context.prices and context.prices.recalls_of(product.id))
            piece = product.sold_by is SoldBy.PIECE and alike
            expected = expectation_of(waiting, context.prices)
            found.append(Offer(waiting.scan, waiting.product, expected, waiting.marked, piece))
    return found


def _candidates(draft: Draft, questions: Sequence[Question], context: Context) -> dict[ProductId, Expectation]:
    """Return what the camera names of any question, and the shop sells; what was scanned needs no naming."""
    scanned = {waiting.product for waiting in draft.basket.pending.values()}
    named = dict.fromkeys(product for question in questions for product in question.clues.named)
    return {
        each: expected_of(product)
        for each in named
        if context.prices and each not in scanned and (product := context.prices.find(each))
    }


def _ask(draft: Draft, held: HeldStep, context: Context) -> None:
    """Say that nothing explains a step; what is too heavy for the container that was announced is staff's to see."""
    draft.ask(held, clues_about(draft.evidence, held))
    if _too_heavy(held, draft.evidence, context):
        draft.evidence.container_us = None
        if not draft.basket.attention:
            draft.add(AttentionChanged(reason="container"))


def _call(draft: Draft, context: Context) -> None:
    """Call somebody to a question that stays open, and let them go when none is."""
    basket, asked = draft.basket, draft.evidence.asked
    since = [asked.setdefault(number, Asked(context.now_us)).at_us for number in basket.unexplained]
    if not since and not draft.evidence.held and basket.attention in _BY_ITSELF:
        draft.add(AttentionChanged(reason=""))
    elif since and not basket.attention and context.now_us - min(since) >= ATTENTION_US:
        draft.add(AttentionChanged(reason="unexplained"))


def tell(draft: Draft, explanation: Hypothesis, context: Context) -> None:
    """Turn a story into events."""
    explained = [question.held for question in explanation.questions]
    draft.evidence.held = tuple(held for held in draft.evidence.held if not any(held is one for one in explained))
    for question in explanation.questions:
        if question.number is not None:
            draft.add(WeightExplained(number=question.number, by=_reason(explanation, question)))
    known = set(draft.basket.lines)
    _TELL[type(explanation.story)](draft, explanation.story, context)
    _remember(draft, explanation, draft.basket.lines.keys() - known)


def _remember(draft: Draft, explanation: Hypothesis, came: Collection[LineId]) -> None:
    """Keep how well a line was weighed that came alone."""
    if isinstance(explanation.story, Arrived | Recognised) and len(came) == 1:
        variance = Variance(sum(question.variance for question in explanation.questions))
        draft.evidence.weighed.update(dict.fromkeys(came, variance))


def _arrived(draft: Draft, story: Arrived, context: Context) -> None:
    for scan, mass in zip(story.scans, story.masses, strict=True):
        _add_line(draft, draft.basket.pending[scan], mass, context)


def _several(draft: Draft, story: Several, context: Context) -> None:
    waiting = draft.basket.pending[story.scan]
    for mass in story.masses:
        _add_line(draft, waiting, mass, context)
        waiting = _unscanned(waiting.product, context)


def _recognised(draft: Draft, story: Recognised, context: Context) -> None:
    for mass in story.masses:
        _add_line(draft, _unscanned(story.product, context), mass, context)


def _swapped(draft: Draft, story: Swapped, context: Context) -> None:
    waiting, left = draft.basket.pending[story.scan], draft.basket.lines[story.line]
    _remove_line(draft, left, left.mass, context)
    _add_line(draft, waiting, story.arrived, context)


def _left(draft: Draft, story: Left, context: Context) -> None:
    for line, mass in zip(story.lines, story.masses, strict=True):
        _remove_line(draft, draft.basket.lines[line], mass, context)


def _container_in(draft: Draft, story: TareIn, _context: Context) -> None:
    draft.evidence.container_us = None
    draft.add(ContainerAdded(number=draft.basket.steps + 1, mass=story.mass))


_TELL: dict[type[Story], Callable[[Draft, Any, Context], None]] = {
    Cancelled: lambda *_: None,
    Arrived: _arrived,
    Several: _several,
    Swapped: _swapped,
    CameBack: lambda draft, story, context: _put_back(draft, story.taken, context),
    Left: _left,
    TareIn: _container_in,
    TareOut: lambda draft, story, _: draft.add(ContainerRemoved(number=story.number)),
    Recognised: _recognised,
}
_REASONS = {
    Arrived: "scan",
    Several: "scan",
    Swapped: "scan",
    Recognised: "scan",
    CameBack: "returned",
    Left: "taken-out",
    TareIn: "returned",
    TareOut: "taken-out",
}


def _reason(explanation: Hypothesis, question: Question) -> str:
    told = _REASONS.get(type(explanation.story))
    return told or ("taken-out" if question.mass > 0 else "returned")


def _unscanned(product: ProductId, context: Context) -> PendingScan:
    """A piece that was never scanned, and is the shopper's word."""
    if context.prices is None:
        raise AssertionError("a product was named without a price book")  # _offers and _candidates name none
    name = context.prices[product].name
    return PendingScan(scan=ScanId(context.mint()), product=product, name=name, marked=None, marked_mass=None)


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
    draft.evidence.leaving_us.pop(line.line, None)
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
    evidence.asked = {number: each for number, each in evidence.asked.items() if number in basket.unexplained}
    evidence.weighed = {line: variance for line, variance in evidence.weighed.items() if line in basket.lines}
    evidence.leaving_us = {
        line: at
        for line, at in evidence.leaving_us.items()
        if line in basket.lines and context.now_us - at <= context.scan_patience_us
    }
    if evidence.container_us is not None and context.now_us - evidence.container_us > context.scan_patience_us:
        evidence.container_us = None
