"""What the lane says, in one place: plain sentences that name the cause and what to do next."""

from cart_protocol.ids import OrderNumber
from cart_protocol.mass import Mass
from edge_agent.core.exit_check import Cause, ExitCheck
from edge_agent.core.lane_admission import NotAdmitted
from edge_agent.core.lane_happening import Happening
from edge_agent.core.lane_sequence import LaneEvent, LaneState

NOT_ADMITTED = {
    NotAdmitted.UNKNOWN: "We do not know this code. Please show the exit code on your phone.",
    NotAdmitted.UNPAID: "This order is not paid yet. Please pay on your phone first.",
    NotAdmitted.USED: "This exit code was used already.",
    NotAdmitted.EXPIRED: "This exit code has expired. Your phone shows a new one.",
    NotAdmitted.FORGED: "This is no valid exit code.",
    NotAdmitted.WRONG_STORE: "This exit code belongs to another shop.",
    NotAdmitted.ELSEWHERE: "This order is being checked at another lane.",
    NotAdmitted.OTHER_AGENT: "Your cart is looked after at another lane. Please go there, or ask our staff.",
}
_CAUSES = {
    Cause.NOT_SCANNED: ("more", "Something was perhaps not scanned"),
    Cause.WRONGLY_SCANNED: ("less", "Something was perhaps scanned wrongly"),
}
_FIXED = {
    (LaneState.WEIGHING, LaneEvent.WEIGHT_PASSED): "Thank you. Please go through.",
    (LaneState.WEIGHING, LaneEvent.HOLD_ENDED): "The scale could not weigh your goods. Please scan your code again.",
    (LaneState.PASSED, LaneEvent.PASSAGE): "Goodbye.",
    (LaneState.PASSED, LaneEvent.HOLD_ENDED): "The gate has closed. Please scan your code again.",
    (LaneState.FAILED, LaneEvent.LET_THROUGH): "Thank you for waiting. Please go through.",
    (LaneState.FAILED, LaneEvent.PASSAGE): "Please stop and come back. Your goods were not released.",
    (LaneState.TAG_ALARM, LaneEvent.PASSAGE): "Please stop and come back. Your goods were not released.",
}
_BY_EVENT = {
    LaneEvent.TAG_ALARM: "Please stop. There are unpaid goods at the gate. Somebody is coming to help.",
    LaneEvent.DEVICE_LOST: "This lane is out of order. Please use another one.",
    LaneEvent.DEVICE_BACK: "This lane is open again.",
    LaneEvent.CODE_READ: "This lane is out of order. Please use another one.",
}


def spoken_mass(mass: Mass) -> str:
    """Return a mass as it is said: '480 grams', '1.25 kilograms'."""
    if mass >= 1_000_000:
        return f"{mass / 1_000_000:.2f} kilograms"
    return f"{round(mass / 1_000)} grams"


def of(came_from: LaneState, happening: Happening) -> str:
    """Return what the lane says when this happens; empty where nothing is said."""
    if happening.admission is not None:
        return _of_accepted(happening.admission.order.placed.number)
    if happening.not_admitted is not None:
        return NOT_ADMITTED[happening.not_admitted]
    if happening.event is LaneEvent.WEIGHT_FAILED and happening.check is not None:
        return _of_failed(happening.check)
    return _FIXED.get((came_from, happening.event)) or _BY_EVENT.get(happening.event, "")


def _of_accepted(number: OrderNumber) -> str:
    return f"Order {' '.join(number[-4:])}. Please put everything on the scale."


def _of_failed(check: ExitCheck) -> str:
    """Return the sentence for a weight that does not fit, with its cause and the likely product."""
    assert check.cause is not None  # noqa: S101 - a failed check has a cause, by its contract
    direction, cause = _CAUSES[check.cause]
    perhaps = f": {check.likely}?" if check.likely else "."
    return (
        f"Your goods weigh {spoken_mass(Mass(abs(check.amiss)))} {direction} than what was paid. {cause}{perhaps} "
        "Please check your goods, and scan your code again."
    )
