"""The store's own certificate authority: who may speak to the broker, and as whom.

One authority per store. Every cart, the agent and the broker hold a certificate of it (EC P-256, X.509 v3); a
certificate's common name is the name its holder has at the broker, so the broker's rights follow from it.

    FOLDER/authority.pem      the authority's certificate: what everybody trusts
    FOLDER/authority.key      its private key
    FOLDER/revoked.pem        the revocation list, read by the broker
    FOLDER/register.json      every certificate ever issued
    FOLDER/issued/NAME.pem    certificate, and NAME.key its private key
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cart_protocol.host.clock import Clock, HostClock
from cart_protocol.ids import InvalidIdError, cart_id, store_id
from edge_agent.devices.private_file import write_public, write_secret

Kind = Literal["cart", "agent", "broker", "web"]

AGENT = "agent"
"""The agent's name at the broker; no cart may bear it. Further agents of a store are called 'agent-…'."""
AUTHORITY_LIFE = dt.timedelta(days=20 * 365)
DEVICE_LIFE = dt.timedelta(days=5 * 365)
"""Carts, agent and broker: renewed at an inspection, with years to spare. A lost cart is revoked, not awaited."""
WEB_LIFE = dt.timedelta(days=397)
"""The most that browsers take (CA/Browser Forum Baseline Requirements, section 6.3.2)."""
BACKDATED = dt.timedelta(days=1)
"""A cart has no clock of its own and may be hours behind when it first connects."""

_REVOCATION_LIST_LIFE = AUTHORITY_LIFE
"""The broker reads the list from its own disk, so it is as fresh as the file; one that runs out would shut every cart
out (OpenSSL: "CRL has expired")."""


class AuthorityError(Exception):
    """The authority cannot do it; the text says why and what to do."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Where a holder's files are, all PEM."""

    common_name: str
    authority: Path
    certificate: Path
    key: Path


