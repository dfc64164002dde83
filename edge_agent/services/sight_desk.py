"""What staff can ask for of goods by sight, and the page of it. Part of the counter."""

from collections.abc import Awaitable, Callable

from cart_protocol.ids import CartId, LessonId, ProductId, StaffId
from edge_agent.core import sight_picture, teaching
from edge_agent.core.events import NewId, StoreEvent
from edge_agent.core.picture import Surroundings
from edge_agent.core.views import SightView
from edge_agent.services.presence import Presence
from edge_agent.services.record import Decide, Recorder
from edge_agent.services.teach import Teach

Wish = Callable[[Decide], Awaitable[tuple[StoreEvent, ...]]]


class SightDesk:
    """One call is one wish, as at the counter: it may be repeated; one that cannot be had raises StaffRefusedError."""

    def __init__(
        self, recorder: Recorder, presence: Presence, teach: Teach, *, new_id: NewId, wish: Wish,
        around: Callable[[], Surroundings],
    ) -> None:  # fmt: skip
        self._recorder, self._presence, self._teach = recorder, presence, teach
        self._new_id, self._wish, self._around = new_id, wish, around

    def view(self) -> SightView:
        return sight_picture.view(self._recorder.shop, self._around(), self._presence.sight, self._teach.shown)

    async def teach(self, cart: CartId, product: ProductId, shots: int, staff: StaffId) -> None:
        """Have a product shown to a cart; see core.teaching.ask for what is refused."""
        able = {cart for cart, said in self._presence.sight.items() if said.takes_lessons}
        await self._wish(
            lambda shop, _: teaching.ask(shop, cart, product, shots=shots, staff=staff, able=able, new_id=self._new_id)
        )

    async def stop(self, lesson: LessonId) -> None:
        """End a lesson that is under way."""
        await self._wish(lambda shop, _: teaching.stop(shop, lesson))

    async def use(self, lesson: LessonId, staff: StaffId) -> None:
        """Have all carts know what was learned; see core.teaching.use for what is refused."""
        await self._wish(lambda shop, _: teaching.use(shop, lesson, staff, above=self._newest()))

    async def set_aside(self, lesson: LessonId, staff: StaffId) -> None:
        await self._wish(lambda shop, _: teaching.set_aside(shop, lesson, staff))

    async def forget(self, product: ProductId, staff: StaffId) -> None:
        """Have carts know a product no better than they were shipped."""
        await self._wish(lambda shop, _: teaching.forget(shop, product, staff, above=self._newest()))

    async def retire(self, product: ProductId, staff: StaffId) -> None:
        """Have carts not look for a product out of season."""
        await self._wish(lambda shop, _: teaching.retire(shop, product, staff, above=self._newest()))

    async def bring_back(self, product: ProductId, staff: StaffId) -> None:
        await self._wish(lambda shop, _: teaching.bring_back(shop, product, staff, above=self._newest()))

    async def roll_back(self, to: int, staff: StaffId) -> None:
        """Make the content of an older version that of a new one."""
        await self._wish(lambda shop, _: teaching.roll_back(shop, to, staff, above=self._newest()))

    def _newest(self) -> int:
        """Return the highest version that a connected cart has: above ours where the journal is a restored one."""
        return max((said.version for said in self._presence.sight.values()), default=0)
