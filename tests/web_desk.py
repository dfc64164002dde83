"""A small honest counter in memory, and the pages served over it: what tests of the pages put behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import argon2
import httpx
from litestar import Litestar
from msgspec.structs import replace

from cart_protocol.host.clock import HostClock, HostDice
from cart_protocol.ids import (
    CartId,
    IncidentId,
    LessonId,
    OrderId,
    OrderNumber,
    ProductId,
    RecordId,
    ShopperId,
    StaffId,
)
from cart_protocol.money import Money
from edge_agent.config import Limits, Web
from edge_agent.core.refusals import RefusedError
from edge_agent.core.staff import Role
from edge_agent.core.views import (
    ConsoleView,
    LineView,
    PhonePhase,
    PhoneView,
    RecordView,
    SightView,
)
from edge_agent.store.staff import StaffFile
from edge_agent.web.app import create_app, serve
from edge_agent.web.desk import NoticeDesk
from tests.web_views import STORE, TAXES, a_console, a_record, a_sight

CODE = "c1-7K3M9Q"
EXIT_CODE = (
    "6BF+70790T9WJWG.FKY*4GO0.O1CV2 O5 N2FBBRW1*70HS8WY04AC*WIFN0"
    "AHCD8KD97TK0F90KECTHGWJC0FDC:5AIA%G7X+AQB9746HS80:54IBQF60R6$A80X6S1BTYACG6M+9XG8KIAWNA91AY%67092L4WJCT3EHS8XJC"
)
"""152 characters of base45, as a real exit token has."""
DECLINED = "Your card was declined. Please try another one."
SCAN_AGAIN = "This order no longer waits at the lane. Please ask the shopper to scan the exit code again."
OPEN_SESAME = "correct horse battery"
"""What everybody of the staff signs in with."""


class TestClock:
    """A clock that stands until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.now_us = 1_000_000_000

    def sleep(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)

    def monotonic_us(self) -> int:
        return self.now_us

    def wall_ms(self) -> int:
        return 1_763_800_000_000 + self.now_us // 1_000

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return "test"


class SightShelf:
    """Goods by sight of that shop: notes what it is asked for, and shows what a test puts there."""

    def __init__(self, calls: list[str], revision: Callable[[], int]) -> None:
        self._calls, self._revision = calls, revision
        self.board = a_sight()

    def view(self) -> SightView:
        return replace(self.board, revision=self._revision())

    async def teach(self, cart: CartId, product: ProductId, shots: int, staff: StaffId) -> None:
        if cart not in self.board.able:
            raise RefusedError("not-able", "This cart is not connected, or does not know goods by sight.")
        self._calls.append(f"teach {cart} {product} {shots} {staff}")

    async def stop(self, lesson: LessonId) -> None:
        self._calls.append(f"stop {lesson}")

    async def use(self, lesson: LessonId, staff: StaffId) -> None:
        self._calls.append(f"use {lesson} {staff}")

    async def set_aside(self, lesson: LessonId, staff: StaffId) -> None:
        self._calls.append(f"set aside {lesson} {staff}")

    async def forget(self, product: ProductId, staff: StaffId) -> None:
        self._calls.append(f"forget {product} {staff}")

    async def retire(self, product: ProductId, staff: StaffId) -> None:
        self._calls.append(f"retire {product} {staff}")

    async def bring_back(self, product: ProductId, staff: StaffId) -> None:
        self._calls.append(f"bring back {product} {staff}")

    async def roll_back(self, to: int, staff: StaffId) -> None:
        self._calls.append(f"roll back {to} {staff}")


