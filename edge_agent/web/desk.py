"""The border between the pages and the shop: what pages may ask for and what they may show."""

from typing import Protocol

from cart_protocol.ids import CartId, IncidentId, LessonId, OrderId, ProductId, RecordId, ShopperId, StaffId
from edge_agent.core.staff import StaffMember
from edge_agent.core.views import ConsoleView, PhoneView, RecordView, SightView


class SightDesk(Protocol):
    """What staff can ask for of goods by sight (edge_agent.services.sight_desk.SightDesk). Refuses as the counter."""

    def view(self) -> SightView: ...
    async def teach(self, cart: CartId, product: ProductId, shots: int, staff: StaffId) -> None:
        """Have a product shown to a cart."""

    async def stop(self, lesson: LessonId) -> None: ...
    async def use(self, lesson: LessonId, staff: StaffId) -> None:
        """Have all carts know what was learned."""

    async def set_aside(self, lesson: LessonId, staff: StaffId) -> None: ...
    async def forget(self, product: ProductId, staff: StaffId) -> None: ...
    async def retire(self, product: ProductId, staff: StaffId) -> None: ...
    async def bring_back(self, product: ProductId, staff: StaffId) -> None: ...
    async def roll_back(self, to: int, staff: StaffId) -> None: ...


class CounterDesk(Protocol):
    """The shop's counter as pages see it (edge_agent.services.counter.Counter).

    Whatever a person asks for and cannot have raises edge_agent.core.refusals.RefusedError, with the sentence to show.
    """

    @property
    def sight(self) -> SightDesk: ...

    async def bind(self, shopper: ShopperId, code: str) -> CartId: ...
    async def hand_back(self, shopper: ShopperId) -> None: ...
    async def freeze(self, shopper: ShopperId) -> OrderId: ...
    async def thaw(self, shopper: ShopperId) -> None: ...
    async def pay(self, shopper: ShopperId, method: str, key: str) -> None:
        """Start a payment. The same `key` again has the first one's outcome and moves no money."""

    async def forget(self, shopper: ShopperId) -> None:
        """Keep nothing that leads to this shopper."""

    async def resolve(self, incident: IncidentId, staff: StaffId, *, let_through: bool = False) -> None:
        """Close an incident; with `let_through`, its lane lets the waiting shopper go with the goods as they are."""

    async def set_withdrawn(self, cart: CartId, staff: StaffId, withdrawn: bool) -> None: ...
    async def explain_weight(self, cart: CartId, staff: StaffId) -> None: ...
    async def ask_cart(self, cart: CartId, staff: StaffId) -> RecordId:
        """Have a cart send the record of its newest session; return where that is, or will be."""

    async def ask_about(self, incident: IncidentId, staff: StaffId) -> RecordId:
        """Have the cart that an alarm is about send its record of it."""

    async def ask_again(self, record: RecordId, staff: StaffId) -> RecordId: ...
    def record(self, record: RecordId) -> RecordView | None:
        """Return what is known of a record; None where it is not here (any more)."""

    async def record_picture(self, record: RecordId) -> bytes:
        """Return the picture (PNG) of a record, nothing where there is none; likewise the file for `replay`."""

    async def record_file(self, record: RecordId) -> bytes: ...
    def phone(self, shopper: ShopperId) -> PhoneView: ...
    def console(self) -> ConsoleView: ...
    async def wait_for_change(self, revision: int, shopper: ShopperId | None = None) -> int:
        """Return the shop's revision once it is above `revision`. May be cancelled at any time.

        With `shopper`, only what may concern this shopper's page counts.
        """


class NoticeDesk(Protocol):
    """Who hears the acquirer's notices (edge_agent.services.heed.Heed)."""

    def notice(self, signature: str, body: bytes) -> None:
        """Hear one; raises edge_agent.ports.NoticeRefusedError. Must not block."""


class StaffRoll(Protocol):
    """Who may sign in (edge_agent.store.staff.StaffFile)."""

    def verify(self, name: str, password: str) -> StaffMember | None:
        """Return the person when name and password belong together. Slow on purpose: call it on a thread."""

    def find(self, name: str) -> StaffMember | None: ...
