"""The store's certificate authority: what it issues, to whom, and how it takes it back."""

import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.devices.authority import Authority, AuthorityError, Kind

NOON_MS = 1_767_268_800_000
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


class StoppedClock:
    """It is always noon of 1 January 2026."""

    def monotonic_us(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return NOON_MS

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return "boot"


@pytest.fixture
def shop(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", "shop-1", StoppedClock())


def certificate_in(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def revoked_serials(shop: Authority) -> set[int]:
    revoked = x509.load_pem_x509_crl(shop.revocation_list.read_bytes())
    authority = certificate_in(shop.certificate)
    public = authority.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert revoked.is_signature_valid(public)
    return {entry.serial_number for entry in revoked}


def test_a_carts_certificate_bears_its_name_and_is_signed_by_the_authority(shop: Authority) -> None:
    held = shop.issue("c1", "cart")
    certificate, authority = certificate_in(held.certificate), certificate_in(held.authority)
    certificate.verify_directly_issued_by(authority)
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["c1"]
    key = serialization.load_pem_private_key(held.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == certificate.public_key()


def test_certificates_hold_from_the_day_before_and_for_their_time(shop: Authority) -> None:
    cart = certificate_in(shop.issue("c1", "cart").certificate)
    web = certificate_in(shop.issue("shop-web", "web", ["shop.example"]).certificate)
    authority = certificate_in(shop.certificate)
    day = dt.timedelta(days=1)
    assert cart.not_valid_before_utc == web.not_valid_before_utc == NOON - day
    assert cart.not_valid_after_utc == NOON + 5 * 365 * day
    assert web.not_valid_after_utc == NOON + 397 * day
    assert authority.not_valid_after_utc == NOON + 20 * 365 * day


@pytest.mark.parametrize(
    ("name", "kind", "purpose"),
    [
        ("c1", "cart", ExtendedKeyUsageOID.CLIENT_AUTH),
        ("agent", "agent", ExtendedKeyUsageOID.CLIENT_AUTH),
        ("broker", "broker", ExtendedKeyUsageOID.SERVER_AUTH),
        ("shop-web", "web", ExtendedKeyUsageOID.SERVER_AUTH),
    ],
)
def test_a_certificate_serves_one_purpose_and_issues_no_others(
    shop: Authority, name: str, kind: Kind, purpose: x509.ObjectIdentifier
) -> None:
    certificate = certificate_in(shop.issue(name, kind, ["localhost"]).certificate)
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_a_server_is_known_by_names_and_addresses(shop: Authority) -> None:
    certificate = certificate_in(shop.issue("broker", "broker", ["edge.shop.example", "127.0.0.1", "::1"]).certificate)
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert known.get_values_for_type(x509.DNSName) == ["edge.shop.example"]
    assert [str(address) for address in known.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_only_the_owner_reads_keys_and_everybody_certificates(shop: Authority) -> None:
    held = shop.issue("c1", "cart")
    for secret in (held.key, shop.folder / "authority.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    for public in (held.certificate, shop.certificate, shop.revocation_list):
        assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert not list(shop.folder.rglob("*.draft"))


def test_revoking_takes_back_all_certificates_of_a_name_and_no_other(shop: Authority) -> None:
    first = certificate_in(shop.issue("c1", "cart").certificate).serial_number
    second = certificate_in(shop.issue("c1", "cart").certificate).serial_number
    shop.issue("c2", "cart")
    assert revoked_serials(shop) == set()
    assert shop.revoke("c1") == 2
    assert revoked_serials(shop) == {first, second}
    assert shop.revoke("c1") == 0, "a second time changes nothing"
    again = certificate_in(shop.issue("c1", "cart").certificate).serial_number
    assert again not in revoked_serials(shop)


def test_a_reopened_authority_goes_on_where_it_stopped(shop: Authority) -> None:
    serial = certificate_in(shop.issue("c1", "cart").certificate).serial_number
    reopened = Authority.open(shop.folder, StoppedClock())
    assert reopened.revoke("c1") == 1
    assert revoked_serials(reopened) == {serial}
    certificate_in(reopened.issue("c2", "cart").certificate).verify_directly_issued_by(certificate_in(shop.certificate))


def test_the_revocation_list_never_runs_out_before_the_authority(shop: Authority) -> None:
    revoked = x509.load_pem_x509_crl(shop.revocation_list.read_bytes())
    assert revoked.next_update_utc == certificate_in(shop.certificate).not_valid_after_utc


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("agent", "cart", "'agent' is an agent's name"),
        ("boss", "agent", "an agent is called 'agent'"),
        ("agent-2", "cart", "'agent-2' is an agent's name"),
        ("C1", "cart", "common name 'C1' is not 1 to 32 lower-case"),
        ("c1/up", "cart", "common name 'c1/up'"),
        ("+", "cart", "common name"),
        ("../c1", "cart", "common name"),
        ("", "cart", "common name"),
        ("broker", "broker", "name at least one"),
        ("shop-web", "web", "name at least one"),
    ],
)
def test_a_name_that_would_give_foreign_rights_is_refused(shop: Authority, name: str, kind: Kind, said: str) -> None:
    with pytest.raises(AuthorityError, match=said.replace("+", r"\+")):
        shop.issue(name, kind)


def test_revoking_a_name_nobody_bears_is_a_mistake(shop: Authority) -> None:
    with pytest.raises(AuthorityError, match="ever issued to 'c9'"):
        shop.revoke("c9")


def test_an_authority_is_never_overwritten(shop: Authority) -> None:
    with pytest.raises(AuthorityError, match="has an authority already"):
        Authority.create(shop.folder, "shop-1")


def test_a_store_without_a_proper_name_gets_no_authority(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="store id 'Shop One'"):
        Authority.create(tmp_path, "Shop One")


def test_a_missing_or_damaged_authority_says_so(shop: Authority, tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="no authority here"):
        Authority.open(tmp_path / "nowhere")
    other = Authority.create(tmp_path / "other", "shop-2")
    (shop.folder / "authority.key").write_bytes((other.folder / "authority.key").read_bytes())
    with pytest.raises(AuthorityError, match="not the key of"):
        Authority.open(shop.folder)
    (shop.folder / "authority.pem").write_text("torn")
    with pytest.raises(AuthorityError, match="damaged"):
        Authority.open(shop.folder)
    (other.folder / "register.json").write_text("{")
    with pytest.raises(AuthorityError, match="nothing can be revoked"):
        Authority.open(other.folder)