class Desk:
    """One shop with the carts c1 and c2: keeps the counter's promises, knows no carts' wires and no bank."""

    def __init__(self) -> None:
        self.phones: dict[ShopperId, PhoneView] = {}
        self.revision = 1
        self.calls: list[str] = []
        self.bind_takes = asyncio.Event()
        self.bind_takes.set()
        self.pay_takes = asyncio.Event()
        self.pay_takes.set()
        self.board = a_console()
        self.records: dict[RecordId, RecordView] = {}
        self.bodies: dict[RecordId, tuple[bytes, bytes]] = {}
        """Picture and file of the records that are here."""
        self.sight = SightShelf(self.calls, lambda: self.revision)
        self._outcomes: dict[str, str] = {}
        self._changed = asyncio.Event()

    # ── what the shop does ──

    def change(self, shopper: ShopperId, **what: object) -> None:
        self.phones[shopper] = replace(self.phone(shopper), **what)
        self.bump()

    def bump(self) -> None:
        self.revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def put_in(self, shopper: ShopperId, line: LineView, observed_us: int = 0) -> None:
        lines = (*self.phone(shopper).lines, line)
        total = sum((each.total.minor for each in lines), 0)
        self.change(shopper, lines=lines, total=Money(total, "EUR"), observed_us=observed_us)

    def holder(self, cart: str) -> ShopperId | None:
        return next((shopper for shopper, view in self.phones.items() if view.cart == cart), None)

    # ── what pages ask for ──

    async def bind(self, shopper: ShopperId, code: str) -> CartId:
        self.calls.append(f"bind {code}")
        if self.phone(shopper).cart:
            raise RefusedError("has-cart", "You already have a cart.")
        if code not in {CODE, "c2-000000"}:
            raise RefusedError("unknown-code", "This code is not (or no longer) valid. Look at the cart's screen.")
        cart = CartId(code.partition("-")[0])
        if self.holder(cart):
            raise RefusedError("busy", "Somebody else is using this cart. Please take another one.")
        self.change(shopper, phase=PhonePhase.BINDING, cart=cart)
        await self.bind_takes.wait()
        self.change(shopper, phase=PhonePhase.SHOPPING, total=Money(0, "EUR"))
        return cart

    async def hand_back(self, shopper: ShopperId) -> None:
        self.calls.append("hand_back")
        self.phones.pop(shopper, None)
        self.bump()

    async def freeze(self, shopper: ShopperId) -> OrderId:
        self.calls.append("freeze")
        if not self.phone(shopper).lines:
            raise RefusedError("empty", "Your cart is empty.")
        if self.phone(shopper).attention:
            raise RefusedError(
                "unexplained", "Something in the cart is unexplained. Please take it out or ask for help."
            )
        order = OrderId("018f3a5ac0de7000a1b2c3d4e5f60718")
        self.change(shopper, phase=PhonePhase.TO_PAY, order_number=OrderNumber("40128-7"), order_id=order, taxes=TAXES)
        return order

    async def thaw(self, shopper: ShopperId) -> None:
        self.calls.append("thaw")
        self.change(shopper, phase=PhonePhase.SHOPPING, order_number=None, order_id=None, problem="")

    async def pay(self, shopper: ShopperId, method: str, key: str) -> None:
        self.calls.append(f"pay {method} {key}")
        if key in self._outcomes:
            return self._outcome(key)
        self._outcomes[key] = method
        self.change(shopper, phase=PhonePhase.PAYING, problem="")
        await self.pay_takes.wait()
        if method == "test_declined":
            self.change(shopper, phase=PhonePhase.TO_PAY, problem=DECLINED)
            return self._outcome(key)
        total = self.phone(shopper).total
        self.change(shopper, phase=PhonePhase.PAID, paid=total, exit_token=EXIT_CODE)
        return None

    def _outcome(self, key: str) -> None:
        if self._outcomes[key] == "test_declined":
            raise RefusedError("declined", DECLINED)

    async def forget(self, shopper: ShopperId) -> None:
        self.calls.append("forget")
        if self.phone(shopper).phase not in {PhonePhase.UNBOUND, PhonePhase.GOODBYE}:
            raise RefusedError("has-cart", "You still have a cart. Please hand it back first.")
        self.phones.pop(shopper, None)
        self.bump()

    async def resolve(self, incident: IncidentId, staff: StaffId, *, let_through: bool = False) -> None:
        self.calls.append(f"{'let-through' if let_through else 'resolve'} {incident} {staff}")
        card = next((each for each in self.board.incidents if each.incident == incident), None)
        if card is None:
            raise RefusedError("unknown-incident", "There is no such incident.")
        if let_through and not card.may_let_through:
            raise RefusedError("not-at-lane", SCAN_AGAIN)
        closed = replace(card, resolved_by=staff, let_through=let_through, may_let_through=False)
        resolved = tuple(closed if each is card else each for each in self.board.incidents)
        self.board = replace(self.board, incidents=resolved)
        self.bump()

    async def set_withdrawn(self, cart: CartId, staff: StaffId, withdrawn: bool) -> None:
        self.calls.append(f"{'withdraw' if withdrawn else 'restore'} {cart} {staff}")

    async def explain_weight(self, cart: CartId, staff: StaffId) -> None:
        self.calls.append(f"explain {cart} {staff}")

    async def ask_cart(self, cart: CartId, staff: StaffId) -> RecordId:
        self.calls.append(f"ask {cart} {staff}")
        return self._asked(cart, staff)

    async def ask_about(self, incident: IncidentId, staff: StaffId) -> RecordId:
        self.calls.append(f"ask about {incident} {staff}")
        return self._asked(CartId("c1"), staff)

    async def ask_again(self, record: RecordId, staff: StaffId) -> RecordId:
        self.calls.append(f"ask again {record} {staff}")
        return self._asked(self.records[record].cart, staff)

    def _asked(self, cart: CartId, staff: StaffId) -> RecordId:
        record = RecordId(f"r{len(self.records) + 1}")
        self.records[record] = a_record(record, cart, staff)
        self.bump()
        return record

    def change_record(self, record: RecordId, **what: object) -> None:
        self.records[record] = replace(self.records[record], **what)
        self.bump()

    def show_sight(self, board: SightView) -> None:
        self.sight.board = board
        self.bump()

    # ── what pages show ──

    def record(self, record: RecordId) -> RecordView | None:
        view = self.records.get(record)
        return replace(view, revision=self.revision) if view else None

    async def record_picture(self, record: RecordId) -> bytes:
        return self.bodies.get(record, (b"", b""))[0]

    async def record_file(self, record: RecordId) -> bytes:
        return self.bodies.get(record, (b"", b""))[1]

    def phone(self, shopper: ShopperId) -> PhoneView:
        view = self.phones.get(shopper) or PhoneView(revision=0, phase=PhonePhase.UNBOUND, store=STORE)
        return replace(view, revision=self.revision)

    def console(self) -> ConsoleView:
        return replace(self.board, revision=self.revision)

    async def wait_for_change(self, revision: int, shopper: ShopperId | None = None) -> int:
        del shopper
        while self.revision <= revision:
            await self._changed.wait()
        return self.revision


