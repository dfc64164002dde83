"""Refusals: what a person asked for and cannot have now, with the word for machines and the sentence for the person.

RefusedError
├── BindRefusedError     a cart cannot be had
├── OrderRefusedError    the basket cannot be paid, thawed or handed back now
├── PaymentRefusedError  a payment cannot be started, or was declined
├── TokenRefusedError    an exit token opens nothing
├── ErasureRefusedError  a shopper cannot be forgotten yet
├── StaffRefusedError    what staff asked for does not apply
└── NoRoomError          the store cannot record anything at all now
"""


class RefusedError(Exception):
    """`reason` is a machine word, `sentence` is for the person who asked."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(f"{reason}: {sentence}")
        self.reason = reason
        self.sentence = sentence


class BindRefusedError(RefusedError):
    """A cart cannot be had by this shopper now."""


class OrderRefusedError(RefusedError):
    """The basket cannot be paid, thawed or handed back now."""


class PaymentRefusedError(RefusedError):
    """A payment cannot be started, or was declined."""


class TokenRefusedError(RefusedError):
    """An exit token that opens nothing: unknown, unpaid or spent."""


class ErasureRefusedError(RefusedError):
    """A shopper cannot be forgotten yet: something is still between them and the shop."""


class StaffRefusedError(RefusedError):
    """What staff asked for does not apply (any more)."""


class NoRoomError(RefusedError):
    """The store's disk is full: whatever was asked for may be asked again, and happens at most once."""

    def __init__(self) -> None:
        super().__init__("no-room", "The store cannot record anything right now. Please ask our staff, and try again.")
