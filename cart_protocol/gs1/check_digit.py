"""The GS1 check digit (GS1 General Specifications, section 7.9) and the order numbers that end in one."""

from cart_protocol.ids import OrderNumber

ORDER_DIGITS = 6
"""Digits of an order number before its check digit: short enough to read out, unique among the last million orders."""


class Gs1Error(ValueError):
    """A code that breaks a rule of GS1; the sub-class is the rule, the text says what was seen and expected."""


class NotDigitsError(Gs1Error):
    """Something other than the digits 0 to 9."""

    def __init__(self, seen: str) -> None:
        super().__init__(f"{seen!r} is not made of the digits 0 to 9 alone")
        self.seen = seen


class LengthError(Gs1Error):
    """A wrong number of digits for what was asked."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(f"{seen!r} has {len(seen)} digits; {expected} expected")
        self.seen = seen
        self.expected = expected


class CheckDigitError(Gs1Error):
    """The last digit is not the one that the others demand: the code was misread or mistyped."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(f"{seen!r} ends in check digit {seen[-1]}; {expected} expected")
        self.seen = seen
        self.expected = expected


def check_digit(digits: str) -> str:
    """Return the one digit that belongs behind `digits`; leading zeros do not change it.

    Weights are 3, 1, 3 … from the right (General Specifications, section 7.9). Catches every single wrong digit,
    and every swap of neighbours unless the two differ by 5.

    Raises:
        NotDigitsError: `digits` is empty or holds anything but 0 to 9.
    """
    require_digits(digits)
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def has_valid_check_digit(digits: str) -> bool:
    """Return whether the last of `digits` is the check digit of the others; False for anything that is no number."""
    return _is_digits(digits) and len(digits) >= 2 and check_digit(digits[:-1]) == digits[-1]


def require_check_digit(digits: str) -> None:
    """Return if the last digit is right.

    Raises:
        NotDigitsError: it is not a number.
        LengthError: there is nothing before the last digit.
        CheckDigitError: the last digit is wrong.
    """
    require_digits(digits)
    if len(digits) < 2:
        raise LengthError(digits, "at least one digit and a check digit")
    expected = check_digit(digits[:-1])
    if digits[-1] != expected:
        raise CheckDigitError(digits, expected)


def require_digits(text: str) -> None:
    if not _is_digits(text):
        raise NotDigitsError(text)


def order_number(sequence: int) -> OrderNumber:
    """Return the number a person reads out for the store's `sequence`-th order: six digits and their check digit.

    After a million orders the numbers begin again; a number alone names the newest order that bears it.
    """
    digits = f"{sequence % 10**ORDER_DIGITS:0{ORDER_DIGITS}d}"
    return OrderNumber(digits + check_digit(digits))


def parse_order_number(text: str) -> OrderNumber:
    """Return the order number a person typed or a scanner read; blanks and hyphens between digits do not matter.

    Raises:
        NotDigitsError, LengthError, CheckDigitError: it is no order number, and why.
    """
    digits = "".join(text.split()).replace("-", "")
    require_digits(digits)
    if len(digits) != ORDER_DIGITS + 1:
        raise LengthError(digits, f"{ORDER_DIGITS + 1} digits")
    require_check_digit(digits)
    return OrderNumber(digits)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
