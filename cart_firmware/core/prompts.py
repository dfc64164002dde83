"""What the cart says to its shopper: one sentence at a time, the most urgent first. Pure."""

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from cart_firmware.core.expectation import expectation_of
from cart_protocol.basket import Basket, Fault, PendingScan, Phase
from cart_protocol.mass import Mass, shown
from cart_protocol.pricing.fit_for_sale import Unfit
from cart_protocol.pricing.price_book import Prices


class Tone(StrEnum):
    """How a prompt looks and sounds."""

    CALM = "calm"
    GOOD = "good"
    ASK = "ask"
    """The shopper is to do something."""
    ALARM = "alarm"
    """The cart cannot go on without somebody doing something."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` is a machine word that pages may style by; `sentence` is for the shopper."""

    kind: str
    tone: Tone
    sentence: str


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a prompt depends on."""

    basket: Basket
    prices: Prices | None = None
    held: Mass | None = None
    """Sum of the steps that wait for a scan and were not asked about yet; None without any."""
    remark: str = ""
    """What just happened, said for a few seconds: why a scan was refused, 'abandoned', 'added' or 'removed'."""
    subject: str = ""
    """What the remark is about: a product's name, or the text of a code."""
    tiles: int = 0
    """How many answers there are to choose from."""
    leaving: tuple[str, ...] = ()
    """Names of the lines that the shopper is about to take out."""
    container: bool = False
    """A container of the shopper's own is to be put in next."""


_CANNOT_WEIGH = "The cart cannot weigh right now. Please ask our staff for another cart."
_UNRELIABLE = "The cart's scale is not reliable right now. Please ask our staff."
_FAULTS = {
    Fault.LOAD_CELL_SILENT: _CANNOT_WEIGH,
    Fault.LOAD_CELL_SATURATED: "The cart is loaded too heavily, or its scale is broken. Please take something out.",
    Fault.LOAD_CELL_STUCK: _CANNOT_WEIGH,
    Fault.LOAD_CELL_WRONG_GAIN: _UNRELIABLE,
    Fault.LOAD_CELL_WRONG_RATE: _CANNOT_WEIGH,
    Fault.LOAD_CELLS_DISAGREE: _CANNOT_WEIGH,
    Fault.LOAD_CELL_DRIFTS: _UNRELIABLE,
    Fault.LOAD_CELL_SLOW_CLOCK: _UNRELIABLE,
    Fault.LOAD_CELL_LOST_FRAMES: _UNRELIABLE,
    Fault.LOAD_CELL_UNRELIABLE: _UNRELIABLE,
    Fault.CAMERA_SILENT: "The cart's camera is not working. Please ask our staff for another cart.",
    Fault.OUTBOX_FULL: "The cart cannot take more products right now: its memory is full. Please ask our staff.",
    Fault.NO_PRICE_BOOK: "The cart has no prices yet. One moment, please.",
    Fault.CHARGING: "The cart is charging.",
}
_HAND_OVER = "Please hand this to a member of staff: {subject} "
_NOT_FOR_SALE: dict[str, tuple[Tone, str]] = {
    Unfit.EXPIRED: (Tone.ALARM, _HAND_OVER + "is past its use-by date and is not sold."),
    Unfit.PAST_BEST_BEFORE: (Tone.ALARM, _HAND_OVER + "is past its date and is not sold."),
    Unfit.RECALLED: (Tone.ALARM, _HAND_OVER + "has been recalled and is not sold."),
}
_CALLED = {
    "help": "Our staff have been called and will come to you.",
    "container": "That is heavy for a bag or container. Our staff have been called to have a look.",
}
_REMARKS: dict[str, tuple[Tone, str]] = {
    "unknown-product": (Tone.ASK, "We do not know the code {subject}. Please show another side, or ask our staff."),
    "check-digit": (Tone.ASK, "The code could not be read cleanly. Please show it again."),
    "not-a-product": (Tone.CALM, "That code is not a product. Please show the bar code of the product."),
    "coupon": (Tone.CALM, "That is a coupon. This cart cannot take it; please ask our staff."),
    "basket-closed": (Tone.ASK, "Your order is already made. To add a product, choose 'keep shopping' on your phone."),
    "abandoned": (Tone.CALM, "{subject} was scanned but not put in. It is not on your bill."),
    "added": (Tone.GOOD, "{subject} is in the cart."),
    "removed": (Tone.GOOD, "{subject} was taken off your list."),
    **_NOT_FOR_SALE,
}


def prompt(situation: Situation) -> Prompt:
    """Return the one thing to say now."""
    return next(said for rule in _RULES if (said := rule(situation)))


def remark(kind: str, subject: str) -> str:
    """Return the sentence of what just happened (`Situation.remark`); the kind itself where it has none."""
    return _REMARKS[kind][1].format(subject=subject) if kind in _REMARKS else kind


_SHOWN = {
    "settling": "Leave the view of the camera empty for a moment.",
    "empty": "Show it to the camera.",
    "moving": "Hold it still, or put it down.",
    "blurred": "It is blurred: hold it still, a little further away, in good light.",
    "same": "Turn it, or show another one.",
    "shot": "Thank you. Turn it, or show another one.",
}


def lesson(name: str, *, shots: int, wanted: int, seen: str) -> Prompt:
    """Return what to say to staff who show the cart a product: how far it is, and what to do next.

    Args:
        name: of the product.
        shots: so many were taken.
        wanted: of so many.
        seen: what the camera sees, a key of _SHOWN (cart_firmware.perception.shots.Seen).
    """
    tone = Tone.GOOD if seen == "shot" else Tone.ASK
    return Prompt(kind="lesson", tone=tone, sentence=f"{name}: {shots} of {wanted}. {_SHOWN[seen]}")


