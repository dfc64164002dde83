"""The one owner of the basket: takes observations in order, decides, records, and only then lets anybody know.

Nothing is shown or sent that is not recorded. What cannot be recorded, because the outbox is full, was not decided: a
scan is to be made again, a step of the load waits and is decided later, a command stays unanswered.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from cart_firmware.core.decision import Evidence, Passed, Sighted
from cart_firmware.core.health import Health
from cart_firmware.core.prompts import Prompt, Situation, prompt
from cart_firmware.core.recording import FusionSettings
from cart_firmware.core.scanning import Scanner
from cart_firmware.core.tiles import Tile, picture_of, tiles
from cart_firmware.core.touch import Touch, search
from cart_firmware.services.decide import Decider, Decision, FaultsFound, Matter, Started, TimePassed
from cart_firmware.services.memory import Memory
from cart_firmware.services.observations import BookIssued, Commanded, Observation, Seen, Stepped, Touched
from cart_firmware.services.price_book import PriceBookRefusedError, Verify, accept
from cart_firmware.services.recorder import Recorder
from cart_firmware.services.show import ScreenLine, ScreenScan, ScreenView, ShowCase
from cart_firmware.services.sync import Truth
from cart_protocol.basket import (
    Basket,
    CartEvent,
    CommandRefused,
    Fault,
    FaultsChanged,
    Line,
    LineAdded,
    LineRemoved,
    LoadSettled,
    Phase,
    Position,
    ScanAbandoned,
    ScanRefused,
    SessionBegan,
    SessionEnded,
)
from cart_protocol.exchange import OutboxFullError
from cart_protocol.host.clock import Clock, IdMint
from cart_protocol.mass import Mass, shown
from cart_protocol.messages import CartTime, PriceBookIssue
from cart_protocol.money import zero
from cart_protocol.pricing.line import price_basket
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

_LOG = structlog.get_logger("fuse")
_TICK_S = 0.25
"""How late at most what only time decides: patience, faults, remarks that end."""
_REMARK_US = 6_000_000
"""How long a person needs for a sentence, with goods in both hands."""
_URGENT = (FaultsChanged, SessionEnded, CommandRefused)
_FOR_THE_END = 32
"""Places of the outbox's reserve that removals leave to what ends a session."""
_QUIET_EVENTS = (LoadSettled, FaultsChanged)
"""Nothing a shopper would see."""


class Address(msgspec.Struct, frozen=True):
    """How shoppers find this cart."""

    cart: str
    phone_page: str

    def of(self, code: str) -> str:
        return f"{self.phone_page}?code={self.cart}-{code}"


class _Remark(msgspec.Struct, frozen=True):
    kind: str = ""
    subject: str = ""
    until_us: int = 0


