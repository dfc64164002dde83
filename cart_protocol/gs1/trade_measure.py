"""What elements say of the amount on hand: net mass, price and count of goods of variable measure.

General Specifications, sections 3.6 and 3.7: the last digit of these AIs is the number of decimals.
"""

from cart_protocol.gs1.code_lists import CURRENCY_OF_NUMBER
from cart_protocol.gs1.element import Element, Elements
from cart_protocol.gs1.restricted import MarkedValueError
from cart_protocol.mass import Mass
from cart_protocol.money import MINOR_DIGITS, Money, divide_half_up

_NET_MASS = (("310n", 10_000_000_000), ("320n", 4_535_923_700), ("356n", 311_034_768))
"""AIs of net mass, and their unit in 1e-4 mg: kilogram, pound, troy ounce (both exact by definition)."""
_PER_MILLIGRAM = 10_000


def net_mass(elements: Elements) -> Mass | None:
    """Return the net mass, rounded to a milligram, or None where none is given.

    Raises:
        MarkedValueError: it is zero.
    """
    for pattern, unit in _NET_MASS:
        if element := elements.fitting(pattern):
            numerator = int(element.data) * unit
            return Mass(_above_zero(element, divide_half_up(numerator, _PER_MILLIGRAM * 10 ** int(element.ai[3]))))
    return None


def price(elements: Elements, currency: str) -> Money | None:
    """Return the price of the pack, or None where none is given, or only one in another currency.

    Raises:
        MarkedValueError: it is zero, or finer than the smallest coin.
    """
    element, digits = _price_element(elements, currency)
    if element is None:
        return None
    decimals, minor_digits = int(element.ai[3]), MINOR_DIGITS.get(currency, 2)
    minor, rest = divmod(int(digits) * 10**minor_digits, 10**decimals)
    if rest:
        raise MarkedValueError(
            f"price {element.data!r} of AI ({element.ai}) is finer than the smallest coin of {currency}; print it again"
        )
    return Money(_above_zero(element, minor), currency)


def count(elements: Elements) -> int | None:
    """Return how many pieces of variable count are in the pack, or None where it does not say.

    Raises:
        MarkedValueError: it is zero.
    """
    element = elements.fitting("30")
    return _above_zero(element, int(element.data)) if element else None


def _price_element(elements: Elements, currency: str) -> tuple[Element | None, str]:
    if element := elements.fitting("392n"):
        return element, element.data
    element = elements.fitting("393n")
    if element is None or CURRENCY_OF_NUMBER.get(element.data[:3]) != currency:
        return None, ""
    return element, element.data[3:]


def _above_zero(element: Element, value: int) -> int:
    if value == 0:
        raise MarkedValueError(f"AI ({element.ai}) says {element.data!r}, which is zero; print it again")
    return value
