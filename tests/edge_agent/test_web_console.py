"""The console and the staff who may use it."""

import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from cart_protocol.ids import CartId, RecordId, StaffId
from edge_agent.core.staff import Role
from edge_agent.store.staff import StaffFile, StaffFileError
from tests.web_desk import OPEN_SESAME, SCAN_AGAIN, Shop, quick_hasher, staff_file
from tests.web_views import a_level


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with shop.phone() as client:
        yield client


async def csrf_of(http: httpx.AsyncClient, page: str) -> str:
    (found, *_) = re.findall(r'name="_csrf" value="(\w+)"', (await http.get(page)).text)
    return str(found)


async def sign_in(http: httpx.AsyncClient, name: str, password: str = OPEN_SESAME) -> httpx.Response:
    form = {"_csrf": await csrf_of(http, "/console/sign-in"), "name": name, "password": password}
    return await http.post("/console/sign-in", data=form)


async def command(http: httpx.AsyncClient, path: str) -> httpx.Response:
    csrf = (await http.get("/api/console")).headers.get("X-CSRF", "")
    return await http.post(path, headers={"X-CSRF": csrf, "Accept": "application/json"})


# ── signing in ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_sign_in_the_console_shows_nothing(http: httpx.AsyncClient) -> None:
    page = await http.get("/console")
    assert (page.status_code, page.headers["Location"]) == (303, "/console/sign-in")
    assert (await http.get("/api/console")).status_code == 401
    assert (await http.get("/console/stream")).status_code == 401


async def test_staff_sign_in_and_see_alarms_lanes_and_carts(http: httpx.AsyncClient) -> None:
    assert (await sign_in(http, "vera")).status_code == 303
    page = (await http.get("/console")).text
    for shown in (
        "Order 40125-6 weighs 480 g more than it should.",
        "3.214 kg",
        "± 38 g",
        "exit scale: 15 g",
        "Deactivator live",
        "Load cell silent",
        "Withdrawn",
        "resolved by mina",
        "€4127.33",
    ):
        assert shown in page
    assert page.index("Alarms") < page.index("Exit lanes") < page.index("Carts")


async def test_open_alarms_come_before_resolved_ones_and_carts_that_ask_before_others(http: httpx.AsyncClient) -> None:
    await sign_in(http, "vera")
    page = (await http.get("/console")).text
    assert page.index("alarm-i2") < page.index("Resolved lately") < page.index("A live tag went through")
    assert page.index('id="cart-c3"') < page.index('id="cart-c1"')


async def test_limits_that_are_near_are_counted_and_one_that_no_alarm_can_tell_is_said_first(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    await sign_in(http, "vera")
    page = (await http.get("/console")).text
    assert "Limits (1 of 7 near or reached)" in page
    assert "alarm below 1,000, limit 200 MB" in page
    full = a_level("journal-full", "", "", "", "limit", "The disk is full.")
    shop.desk.board = replace(shop.desk.board, levels=(full, *shop.desk.board.levels))
    page = (await http.get("/console")).text
    assert page.index("The disk is full.") < page.index('id="alarms-title"')


@pytest.mark.parametrize(("name", "password"), [("mina", "wrong horse"), ("nobody", OPEN_SESAME), ("mina", "")])
async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    http: httpx.AsyncClient, name: str, password: str
) -> None:
    answer = await sign_in(http, name, password)
    assert answer.status_code == 403
    assert "Name and password do not belong together." in answer.text
    assert (await http.get("/console")).status_code == 303


async def test_the_cookie_from_before_the_sign_in_opens_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    await http.get("/console/sign-in")
    planted = http.cookies["cartwright-staff"]
    await sign_in(http, "mina")
    assert http.cookies["cartwright-staff"] != planted
    async with shop.phone() as thief:
        thief.cookies.set("cartwright-staff", planted)
        assert (await thief.get("/api/console")).status_code == 401


