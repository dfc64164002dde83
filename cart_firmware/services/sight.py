"""Goods by sight on one cart: what was shipped with its network, and what its store taught since.

An issue is taken over only as the store signed it, whole, and never an older one; it is on the disk before it counts.
"""

import base64
import binascii
import threading
from collections.abc import Collection, Sequence

import msgspec
import structlog

from cart_firmware.core import goods_by_sight
from cart_firmware.perception.embedder import Embedder, Picture
from cart_firmware.perception.knowledge import Knowledge
from cart_firmware.perception.product_index import Floats
from cart_firmware.perception.recogniser import Recogniser, Sight
from cart_firmware.perception.taught import TaughtError, with_taught
from cart_firmware.ports import SightFiles
from cart_firmware.services.price_book import Verify
from cart_protocol.ids import ProductId
from cart_protocol.messages import SightIssue
from cart_protocol.pricing.price_book import Prices
from cart_protocol.sight import TaughtGoods

_LOG = structlog.get_logger("sight")


class SightRefusedError(Exception):
    """An issue that is not used; the text says why."""


class Sights:
    """The recogniser with what it knows now. Any thread may ask; one picture is looked at at a time.

    Args:
        embedder: the network.
        shipped: what is known of goods without the store.
        verify: whether the store signed something.
        files: where the issue in use is kept, and used from the start; and what was shown to this cart.
    """

    def __init__(self, embedder: Embedder, shipped: Knowledge, verify: Verify, files: SightFiles) -> None:
        self._embedder, self._shipped, self._verify, self.files = embedder, shipped, verify, files
        self._turn = threading.Lock()
        self._recogniser = Recogniser(embedder, shipped)
        self._network = shipped.space_sha256
        self._goods = TaughtGoods(version=0, taught=(), out_of_season=())
        self.refused = 0
        """Issues that were not used."""
        if (kept := files.issue()) is not None:
            try:
                self._use(accept(kept, verify, shipped, present=0))
            except SightRefusedError as error:
                self.refused += 1
                _LOG.warning("the kept issue is refused", reason=str(error))

    # ── asking ──

    def recognise(self, crops: Sequence[Picture]) -> Sight:
        """Return what the crops of one event (BGR) show; some milliseconds each. Raises ValueError without any."""
        with self._turn:
            return self._recogniser.recognise(crops)

    def vectors(self, crops: Sequence[Picture]) -> Floats:
        """Return the vectors of crops; see perception.recogniser.Recogniser.vectors."""
        with self._turn:
            return self._recogniser.vectors(crops)

    def shots(self, crops: Sequence[Picture]) -> Floats:
        """Return the unit vectors of crops that are to be learned; see perception.recogniser.Recogniser.shots."""
        with self._turn:
            return self._recogniser.shots(crops)

    def products_of(self, sight: Sight, prices: Prices) -> tuple[tuple[ProductId, float], ...]:
        """Return how likely each product of the book is, the likeliest first; see core.goods_by_sight.products_of."""
        shares = zip(sight.names, map(float, sight.probabilities), strict=True)
        return goods_by_sight.products_of(shares, prices, self._goods.out_of_season)

    def look_alikes(self, product: ProductId, prices: Prices) -> frozenset[ProductId]:
        """Return the products between which and this one only a tap decides; see core.goods_by_sight.look_alikes."""
        alike = {str(each.product): each.look_alikes for each in self._goods.taught}
        return goods_by_sight.look_alikes(product, alike, prices, self._goods.out_of_season)

    @property
    def knowledge(self) -> Knowledge:
        """What it knows now."""
        return self._recogniser.knowledge

    @property
    def network(self) -> str:
        """What names network and space together; see perception.knowledge.Knowledge.space_sha256."""
        return self._network

    @property
    def version(self) -> int:
        """Of the issue in use; 0 before the first."""
        return self._goods.version

    @property
    def of_another_network(self) -> Collection[ProductId]:
        """Products that were taught for another network than this one: it does not know them."""
        return [each.product for each in self._goods.taught if each.network_sha256 != self.network]

    # ── learning ──

    def take(self, issue: SightIssue) -> bool:
        """Use an issue from now on, and after every restart; return whether it is news. Writes to the disk.

        What is refused is counted and logged; the present one stays.
        """
        if issue.version == self.version:
            return False  # every connection brings the retained issue again: it is no news and no refusal
        try:
            goods = accept(issue, self._verify, self._shipped, present=self.version)
        except SightRefusedError as error:
            self.refused += 1
            _LOG.warning("sight refused", reason=str(error))
            return False
        try:
            self.files.keep_issue(issue)
        except OSError as error:
            # Good for today; after a restart the store brings it again.
            _LOG.warning("sight not kept", reason=str(error))
        self._use(goods)
        return True

    def _use(self, goods: TaughtGoods) -> None:
        in_season = (each for each in goods.taught if each.product not in goods.out_of_season)
        self._recogniser = Recogniser(self._embedder, with_taught(self._shipped, in_season))
        self._goods = goods
        _LOG.info(
            "sight", version=goods.version, taught=len(goods.taught), of_another_network=len(self.of_another_network)
        )


def accept(issue: SightIssue, verify: Verify, shipped: Knowledge, *, present: int) -> TaughtGoods:
    """Return what an issue says that follows version `present`.

    What it says of another network's products is kept and not used: that network may come back.

    Raises:
        SightRefusedError: it is not newer, not signed by our store, or no prototype of this network.
    """
    if issue.version <= present:
        raise SightRefusedError(f"version {issue.version} is not newer than {present}")
    signed = issue.goods.encode()
    try:
        proof = base64.b64decode(issue.signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SightRefusedError(f"version {issue.version}: the signature is not base64") from error
    if not verify(signed, proof):
        raise SightRefusedError(f"version {issue.version}: not signed by our store")
    try:
        goods = msgspec.json.decode(signed, type=TaughtGoods)
        with_taught(shipped, goods.taught)
    except (msgspec.DecodeError, TaughtError) as error:
        raise SightRefusedError(f"version {issue.version}: {error}") from error
    if goods.version != issue.version:
        raise SightRefusedError(f"version {issue.version}: what is signed says {goods.version}")
    return goods
