"""What `cart-firmware enrol` says on a terminal: what to do next, and how the test went."""

from rich.console import Console

from cart_firmware.core.prompts import lesson
from cart_firmware.services.enrol import Showing
from cart_protocol.sight import Learned, Verdict

_WORDS = {
    Verdict.SAFE: "Safe: nothing known looks like it.",
    Verdict.TAP: "Needs a tap: sight cannot tell it from {alike}. Shoppers will be asked.",
    Verdict.SCATTERED: "Show it again: the shots do not look like one another. Nothing was kept.",
}


class Told:
    """Says a sentence when it changes."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, ""
        self._console = Console(stderr=True)

    def tell(self, showing: Showing) -> None:
        sentence = lesson(self._name, shots=showing.shots, wanted=showing.wanted, seen=showing.seen).sentence
        if sentence != self._last:
            self._last = sentence
            self._console.print(sentence, markup=False, highlight=False)


def plain(learned: Learned, name: str) -> str:
    """Return the report of a lesson."""
    taught = learned.taught
    lines = [f"{name} ({taught.product}), {taught.shots} {'shot' if taught.shots == 1 else 'shots'}"]
    if taught.shots > 1:
        lines.append(f"{learned.right} of {taught.shots} are told from all others; {learned.together} % together")
    lines += [f"  like {each.name}: {each.percent} %, taken for it {each.taken_for}x" for each in learned.resembles]
    lines.append(_WORDS[learned.verdict].format(alike=", ".join(taught.look_alikes)))
    return "\n".join(lines)