async def test_sign_out_ends_the_session_on_the_server(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    kept = http.cookies["cartwright-staff"]
    await http.post("/console/sign-out", data={"_csrf": await csrf_of(http, "/console")})
    async with shop.phone() as thief:
        thief.cookies.set("cartwright-staff", kept)
        assert (await thief.get("/api/console")).status_code == 401


async def test_after_eight_hours_one_signs_in_again(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    shop.clock.sleep(8 * 3600 - 60)
    assert (await http.get("/api/console")).status_code == 200
    shop.clock.sleep(61)
    assert (await http.get("/api/console")).status_code == 401


async def test_who_is_taken_off_the_roll_is_out_at_once(http: httpx.AsyncClient, tmp_path: Path) -> None:
    await sign_in(http, "mina")
    StaffFile(tmp_path / "staff.json", quick_hasher()).remove("mina")
    assert (await http.get("/api/console")).status_code == 401


async def test_guessing_a_password_is_slowed_down_also_from_many_addresses(shop: Shop) -> None:
    for address in range(5):
        async with shop.phone() as http:
            http._transport.client = (f"10.0.0.{address}", 1)  # type: ignore[attr-defined]
            assert (await sign_in(http, "mina", "wrong horse")).status_code == 403
    async with shop.phone() as http:
        refused = await sign_in(http, "mina")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        shop.clock.sleep(31)
        assert (await sign_in(http, "mina")).status_code == 303


# ── roles ────────────────────────────────────────────────────────────────────────────────────────────────────────

COMMANDS = {
    "/console/incidents/i2/resolve": ("resolve i2", {Role.ATTENDANT, Role.MANAGER}),
    "/console/incidents/i2/let-through": ("let-through i2", {Role.ATTENDANT, Role.MANAGER}),
    "/console/carts/c3/explain": ("explain c3", {Role.ATTENDANT, Role.MANAGER}),
    "/console/carts/c2/withdraw": ("withdraw c2", {Role.MANAGER}),
    "/console/carts/c8/restore": ("restore c8", {Role.MANAGER}),
}


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize(("name", "role"), [("vera", Role.VIEWER), ("adam", Role.ATTENDANT), ("mina", Role.MANAGER)])
async def test_the_server_lets_each_role_do_its_duties_and_no_more(
    shop: Shop, http: httpx.AsyncClient, path: str, name: str, role: Role
) -> None:
    call, allowed = COMMANDS[path]
    await sign_in(http, name)
    answer = await command(http, path)
    if role in allowed:
        assert answer.status_code == 200
        assert shop.desk.calls == [f"{call} {name}"]
    else:
        assert (answer.status_code, answer.json()["reason"]) == (403, "not-allowed")
        assert shop.desk.calls == []
    assert (path in (await http.get("/console")).text) == (role in allowed and "incidents" not in path)


async def test_a_command_without_sign_in_or_without_the_token_does_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    assert (await command(http, "/console/incidents/i2/resolve")).status_code == 401
    await sign_in(http, "mina")
    refused = await http.post(
        "/console/incidents/i2/resolve", headers={"X-CSRF": "0" * 32, "Accept": "application/json"}
    )
    assert (refused.status_code, refused.json()["reason"]) == (403, "session-ended")
    assert shop.desk.calls == []


async def test_what_does_not_apply_is_refused_in_a_sentence(http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    answer = await command(http, "/console/incidents/i9/resolve")
    assert (answer.status_code, answer.json()["sentence"]) == (409, "There is no such incident.")
    assert (await command(http, "/console/carts/C_1/withdraw")).status_code == 422


async def test_resolving_by_the_pages_own_form_returns_to_the_console(http: httpx.AsyncClient) -> None:
    await sign_in(http, "adam")
    form = {"_csrf": await csrf_of(http, "/console")}
    answer = await http.post("/console/incidents/i2/resolve", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console")
    assert "No open alarms." in (await http.get("/console")).text


async def test_a_stopped_shopper_is_let_through_by_the_pages_own_form(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "adam")
    page = (await http.get("/console")).text
    assert page.index("Goods checked: let through") < page.index("Dismiss: shopper scans again")
    form = {"_csrf": await csrf_of(http, "/console")}
    answer = await http.post("/console/incidents/i2/let-through", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console")
    assert shop.desk.calls == ["let-through i2 adam"]
    page = (await http.get("/console")).text
    assert "No open alarms." in page
    assert "let through by adam" in page


async def test_who_no_longer_waits_at_the_lane_is_to_scan_again(shop: Shop, http: httpx.AsyncClient) -> None:
    gone = tuple(replace(each, may_let_through=False) for each in shop.desk.board.incidents)
    shop.desk.board = replace(shop.desk.board, incidents=gone)
    await sign_in(http, "adam")
    page = (await http.get("/console")).text
    assert "let through" not in page
    assert "Resolve<" in page
    refused = await http.post("/console/incidents/i2/let-through", data={"_csrf": await csrf_of(http, "/console")})
    assert refused.status_code == 409
    assert SCAN_AGAIN in refused.text
    answer = await command(http, "/console/incidents/i2/let-through")
    assert (answer.status_code, answer.json()) == (409, {"reason": "not-at-lane", "sentence": SCAN_AGAIN})


# ── the staff file ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_staff_file_keeps_hashes_for_its_owner_only(tmp_path: Path) -> None:
    staff_file(tmp_path)
    path = tmp_path / "staff.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert OPEN_SESAME not in text
    assert text.count("$argon2id$") == 3
    assert {each["name"]: each["role"] for each in json.loads(text)["staff"]}["adam"] == "attendant"


def test_a_new_password_replaces_the_old_one(tmp_path: Path) -> None:
    staff = staff_file(tmp_path)
    staff.add("mina", Role.VIEWER, "another password")
    assert staff.verify("mina", OPEN_SESAME) is None
    member = staff.verify("mina", "another password")
    assert member is not None
    assert member.role is Role.VIEWER


@pytest.mark.parametrize(
    ("name", "password"), [("Mina", OPEN_SESAME), ("", OPEN_SESAME), ("a b", OPEN_SESAME), ("mina", "short")]
)
def test_unusable_names_and_passwords_are_refused(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(StaffFileError):
        StaffFile(tmp_path / "staff.json", quick_hasher()).add(name, Role.VIEWER, password)


def test_a_missing_staff_file_lets_nobody_in(tmp_path: Path) -> None:
    assert StaffFile(tmp_path / "none.json", quick_hasher()).verify("mina", OPEN_SESAME) is None


@pytest.mark.parametrize("text", ["", "[]", '{"staff": [{"name": "x"}]}', '{"staff": [], "more": 1}'])
def test_a_damaged_staff_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "staff.json"
    path.write_text(text)
    with pytest.raises(StaffFileError, match=r"staff\.json"):
        StaffFile(path, quick_hasher()).everyone()


# ── records of carts ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["carts/c1", "incidents/i2"])
async def test_who_may_not_see_records_neither_asks_nor_looks_and_sees_no_button(
    shop: Shop, http: httpx.AsyncClient, place: str
) -> None:
    await sign_in(http, "vera")
    assert "for its record" not in (await http.get("/console")).text
    refused = await command(http, f"/console/{place}/record")
    assert (refused.status_code, refused.json()["reason"]) == (403, "not-allowed")
    assert shop.desk.calls == []
    record = await shop.desk.ask_cart(CartId("c1"), StaffId("adam"))
    shop.desk.bodies[record] = (b"picture", b"file")
    for part in ("", "/stream", "/picture", "/file"):
        answer = await http.get(f"/console/records/{record}{part}")
        assert answer.status_code == 403
        assert b"file" not in answer.content


async def test_a_record_is_nobodys_who_is_not_signed_in(shop: Shop, http: httpx.AsyncClient) -> None:
    record = await shop.desk.ask_cart(CartId("c1"), StaffId("adam"))
    for part in ("", "/stream", "/picture", "/file"):
        assert (await http.get(f"/console/records/{record}{part}")).status_code == 401


async def test_an_attendant_asks_and_is_led_to_the_record(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "adam")
    form = {"_csrf": await csrf_of(http, "/console")}
    answer = await http.post("/console/incidents/i2/record", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/records/r1")
    page = (await http.get("/console/records/r1")).text
    assert "The cart is preparing its record" in page
    assert (await http.get("/console/records/r1/picture")).status_code == 404
    shop.desk.bodies[RecordId("r1")] = (b"\x89PNG", b"file")
    shop.desk.change_record(RecordId("r1"), stage="kept", file_size=1_400_000, has_picture=True)
    assert "1.4 MB" in (await http.get("/console/records/r1")).text
    picture, file = await http.get("/console/records/r1/picture"), await http.get("/console/records/r1/file")
    assert (picture.headers["Content-Type"], picture.content) == ("image/png", b"\x89PNG")
    assert file.headers["Content-Disposition"] == 'attachment; filename="c1-r1.cartset"'
    assert picture.headers["Cache-Control"] == file.headers["Cache-Control"] == "no-store"
    assert (await http.get("/console/records/gone")).status_code == 404
