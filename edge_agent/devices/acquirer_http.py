"""Talking to the test acquirer over HTTP: no real money. Whatever is not a clear answer is UNKNOWN, never a guess."""

import httpx
import msgspec

from cart_protocol.money import Money
from edge_agent.ports import Charge, ChargeStatus, DeviceError

_REFUSED = frozenset({400, 401, 403})
"""The acquirer did nothing with this request. 409 (in flight) and 422 (key used before) leave the question open."""


class _Answer(msgspec.Struct):
    """What the acquirer says of one charge. Further fields are allowed and not needed."""

    status: str
    captured: int
    currency: str
    reference: str = ""
    reason: str = ""


class _Refusal(msgspec.Struct):
    code: str
    detail: str = ""


class HttpAcquirer:
    """An acquirer at `address`. `key` in every call is the tender's idempotency key for life."""

    def __init__(self, address: str, api_key: str, timeout_s: float = 10.0) -> None:
        self._client = httpx.AsyncClient(base_url=address, headers={"X-Api-Key": api_key}, timeout=timeout_s)

    async def charge(self, key: str, amount: Money, method: str) -> Charge:
        """Ask for `amount`. The answer's amount is what was captured, which may be less.

        No answer, a server error or an unreadable answer is UNKNOWN, also when the connection was refused: an earlier
        request under this key may have arrived.
        """
        body = {"amount": amount.minor, "currency": amount.currency, "method": method}
        try:
            response = await self._client.post("/charges", json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            return _unknown(amount, _named(error))
        if response.status_code in _REFUSED:
            nothing = Money(0, amount.currency)
            return Charge(status=ChargeStatus.REFUSED, amount=nothing, reason=_refusal(response).code)
        return _charge(response, amount)

    async def query(self, key: str, amount: Money) -> Charge:
        """Ask what became of a charge. NOT_FOUND only if the acquirer says so itself: a proxy's 404 proves nothing."""
        try:
            response = await self._client.get(f"/charges/{key}")
        except httpx.HTTPError as error:
            return _unknown(amount, _named(error))
        if response.status_code == 404 and _refusal(response).code == "unknown-charge":
            return Charge(status=ChargeStatus.NOT_FOUND, amount=Money(0, amount.currency))
        return _charge(response, amount)

    async def close(self) -> None:
        await self._client.aclose()


def open_acquirer(text: str, api_key: str, timeout_s: float) -> HttpAcquirer:
    """Return the acquirer of a setting: 'test:ADDRESS' is the test acquirer, no real money.

    Raises:
        DeviceError: another kind is asked for.
    """
    kind, _, address = text.partition(":")
    if kind != "test" or not address.startswith(("http://", "https://")):
        raise DeviceError(f"acquirer {text!r}: unknown; write 'test:http://HOST:PORT'")
    return HttpAcquirer(address, api_key, timeout_s)


def _charge(response: httpx.Response, amount: Money) -> Charge:
    if response.status_code != 200:
        return _unknown(amount, f"http-{response.status_code}")
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except msgspec.DecodeError:
        return _unknown(amount, "unreadable-answer")
    if answer.currency != amount.currency or answer.captured < 0:
        return _unknown(amount, "answer-does-not-fit")
    captured = Money(answer.captured, answer.currency)
    match answer.status:
        case "captured" if captured.minor > 0:
            return Charge(status=ChargeStatus.CAPTURED, amount=captured, reference=answer.reference)
        case "declined" if captured.minor == 0:
            return Charge(status=ChargeStatus.DECLINED, amount=captured, reason=answer.reason)
    return _unknown(amount, f"status-{answer.status}")


def _refusal(response: httpx.Response) -> _Refusal:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal(f"http-{response.status_code}")


def _unknown(amount: Money, reason: str) -> Charge:
    return Charge(status=ChargeStatus.UNKNOWN, amount=Money(0, amount.currency), reason=reason)


def _named(error: httpx.HTTPError) -> str:
    """Return the error as a word for the log, e.g. 'read-timeout'."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__).lstrip("-")
