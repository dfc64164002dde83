"""Which AIs must, and must not, be on one pack together (General Specifications, section 4.14).

The demands hold for all symbols of a pack together, so a single symbol that lacks what it needs is not wrong by itself;
one that carries what excludes each other is.
"""

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.element import Elements, PairingError


def require_pairing(elements: Elements) -> None:
    """Return if everything on a pack goes together and nothing that is needed is missing.

    Raises:
        PairingError: the first element that does not.
    """
    require_compatible(elements)
    present = [element.ai for element in elements]
    for element in elements:
        identifier = table.find(element.ai)
        for demand in identifier.needs if identifier else ():
            if not any(all(_has(present, one) for one in alternative) for alternative in demand):
                wanted = " or ".join(" with ".join(f"({one})" for one in alternative) for alternative in demand)
                raise PairingError(element.ai, element.position, "needs", element.data, f"{wanted} beside it")


def require_compatible(elements: Elements) -> None:
    """Return if nothing in one symbol excludes another.

    Raises:
        PairingError: the first element that does.
    """
    present = [element.ai for element in elements]
    for element in elements:
        identifier = table.find(element.ai)
        for pattern in identifier.never_with if identifier else ():
            for other in present:
                if other != element.ai and table.matches(pattern, other):
                    raise PairingError(
                        element.ai, element.position, "never with", element.data, f"no ({other}) beside it"
                    )


def _has(present: list[str], pattern: str) -> bool:
    return any(table.matches(pattern, ai) for ai in present)