class Fuse:
    """See the module. `submit` and `refresh` may be called from the same event loop at any time."""

    def __init__(
        self,
        memory: Memory,
        clock: Clock,
        mint: IdMint,
        *,
        scanner: Scanner,
        health: Health,
        show_case: ShowCase,
        address: Address,
        verify: Verify,
        settings: FusionSettings,
        recorder: Recorder,
    ) -> None:
        self._memory, self._clock, self._mint, self._verify = memory, clock, mint, verify
        self._health, self._show_case, self._address, self._recorder = health, show_case, address, recorder
        basket = memory.basket()
        evidence = Evidence(level=Mass(basket.tare + basket.settled), variance=basket.variance)
        self.decider = Decider(basket, evidence, settings, scanner)
        self.position = memory.position
        self._inbox = asyncio.Queue[Observation]()
        self._remark = _Remark()
        self._faults_logged: tuple[Fault, ...] = ()
        self._observed_us = 0
        self._answered: object = None
        self._tiles: tuple[Tile, ...] = ()
        self._ticked_us = 0
        self._grown: Callable[[], None] = lambda: None
        self._is_offline: Callable[[], bool] = lambda: True
        self._lesson: Callable[[], Prompt | None] = lambda: None
        self.turned_us: int | None = None
        self.refused_books = 0
        self._take_kept_book()

    @property
    def basket(self) -> Basket:
        return self.decider.basket

    @property
    def load(self) -> Mass:
        """The load above the calibrated zero that is accounted for: where weighing begins."""
        return Mass(self.basket.tare + self.basket.settled)

    def truth(self) -> Truth:
        return Truth(self.position, self.basket)

    def submit(self, observation: Observation) -> None:
        self._inbox.put_nowait(observation)

    def join(
        self, *, grown: Callable[[], None], offline: Callable[[], bool], lesson: Callable[[], Prompt | None]
    ) -> None:
        """Take the ways to the store, which are built after us, and what is said while a product is shown to us."""
        self._grown, self._is_offline, self._lesson = grown, offline, lesson

    @property
    def prices(self) -> Prices | None:
        """The price book that the cart prices from, with what was learned of masses."""
        return self.decider.prices

    def touch(self, touch: Touch) -> None:
        """Take what the shopper did on the screen, at once."""
        self.submit(Touched(self._clock.monotonic_us(), touch))

    def search(self, text: str) -> tuple[Product, ...]:
        """Return products to choose from by name or number."""
        return search(self.decider.prices, text)

    async def start(self) -> None:
        """Record what starting means, so that a shopper sees a code."""
        await self._decide(Started(), self._clock.monotonic_us())
        self._show()

    async def run(self) -> None:
        while True:
            observation = await self._next()
            if observation is not None:
                await self._take(observation)
            now_us = self._clock.monotonic_us()
            if now_us - self._ticked_us >= _TICK_S * 1_000_000:
                self._ticked_us = now_us
                await self._tick(now_us)
            self._show()
            self.turned_us = now_us

    async def _next(self) -> Observation | None:
        try:
            async with asyncio.timeout(_TICK_S):
                return await self._inbox.get()
        except TimeoutError:
            return None

    # ── one observation each ──

    async def _take(self, observation: Observation) -> None:
        match observation:
            case BookIssued(issue):
                await self._take_book(issue)
            case Commanded():
                await self._command(observation)
            case Stepped(step):
                await self._decide(observation, step.at_us)
            case Seen(seen):
                if not await self._decide(observation, seen.at_us):
                    _LOG.warning("a scan could not be recorded", product=str(getattr(seen, "product", "")))
            case Passed() | Sighted():
                await self._decide(observation, observation.until_us)
            case _:
                await self._decide(observation, observation.at_us)

    async def _tick(self, now_us: int) -> None:
        if self._health.outbox_full and self._memory.has_room():
            self._health.outbox_full = False  # the store took over what waited, or somebody made room on the disk
        faults = self._health.faults(now_us)
        if faults != self.basket.faults:
            if faults != self._faults_logged:
                self._faults_logged = faults
                _LOG.warning("faults", now=[fault.value for fault in faults])
            await self._decide(FaultsFound(faults), now_us)
        else:
            self._faults_logged = faults
        await self._decide(TimePassed(), now_us)
        for waiting in list(self.decider.waiting.values()):
            await self._command(waiting.observed)

    async def _command(self, observed: Commanded) -> None:
        command = observed.command
        if await self._memory.answered(command.id):
            return
        if not await self._decide(observed, self._clock.monotonic_us()):
            _LOG.warning("a command could not be answered", command=command.id)

    async def _take_book(self, issue: PriceBookIssue) -> None:
        try:
            prices = accept(issue, self._verify, present=self.decider.prices)
        except PriceBookRefusedError as error:
            self.refused_books += 1
            self._recorder.book_refused(issue.version, str(error))
            _LOG.warning("price book refused", reason=str(error))
            return
        if prices is self.decider.prices:
            return  # every connection brings the retained issue again: it is no news and no refusal
        try:
            await self._memory.keep_price_book(issue)
        except OutboxFullError as error:
            # Good for today; after a restart the store brings it again.
            _LOG.warning("price book not kept", reason=str(error))
        self._use(prices, issue)
        _LOG.info(
            "price book", version=prices.version, products=len(prices.book.products), learned=prices.learned.issue
        )

    def _take_kept_book(self) -> None:
        issue = self._memory.price_book()
        if issue is None:
            return
        try:
            self._use(accept(issue, self._verify, present=None), issue)
        except PriceBookRefusedError as error:
            self.refused_books += 1
            _LOG.warning("the kept price book is refused", reason=str(error))

    def _use(self, prices: Prices, issue: PriceBookIssue) -> None:
        self._recorder.book_taken(issue)
        self.decider.use(prices)
        self._health.price_book = True

    # ── deciding ──

    async def _decide(self, matter: Matter, at_us: int) -> bool:
        """Decide, record and apply; return False, with nothing changed, if there is no room to record it."""
        decision = self.decider.decide(matter, at_us, self._mint)
        recorded = await self._remember(decision) if decision.events else True
        if isinstance(matter, TimePassed) and not self.decider.changes(decision):
            self._recorder.ticked(at_us)
        else:
            self._recorder.decided(decision, recorded=recorded)
        before = self.basket
        self.decider.settle(decision, recorded=recorded)
        if recorded and decision.events:
            self._grown()
            for event in decision.events:
                self._follow(event, before, at_us)
        return recorded

    async def _remember(self, decision: Decision) -> bool:
        """Have the events stored; return False if there is no room."""
        events = decision.events
        urgent = any(isinstance(event, _URGENT) for event in events) or (
            # What was taken out must not stay on the bill because the memory is full.
            any(isinstance(event, LineRemoved) for event in events) and self._memory.spares(_FOR_THE_END)
        )
        stamp = self._stamp(decision.at_us)
        try:
            recorded = await self._memory.record(events, stamp, decision.draft.basket, urgent=urgent)
        except OutboxFullError:
            if not self._health.outbox_full:
                _LOG.error("outbox full", position=self.position.seq)
            self._health.outbox_full = True
            return False
        self.position = Position(epoch=self.position.epoch, seq=recorded[-1].seq)
        return True

    def _stamp(self, at_us: int) -> CartTime:
        clock = self._clock
        return CartTime(
            boot=clock.boot(), monotonic_us=at_us, wall_ms=clock.wall_ms(), synchronised=clock.synchronised()
        )

    # ── showing ──

    def _follow(self, event: CartEvent, before: Basket, at_us: int) -> None:
        """Remember what the screen says about an event."""
        if not isinstance(event, _QUIET_EVENTS):
            self._observed_us = at_us
        match event:
            case LineAdded(name=name):
                self._say("added", name)
            case LineRemoved(line=line) if line in before.lines:
                self._say("removed", before.lines[line].name)
            case ScanRefused(reason=reason, text=text, name=name):
                self._say(reason, name or text)
            case ScanAbandoned(scan=scan) if scan in before.pending and self._remark.kind != "removed":
                self._say("abandoned", before.pending[scan].name)
            case SessionBegan() | SessionEnded():
                self._remark = _Remark()
            case _:
                pass

    def _answers(self) -> tuple[Tile, ...]:
        """Return what the shopper may answer; worked out anew only when something changed, or every second."""
        evidence, now_us = self.decider.evidence, self._clock.monotonic_us()
        if not self.basket.unexplained and not evidence.held:
            return ()
        about = (self.position.seq, evidence.held, tuple(evidence.leaving_us), now_us // 1_000_000)
        if about != self._answered:
            found = self.decider.choices(now_us, self._mint)
            self._answered, self._tiles = about, tiles(found, self.basket, self.decider.prices)
        return self._tiles

    def _say(self, kind: str, subject: str) -> None:
        self._remark = _Remark(kind, subject, self._clock.monotonic_us() + _REMARK_US)

    def _show(self) -> None:
        now_us = self._clock.monotonic_us()
        if self._remark.kind and now_us >= self._remark.until_us:
            self._remark = _Remark()
        # Faults are shown as they are, though they may not be recorded yet or cannot be.
        basket = msgspec.structs.replace(self.basket, faults=self._health.faults(now_us))
        self._show_case.show(self._view(basket))

    def _view(self, basket: Basket) -> ScreenView:
        evidence, prices = self.decider.evidence, self.decider.prices
        held = evidence.held
        leaving = [line.name for line in basket.lines.values() if line.line in evidence.leaving_us]
        answers = self._answers()
        situation = Situation(
            basket=basket,
            prices=prices,
            held=Mass(sum(step.mass for step in held)) if held else None,
            remark=self._remark.kind,
            subject=self._remark.subject,
            tiles=len(answers),
            leaving=tuple(leaving),
            container=evidence.container_us is not None,
        )
        lesson = self._lesson() if basket.phase is Phase.IDLE else None
        usable = basket.phase is Phase.IDLE and not basket.withdrawn and not basket.faults and lesson is None
        totals = price_basket(prices, basket.line_prices()) if prices else None
        nothing = zero(prices.currency if prices else "EUR")
        return ScreenView(
            revision=0,
            phase=basket.phase,
            cart=self._address.cart,
            code=basket.code if usable else "",
            code_url=self._address.of(basket.code) if usable else "",
            lines=tuple(
                _shown_line(line, prices, leaving=line.line in evidence.leaving_us) for line in basket.lines.values()
            ),
            pending=shown_scans(basket, prices),
            tiles=answers,
            helped=basket.attention == "help",
            announced=bool(basket.pending or leaving or evidence.container_us is not None),
            prompt=lesson or prompt(situation),
            total=totals.total if totals else nothing,
            tax=totals.tax if totals else nothing,
            offline=self._is_offline(),
            book_version=prices.version if prices else 0,
            observed_us=self._observed_us,
        )


def shown_scans(basket: Basket, prices: Prices | None) -> tuple[ScreenScan, ...]:
    """Return what is to be put in, those of one product together where their number is the shopper's to say."""
    found = dict[str, ScreenScan]()
    for waiting in basket.pending.values():
        product = prices.find(waiting.product) if prices else None
        countable = product is not None and product.sold_by is SoldBy.PIECE and waiting.marked is None
        key = waiting.product if countable else waiting.scan
        known = found.get(key) or ScreenScan(
            scan=waiting.scan, name=waiting.name, picture=product.picture if product else "", pieces=0,
            countable=countable,
        )  # fmt: skip
        found[key] = msgspec.structs.replace(known, pieces=known.pieces + 1)
    return tuple(found.values())


def _shown_line(line: Line, prices: Prices | None, *, leaving: bool) -> ScreenLine:
    """A mass that is not printed on the pack is approximate: the cart's scale is no legal one."""
    if line.price.sold_by is not SoldBy.KILOGRAM:
        amount = f"{line.quantity} \N{MULTIPLICATION SIGN}"
    elif line.marked_mass is not None:
        amount = shown(line.marked_mass)
    else:
        amount = f"≈ {shown(line.mass)}"
    picture = picture_of(line.product, prices)
    return ScreenLine(
        line=line.line, name=line.name, amount=amount, total=line.price.total, picture=picture, leaving=leaving
    )