class _Issued(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One line of the register."""

    serial: str
    """Hexadecimal: JSON numbers end at 2**53."""
    common_name: str
    kind: Kind
    issued_ms: int
    revoked_ms: int | None = None


class Authority:
    """A store's authority in its folder. Make one with `create` or `open`."""

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock
    ) -> None:
        self.folder = folder
        self.certificate = folder / "authority.pem"
        self.revocation_list = folder / "revoked.pem"
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._register = _read_register(folder)

    @classmethod
    def create(cls, folder: Path, store: str, clock: Clock | None = None) -> Self:
        """Make the authority of a new store in `folder`, which is made if need be.

        Raises:
            AuthorityError: there is an authority already, or `store` is no store id.
        """
        clock = clock or HostClock()
        try:
            store_id(store)
        except InvalidIdError as error:
            raise AuthorityError(str(error)) from error
        if (folder / "authority.key").exists():
            raise AuthorityError(f"{folder}: has an authority already; open it, or name an empty folder")
        (folder / "issued").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(store, key, _time(clock))
        write_public(folder / "authority.pem", certificate.public_bytes(serialization.Encoding.PEM))
        write_secret(folder / "authority.key", _pem(key))
        authority = cls(folder, certificate, key, clock)
        authority._write_revocation_list()
        return authority

    @classmethod
    def open(cls, folder: Path, clock: Clock | None = None) -> Self:
        """Return the authority in `folder`.

        Raises:
            AuthorityError: there is none, or its files do not belong together.
        """
        try:
            certificate = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), password=None)
        except OSError as error:
            raise AuthorityError(
                f"{folder}: no authority here ({error.strerror}: {error.filename}); create one"
            ) from error
        except ValueError as error:
            raise AuthorityError(f"{folder}: authority.pem or authority.key is damaged ({error})") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError(
                f"{folder}: authority.key is not the key of authority.pem; restore both from one backup"
            )
        return cls(folder, certificate, key, clock or HostClock())

    def issue(self, common_name: str, kind: Kind, hosts: Sequence[str] = ()) -> Credentials:
        """Make a certificate and its key, and return where they are. `hosts` are the names and addresses of a server.

        Doing it again replaces the files; the older certificate stays good until it is revoked or runs out.

        Raises:
            AuthorityError: the name does not fit the kind, or a server has no hosts.
        """
        _check_name(common_name, kind, hosts)
        key = ec.generate_private_key(ec.SECP256R1())
        now = _time(self._clock)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + (WEB_LIFE if kind == "web" else DEVICE_LIFE))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_PURPOSE[kind]]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(_alternatives(hosts) or [x509.DNSName(common_name)]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_key(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._register.append(
            _Issued(
                serial=f"{certificate.serial_number:x}",
                common_name=common_name,
                kind=kind,
                issued_ms=self._clock.wall_ms(),
            )
        )
        # The register first: a certificate that is not in it could never be revoked.
        self._write_register()
        credentials = self.credentials(common_name)
        write_secret(credentials.key, _pem(key))
        write_public(credentials.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return credentials

    def agents(self) -> list[str]:
        """Return the names of all agents that hold a certificate which is not revoked, the oldest first."""
        good = (issued for issued in self._register if issued.kind == "agent" and issued.revoked_ms is None)
        return list(dict.fromkeys(issued.common_name for issued in good))

    def credentials(self, common_name: str) -> Credentials:
        """Return where the files of a holder are, or would be."""
        issued = self.folder / "issued"
        return Credentials(
            common_name=common_name,
            authority=self.certificate,
            certificate=issued / f"{common_name}.pem",
            key=issued / f"{common_name}.key",
        )

    def revoke(self, common_name: str) -> int:
        """Revoke every certificate of that name and return how many were still good.

        The broker knows when it has reread the list (SIGHUP); a connection that stands lasts until it ends.

        Raises:
            AuthorityError: no certificate was ever issued to that name.
        """
        held = [issued for issued in self._register if issued.common_name == common_name]
        if not held:
            raise AuthorityError(f"no certificate was ever issued to {common_name!r}")
        good = [issued for issued in held if issued.revoked_ms is None]
        for issued in good:
            issued.revoked_ms = self._clock.wall_ms()
        self._write_register()
        self._write_revocation_list()
        return len(good)

    def _write_revocation_list(self) -> None:
        now = _time(self._clock)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - BACKDATED)
            .next_update(now + _REVOCATION_LIST_LIFE)
            .add_extension(_authority_key(self._key), critical=False)
            .add_extension(x509.CRLNumber(len(self._register)), critical=False)
        )
        for issued in self._register:
            if issued.revoked_ms is not None:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(issued.serial, 16))
                    .revocation_date(_moment(issued.revoked_ms))
                    .build()
                )
        revoked = builder.sign(self._key, hashes.SHA256())
        write_public(self.revocation_list, revoked.public_bytes(serialization.Encoding.PEM))

    def _write_register(self) -> None:
        write_public(self.folder / "register.json", msgspec.json.format(msgspec.json.encode(self._register)))


_PURPOSE = {
    "cart": ExtendedKeyUsageOID.CLIENT_AUTH,
    "agent": ExtendedKeyUsageOID.CLIENT_AUTH,
    "broker": ExtendedKeyUsageOID.SERVER_AUTH,
    "web": ExtendedKeyUsageOID.SERVER_AUTH,
}


def _check_name(common_name: str, kind: Kind, hosts: Sequence[str]) -> None:
    is_agents = common_name == AGENT or common_name.startswith(f"{AGENT}-")
    if kind == "agent" and not is_agents:
        raise AuthorityError(f"an agent is called {AGENT!r} or '{AGENT}-…' at the broker, not {common_name!r}")
    if kind != "agent" and is_agents:
        raise AuthorityError(f"{common_name!r} is an agent's name at the broker; a {kind} must have another")
    try:
        cart_id(common_name)  # also for servers: the name is a file's, and carts' stand in topics
    except InvalidIdError as error:
        raise AuthorityError(str(error).replace("cart id", "common name")) from error
    if kind in ("broker", "web") and not hosts:
        raise AuthorityError(f"a {kind} is known by its host names or addresses; name at least one")


def _read_register(folder: Path) -> list[_Issued]:
    path = folder / "register.json"
    if not path.exists():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Issued])
    except msgspec.DecodeError as error:
        raise AuthorityError(f"{path}: damaged ({error}); restore it, without it nothing can be revoked") from error


def _self_signed(store: str, key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = _name(f"Cartwright authority of store {store}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _time(clock: Clock) -> dt.datetime:
    return _moment(clock.wall_ms())


def _moment(wall_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall_ms / 1000, tz=dt.UTC)