def _withdrawn(situation: Situation) -> Prompt | None:
    basket = situation.basket
    if not basket.withdrawn or basket.phase is not Phase.IDLE:
        return None
    return Prompt(kind="withdrawn", tone=Tone.ALARM, sentence="This cart is out of service. Please take another one.")


def _faulty(situation: Situation) -> Prompt | None:
    basket = situation.basket
    if not basket.faults or basket.phase is Phase.FROZEN:
        return None
    if basket.phase is Phase.IDLE and basket.faults != (Fault.NO_PRICE_BOOK,) and Fault.CHARGING not in basket.faults:
        return Prompt(kind="fault", tone=Tone.ALARM, sentence="This cart has a fault. Please take another one.")
    return Prompt(kind="fault", tone=Tone.ALARM, sentence=_FAULTS[basket.faults[0]])


def _free(situation: Situation) -> Prompt | None:
    if situation.basket.phase is not Phase.IDLE:
        return None
    return Prompt(kind="welcome", tone=Tone.CALM, sentence="Welcome! Scan this code with your phone to start.")


def _closed(situation: Situation) -> Prompt | None:
    if situation.basket.phase is not Phase.FROZEN:
        return None
    if situation.remark == "basket-closed":
        return _remark(situation)
    if situation.basket.unexplained:
        sentence = (
            "The load has changed since your order. Please put it back as it was, or keep shopping on your phone."
        )
        return Prompt(kind="changed", tone=Tone.ASK, sentence=sentence)
    sentence = "Your order is ready. Pay on your phone, then go to the exit."
    return Prompt(kind="closed", tone=Tone.GOOD, sentence=sentence)


def _not_for_sale(situation: Situation) -> Prompt | None:
    """What must not be sold is not asked to be scanned, though it lies in the cart."""
    return _remark(situation) if situation.remark in _NOT_FOR_SALE else None


def _unexplained(situation: Situation) -> Prompt | None:
    basket = situation.basket
    if not basket.unexplained:
        return None
    total = Mass(sum(step.step for step in basket.unexplained.values()))
    return _ask_about(situation, total, Tone.ALARM)


def _called(situation: Situation) -> Prompt | None:
    if situation.basket.attention not in _CALLED:
        return None
    return Prompt(kind="called", tone=Tone.ALARM, sentence=_CALLED[situation.basket.attention])


def _announced(situation: Situation) -> Prompt | None:
    if situation.leaving:
        sentence = f"Please take {_listed(situation.leaving)} out. It stays on your list until then."
        return Prompt(kind="take-out", tone=Tone.ASK, sentence=sentence)
    if situation.container:
        return Prompt(
            kind="container", tone=Tone.ASK, sentence="Please put your own bag or container in, and nothing else."
        )
    return None


def _unscanned(situation: Situation) -> Prompt | None:
    """Ask gently at once; after three seconds it becomes an event."""
    return _ask_about(situation, situation.held, Tone.ASK) if situation.held else None


def _remark(situation: Situation) -> Prompt | None:
    if situation.remark not in _REMARKS:
        return None
    tone, sentence = _REMARKS[situation.remark]
    if tone is Tone.GOOD and situation.basket.pending:
        return None  # the next product is already waiting to be put in
    return Prompt(kind=situation.remark, tone=tone, sentence=sentence.format(subject=situation.subject))


def _pending(situation: Situation) -> Prompt | None:
    names = [waiting.name for waiting in situation.basket.pending.values()]
    if not names:
        return None
    counted = {name: names.count(name) for name in names}
    each = [name if count == 1 else f"{count} \N{MULTIPLICATION SIGN} {name}" for name, count in counted.items()]
    return Prompt(kind="put-in", tone=Tone.ASK, sentence=f"Please put {_listed(each)} into the cart.")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ready(situation: Situation) -> Prompt:
    first = "Show a product to the camera, then put it in." if not situation.basket.lines else "Show the next product."
    return Prompt(kind="ready", tone=Tone.CALM, sentence=first)


def _ask_about(situation: Situation, step: Mass, tone: Tone) -> Prompt:
    pending = list(situation.basket.pending.values())
    if situation.tiles and step < 0:
        sentence = f"About {shown(Mass(-step))} was taken out. What was it? Otherwise, please put it back."
        return Prompt(kind="which", tone=tone, sentence=sentence)
    if situation.tiles:
        sentence = f"About {shown(step)} was put in. What was it? Otherwise, please take it out again."
        return Prompt(kind="which", tone=tone, sentence=sentence)
    if step > 0 and len(pending) == 1 and (mismatch := _mismatch(situation, pending[0], step)):
        return Prompt(kind="mismatch", tone=tone, sentence=mismatch)
    if step > 0:
        sentence = f"Something of about {shown(step)} was put in. Please scan it, or take it out again."
        return Prompt(kind="scan-it", tone=tone, sentence=sentence)
    sentence = f"About {shown(Mass(-step))} was taken out. Please put it back, or ask our staff."
    return Prompt(kind="put-back", tone=tone, sentence=sentence)


def _mismatch(situation: Situation, waiting: PendingScan, step: Mass) -> str:
    expected = expectation_of(waiting, situation.prices).mass
    if expected is None:
        return ""
    return (
        f"{waiting.name} should weigh about {shown(expected)}, but about {shown(step)} was put in. "
        f"Please take it out and put in {waiting.name}."
    )


_RULES: tuple[Callable[[Situation], Prompt | None], ...] = (
    _withdrawn,
    _faulty,
    _free,
    _closed,
    _not_for_sale,
    _called,
    _unexplained,
    _unscanned,
    _announced,
    _remark,
    _pending,
    _ready,
)
