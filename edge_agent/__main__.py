"""The edge agent's program: its commands, by the names they are called by."""

import typer

from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.plain_errors import explained
from cart_protocol.host.signature import KeyFileError
from cart_protocol.ids import InvalidIdError
from cart_protocol.link.settings import LinkError
from edge_agent.commands import books, prices, serving, shop, staff
from edge_agent.devices.authority import AuthorityError
from edge_agent.devices.store_folder import StoreFolderError
from edge_agent.ports import DeviceError
from edge_agent.services.hold import FrozenError
from edge_agent.store.backup import BackupError
from edge_agent.store.journal import JournalError
from edge_agent.store.picture_files import PictureFileError
from edge_agent.store.settlement_file import SettlementFileError
from edge_agent.store.staff import StaffFileError

_EXPLAINED = (
    AuthorityError, BackupError, ConfigurationError, DeviceError, FrozenError, InvalidIdError, JournalError,
    LinkError, KeyFileError, PictureFileError, SettlementFileError, StaffFileError, StoreFolderError,
)  # fmt: skip
"""Errors whose text already says what to do; a traceback would only hide it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The store's edge agent: mirrors carts, takes payment, minds the exit.",
)
app.command()(serving.run)
app.command()(serving.check)
app.command()(shop.init)
app.command("issue-cart")(shop.issue_cart)
app.command("issue-agent")(shop.issue_agent)
app.command("access-list")(shop.access_list)
app.command()(shop.revoke)
app.command("price-book")(prices.price_book)
app.command("shrink-pictures")(prices.shrink_pictures)
app.command()(books.status)
app.command()(books.reconcile)
app.command("backup")(books.back_up)
app.command("restore")(books.bring_back)
app.command("verify")(books.check_journal)
app.command("rebuild")(books.make_anew)

staff_app = typer.Typer(no_args_is_help=True, help="Who may sign in at the console.")
staff_app.command()(staff.add)
staff_app.command()(staff.remove)
staff_app.command("list")(staff.everyone)
app.add_typer(staff_app, name="staff")


def main() -> None:
    with explained("edge-agent", _EXPLAINED):
        app()


if __name__ == "__main__":
    main()
