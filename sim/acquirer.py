"""The TEST acquirer: a process of its own that answers like a card acquirer. No real money moves.

The books are in sim.acquirer_ledger. `POST /script` lets the next charges go wrong whatever their method says, so that
a shopper with an ordinary card can meet a decline or a lost answer. What was concluded is also told to the merchant.
"""

import asyncio
import hmac
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Annotated, Any

import msgspec
import uvicorn
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter

from cart_protocol.host.clock import HostClock
from sim.acquirer_courier import Courier, Merchant
from sim.acquirer_ledger import LABEL, ChargeRecord, Delivery, Ledger, LedgerError, Totals
from sim.acquirer_mishaps import Mishaps
from sim.acquirer_notices import NoticeHabits

_SLOW_S = 1.0
_LOST_S = 120.0
"""A lost answer: nobody waits that long."""


class ChargeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown fields are refused: a merchant that sends card data is told so at once."""

    amount: int
    currency: str
    method: str


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amount: int


class ScriptRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    methods: tuple[str, ...]


class Refusal(msgspec.Struct, frozen=True):
    code: str
    detail: str
    test: str = LABEL


_Key = Annotated[str, Parameter(header="Idempotency-Key", min_length=1, max_length=128)]


@post("/charges", status_code=200)
async def charge(data: ChargeRequest, ledger: Ledger, key: _Key) -> Response[ChargeRecord | Refusal]:
    known = ledger.begin(key, data.amount, data.currency, data.method)
    if known.status == "processing":
        if known.delivery is Delivery.SLOW:
            await asyncio.sleep(_SLOW_S)
        known = ledger.finish(key)
    match known.delivery:
        case Delivery.LOST:
            await asyncio.sleep(_LOST_S)
            return Response(Refusal("timeout", "the answer was lost"), status_code=504)
        case Delivery.ERROR:
            return Response(Refusal("acquirer-error", "scripted"), status_code=500)
    return Response(known)


@get("/charges/{key:str}")
async def query(key: str, ledger: Ledger) -> ChargeRecord:
    return ledger.query(key)


@post("/charges/{key:str}/refund", status_code=200)
async def refund(
    key: str, data: RefundRequest, ledger: Ledger, refund_key: Annotated[str, Parameter(header="Idempotency-Key")]
) -> ChargeRecord:
    return ledger.refund(key, refund_key, data.amount)


@post("/script", status_code=200)
async def script(data: ScriptRequest, ledger: Ledger) -> ScriptRequest:
    ledger.script(data.methods)
    return data


@get("/totals")
async def totals(ledger: Ledger) -> Totals:
    return ledger.totals()


@get("/settlement", media_type=MediaType.TEXT)
async def settlement(ledger: Ledger) -> str:
    return ledger.settlement_file()


def application(ledger: Ledger, api_key: str) -> Litestar:
    """Return the acquirer's HTTP application over a ledger."""

    def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if not hmac.compare_digest(connection.headers.get("x-api-key", "").encode(), api_key.encode()):
            raise NotAuthorizedException("missing or wrong X-Api-Key")

    return Litestar(
        route_handlers=[charge, query, refund, script, totals, settlement],
        guards=[require_key],
        dependencies={"ledger": Provide(lambda: ledger, sync_to_thread=False)},
        exception_handlers={LedgerError: _refused, HTTPException: _http_refused},
        openapi_config=None,
    )


def _refused(_: Request[Any, Any, Any], error: LedgerError) -> Response[Refusal]:
    return Response(Refusal(error.code, str(error)), status_code=error.status)


def _http_refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[Refusal]:
    """Validation, routing and the API key, in the same shape."""
    return Response(Refusal(f"http-{error.status_code}", str(error.detail)), status_code=error.status_code)


async def serve(
    host: str, port: int, database: Path | str, api_key: str, *, merchant: Merchant | None = None, seed: int = 0,
    mishaps: float = 0.0,
) -> None:  # fmt: skip
    """Run the acquirer until it is told to stop.

    Args:
        host: where it listens.
        port: likewise.
        database: its ledger.
        api_key: what merchants must show; must not be empty.
        merchant: who is told what was concluded.
        seed: decides how late and how often notices come, and which charges go wrong.
        mishaps: the share of ordinary charges that go wrong.
    """
    if not api_key:
        raise ValueError("the test acquirer needs an API key: put a random text into its key file")
    clock = HostClock()
    habits = NoticeHabits(Random(f"{seed}/notices")) if merchant else None
    mishap = Mishaps(Random(f"{seed}/mishaps"), mishaps)
    with closing(Ledger(database, clock.wall_ms, habits=habits, mishap=mishap)) as ledger:
        config = uvicorn.Config(
            application(ledger, api_key),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        async with asyncio.TaskGroup() as tasks:
            courier = None
            if merchant and ledger.notices:
                courier = tasks.create_task(Courier(ledger.notices, merchant, clock).run())
            await uvicorn.Server(config).serve()
            if courier:
                courier.cancel()
