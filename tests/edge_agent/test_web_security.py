"""What a public page must withstand: other sites, haste, plain wires, oversized and garbled bodies."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cart_protocol.host.configuration import ConfigurationError
from edge_agent.config import Web
from edge_agent.web.app import serve
from edge_agent.web.rate_limit import TokenBuckets
from tests.web_desk import CODE, Shop, Shopper, TestClock


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
async def shopper(shop: Shop) -> AsyncIterator[Shopper]:
    async with shop.phone() as http:
        yield Shopper(http)


# ── other sites ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_command_without_this_sessions_token_is_refused(shop: Shop, shopper: Shopper) -> None:
    await shopper.open()
    for token in ("", "0" * 32, "ü"):
        answer = await shopper.http.post(
            "/phone/bind", data={"code": CODE, "_csrf": token}, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.json()["reason"]) == (403, "session-ended")
    assert shop.desk.calls == []


async def test_the_token_of_another_session_is_worth_nothing(shop: Shop, shopper: Shopper) -> None:
    await shopper.open()
    async with shop.phone() as http:
        other = Shopper(http)
        await other.open()
        other.csrf = shopper.csrf
        assert (await other.post("/phone/bind", code=CODE)).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://shop.test", "http://shop.test.evil.example"]
)
async def test_a_foreign_origin_is_refused_even_with_the_token(shop: Shop, shopper: Shopper, origin: str) -> None:
    await shopper.open()
    shopper.http.headers["Origin"] = origin
    answer = await shopper.post("/phone/bind", code=CODE)
    assert (answer.status_code, answer.json()["reason"]) == (403, "foreign-origin")
    assert shop.desk.calls == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_the_browser_calls_cross_site_is_refused(shopper: Shopper, site: str) -> None:
    await shopper.open()
    shopper.http.headers["Sec-Fetch-Site"] = site
    assert (await shopper.post("/phone/bind", code=CODE)).status_code == 403


async def test_our_own_origin_and_the_public_address_are_welcome(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Web(public_address="https://market.example"))
    for origin in ("https://market.example", "https://shop.test"):
        shop.desk.phones.clear()
        async with shop.phone(Origin=origin) as http:
            shopper = Shopper(http)
            await shopper.open()
            assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200


# ── cookies and headers ──────────────────────────────────────────────────────────────────────────────────────────


async def test_on_loopback_the_cookie_is_httponly_lax_and_not_secure(shopper: Shopper) -> None:
    cookie = (await shopper.http.get("/")).headers["set-cookie"].lower()
    assert cookie.startswith("cartwright-phone=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie


async def test_under_https_the_cookie_belongs_to_this_host_alone(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Web(public_address="https://market.example"))
    async with shop.phone() as http:
        answer = await http.get("/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("__host-cartwright-phone=")
    assert "secure" in cookie
    assert "domain" not in cookie
    assert answer.headers["strict-transport-security"]


async def test_a_cookie_of_another_shape_is_replaced(shopper: Shopper) -> None:
    shopper.http.cookies.set("cartwright-phone", "../../etc")
    assert "set-cookie" in (await shopper.http.get("/")).headers


@pytest.mark.parametrize(
    "path", ["/", "/phone", "/api/phone", "/console/sign-in", "/nowhere", "/static/cartwright.css"]
)
async def test_every_answer_carries_the_headers(shopper: Shopper, path: str) -> None:
    headers = (await shopper.http.get(path)).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("public, max-age=31536000, immutable" if "static" in path else "no-store")


async def test_pages_hold_no_inline_script_or_style_and_no_foreign_address(shopper: Shopper) -> None:
    for path in ("/", f"/phone?code={CODE}", "/console/sign-in"):
        page = (await shopper.http.get(path)).text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page
        assert "<script>" not in page
        assert "//" not in page.replace("http://www.w3.org/2000/svg", "")


async def test_only_our_own_files_are_served(shopper: Shopper) -> None:
    assert (await shopper.http.get("/static/cartwright.js")).headers["content-type"].startswith("text/javascript")
    for name in ("..%2Fapp.py", "app.py", ".", "%00"):
        assert (await shopper.http.get(f"/static/{name}")).status_code == 404


async def test_the_api_description_is_offered_without_foreign_assets(shopper: Shopper) -> None:
    answer = await shopper.http.get("/api/openapi.json")
    assert set(answer.json()["paths"]) == {"/api/phone", "/api/console", "/acquirer/notice"}


# ── haste ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_refills_with_time_and_says_how_long_to_wait() -> None:
    clock = TestClock()
    buckets = TokenBuckets(clock, burst=2, per_s=0.5)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 2.0]
    assert buckets.take("b") == 0
    clock.sleep(2)
    assert buckets.take("a") == 0


def test_buckets_forget_the_longest_unused_first() -> None:
    buckets = TokenBuckets(TestClock(), burst=1, per_s=0.01, most_keys=2)
    for key in ("a", "b", "c"):
        assert buckets.take(key) == 0
    assert buckets.take("c") > 0
    assert buckets.take("a") == 0


async def test_guessing_codes_is_rationed_and_says_until_when(shop: Shop, shopper: Shopper) -> None:
    await shopper.open()
    answers = [await shopper.post("/phone/bind", code=f"c1-00000{digit}") for digit in range(10)]
    assert {answer.json()["reason"] for answer in answers} == {"unknown-code"}
    shop.clock.sleep(1)
    refused = await shopper.post("/phone/bind", code=CODE)
    assert (refused.status_code, refused.json()["reason"]) == (429, "too-fast")
    assert refused.json()["sentence"].startswith("That was too fast.")
    shop.clock.sleep(int(refused.headers["Retry-After"]))
    assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200


async def test_a_session_cannot_hammer_commands(shopper: Shopper) -> None:
    await shopper.open()
    answers = [await shopper.post("/phone/checkout") for _ in range(21)]
    assert [answer.status_code for answer in answers] == [409] * 20 + [429]


async def test_a_client_cannot_hammer_pages(shopper: Shopper) -> None:
    answers = [await shopper.http.get("/static/mark.svg") for _ in range(301)]
    assert [answer.status_code for answer in answers] == [200] * 300 + [429]
    assert int(answers[-1].headers["Retry-After"]) == 1


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_flat_json_body_does_what_the_form_does(shopper: Shopper) -> None:
    await shopper.open()
    headers = {"X-CSRF": shopper.csrf, "Accept": "application/json"}
    assert (await shopper.http.post("/phone/bind", json={"code": CODE}, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"{", "application/json", 422),
        (b"[1]", "application/json", 422),
        (b'{"code": 7}', "application/json", 422),
        (b"code=\xff\xfe", "application/x-www-form-urlencoded", 422),
        (b"&".join(b"a=1" for _ in range(40)), "application/x-www-form-urlencoded", 422),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 415),
    ],
)
async def test_bodies_that_are_no_form_of_ours_get_a_clear_answer(
    shop: Shop, shopper: Shopper, body: bytes, kind: str, status: int
) -> None:
    await shopper.open()
    headers = {"X-CSRF": shopper.csrf, "Accept": "application/json", "Content-Type": kind}
    answer = await shopper.http.post("/phone/bind", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["sentence"]
    assert shop.desk.calls == []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/phone", 405), ("GET", "/phone/pay", 405)]
)
async def test_wrong_addresses_get_a_page_of_ours(shopper: Shopper, method: str, path: str, status: int) -> None:
    page = await shopper.http.request(method, path)
    assert page.status_code == status
    assert "Back to the page" in page.text


async def test_a_fault_of_ours_shows_no_insides(shop: Shop, shopper: Shopper) -> None:
    def broken(_: object) -> object:
        raise RuntimeError("secret detail")

    shop.desk.phone = broken  # type: ignore[method-assign,assignment]
    page = await shopper.http.get("/phone")
    assert page.status_code == 500
    assert "secret detail" not in page.text


# ── wires ────────────────────────────────────────────────────────────────────────────────────────────────────────


EVERYWHERE = "0.0.0.0"  # noqa: S104 - refusing it is the point


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.7", "shop.example"])
async def test_plain_http_is_served_on_loopback_only(shop: Shop, host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"web\.certificate"):
        await serve(shop.app, Web(host=host, port=0))


async def test_a_taken_port_is_named(shop: Shop) -> None:
    async with shop.served() as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
            await serve(shop.app, Web(port=port))


async def test_an_unusable_certificate_is_named(shop: Shop, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"broken\.pem"):
        await serve(shop.app, Web(port=0, certificate=broken, key=broken))


async def test_with_a_certificate_the_pages_come_over_tls_with_a_host_cookie(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    shop = Shop(tmp_path, Web(port=0, certificate=certificate, key=key))
    trust = ssl.create_default_context(cafile=str(certificate))
    async with shop.served() as address, httpx.AsyncClient(base_url=address, verify=trust) as http:
        assert address.startswith("https://")
        shopper = Shopper(http)
        await shopper.open()
        assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200
        assert "__Host-cartwright-phone" in http.cookies


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begins = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "web.pem", folder / "web.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
