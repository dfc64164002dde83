"""The page of goods by sight: what it shows, who may do what, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from edge_agent.core.staff import Role
from tests.edge_agent.test_web_console import csrf_of, sign_in
from tests.web_desk import Shop

PAGE = "/console/sight"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with shop.phone() as client:
        yield client


async def command(http: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    csrf = (await http.get("/api/console")).headers.get("X-CSRF", "")
    return await http.post(path, data=form, headers={"X-CSRF": csrf, "Accept": "application/json"})


async def test_without_sign_in_nothing_is_shown_and_nothing_done(shop: Shop, http: httpx.AsyncClient) -> None:
    page = await http.get(PAGE)
    assert (page.status_code, page.headers["Location"]) == (303, "/console/sign-in")
    assert (await http.get(f"{PAGE}/stream")).status_code == 401
    assert (await command(http, f"{PAGE}/lessons/l2/use")).status_code == 401
    assert shop.desk.calls == []


async def test_the_page_says_what_carts_know_what_they_are_shown_and_what_went_before(http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    page = (await http.get(PAGE)).text
    for shown in (
        "Figs, loose",
        "3 of 5",
        "Turn it, or show another one.",
        "It can be taken for <strong>Royal Gala apples, Pink Lady apples</strong>",
        "Royal Gala apples: 63 % alike",
        "4 of 5 shots told from all others",
        "Its shots do not look like one another",
        "A shopper took the cart.",
        "1 of 2 connected carts have it",
        "Not yet with this version: c4.",
        "Taught from 5 shots.",
        "Shipped as Royal-Gala.",
        "Quinces taught",
        "Strawberries, loose retired for the season",
        "As carts were shipped",
    ):
        assert shown in page, shown


COMMANDS = {
    "lessons/l1/stop": ("stop l1", {Role.ATTENDANT, Role.MANAGER}),
    "lessons/l2/set-aside": ("set aside l2", {Role.ATTENDANT, Role.MANAGER}),
    "lessons/l2/use": ("use l2", {Role.MANAGER}),
    "products/plu%3A00073/retire": ("retire plu:00073", {Role.MANAGER}),
    "products/plu%3A00073/forget": ("forget plu:00073", {Role.MANAGER}),
    "products/plu%3A00074/bring-back": ("bring back plu:00074", {Role.MANAGER}),
    "versions/1/restore": ("roll back 1", {Role.MANAGER}),
}


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize(("name", "role"), [("vera", Role.VIEWER), ("adam", Role.ATTENDANT), ("mina", Role.MANAGER)])
async def test_the_server_lets_each_role_do_its_duties_and_the_page_offers_no_more(
    shop: Shop, http: httpx.AsyncClient, path: str, name: str, role: Role
) -> None:
    call, allowed = COMMANDS[path]
    await sign_in(http, name)
    assert (f"{PAGE}/{path}" in (await http.get(PAGE)).text) == (role in allowed)
    answer = await command(http, f"{PAGE}/{path}")
    if role in allowed:
        assert answer.status_code == 200
        assert [said.removesuffix(f" {name}") for said in shop.desk.calls] == [call]
    else:
        assert (answer.status_code, answer.json()["reason"]) == (403, "not-allowed")
        assert shop.desk.calls == []


async def test_scattered_shots_cannot_be_used_from_the_page(http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    page = (await http.get(PAGE)).text
    assert f"{PAGE}/lessons/l2/use" in page
    assert f"{PAGE}/lessons/l3/use" not in page


async def test_an_attendant_begins_by_the_pages_own_form_and_comes_back_to_it(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    await sign_in(http, "adam")
    form = {"_csrf": await csrf_of(http, PAGE), "product": "plu:00071", "cart": "c2", "shots": "5"}
    answer = await http.post(f"{PAGE}/teach", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert shop.desk.calls == ["teach c2 plu:00071 5 adam"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"product": "plu:00071", "cart": "c9", "shots": "5"}, 409),
        ({"product": "plu:00071", "cart": "C 9", "shots": "5"}, 422),
        ({"product": "plu:00071", "cart": "c2", "shots": "many"}, 422),
        ({"product": "plu:00071", "cart": "c2"}, 422),
        ({"product": "", "cart": "c2", "shots": "5"}, 422),
    ],
)
async def test_a_form_that_cannot_be_used_is_refused_in_a_sentence(
    shop: Shop, http: httpx.AsyncClient, form: dict[str, str], status: int
) -> None:
    await sign_in(http, "adam")
    answer = await command(http, f"{PAGE}/teach", **form)
    assert answer.status_code == status
    assert answer.json()["sentence"]
    assert shop.desk.calls == []


async def test_a_command_without_the_pages_token_does_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    refused = await http.post(f"{PAGE}/versions/1/restore", headers={"X-CSRF": "0" * 32, "Accept": "application/json"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "session-ended")
    assert shop.desk.calls == []


async def test_with_several_boxes_the_page_offers_nothing_to_change(shop: Shop, http: httpx.AsyncClient) -> None:
    await sign_in(http, "mina")
    shop.desk.sight.board = replace(shop.desk.sight.board, several_boxes=True)
    page = (await http.get(PAGE)).text
    assert "several boxes" in page
    for offered in ("/teach", "/retire", "/restore"):
        assert offered not in page