def quick_hasher() -> argon2.PasswordHasher:
    """Argon2 with as little work as it allows: what is tested is not how slow it is."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def staff_file(folder: Path) -> StaffFile:
    staff = StaffFile(folder / "staff.json", quick_hasher())
    for name, role in (("vera", Role.VIEWER), ("adam", Role.ATTENDANT), ("mina", Role.MANAGER)):
        staff.add(name, role, OPEN_SESAME)
    return staff


class Shop:
    """The pages of one shop over an in-memory desk."""

    def __init__(
        self, folder: Path, web: Web | None = None, *, real_clock: bool = False, heartbeat_s: float = 15.0,
        notice_desk: NoticeDesk | None = None, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.desk = Desk()
        self.clock = TestClock()
        self.web = web or Web(port=0)
        self.staff = staff_file(folder)
        self.app: Litestar = create_app(
            self.desk,
            self.web,
            STORE,
            self.staff,
            clock=HostClock() if real_clock else self.clock,
            secret_source=HostDice(),
            heartbeat_s=heartbeat_s,
            notice_desk=notice_desk,
            limits=limits or Limits(),
        )

    def phone(self, **headers: str) -> httpx.AsyncClient:
        """A browser without JavaScript on this shop's pages, in this process."""
        scheme = "https" if self.web.certificate or self.web.public_address.startswith("https") else "http"
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://shop.test", headers=headers)

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the pages by the real server on loopback; yields the address."""
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(self.app, self.web, ready=listening.set_result))
        try:
            await asyncio.wait({server, listening}, return_when=asyncio.FIRST_COMPLETED)
            if server.done():
                server.result()
            yield listening.result()
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server


class Shopper:
    """A simple browser: follows redirects, sends back cookies and the token of the page."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.csrf = ""

    async def open(self) -> dict[str, object]:
        answer = await self.http.get("/api/phone")
        self.csrf = answer.headers["X-CSRF"]
        seen: dict[str, object] = answer.json()
        return seen

    async def post(self, path: str, accept: str = "application/json", **form: str) -> httpx.Response:
        return await self.http.post(path, data=form, headers={"X-CSRF": self.csrf, "Accept": accept})


def shopper_of(desk: Desk) -> ShopperId:
    """The one shopper this desk knows."""
    (shopper,) = desk.phones
    return shopper


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
