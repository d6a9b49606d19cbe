"""Certificates made at run time, for tests and scenarios with TLS; needs the package `cryptography`.

    authority = Authority(folder)
    server = authority.issue('localhost')
    context.load_cert_chain(server.certificate, server.key)

Keys are written to files of the folder, which only their owner may read, and are never kept anywhere else. Nothing here
is for production: the keys are small and live as long as their folder.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Issued(msgspec.Struct, frozen=True):
    """Paths of a certificate and its private key, in PEM."""

    certificate: str
    key: str


class Authority:
    """A certificate authority of its own; `certificate` is the path of what peers are to trust."""

    def __init__(self, folder: Path, name: str = 'authority') -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._issued = 0
        folder.mkdir(parents=True, exist_ok=True)
        certificate = self._sign(self._name, self._key, [_constraints(True)], -_DAY, 30 * _DAY)
        self.certificate = str(self._write(f'{name}.pem', certificate))

    def issue(self, *hosts: str, begins: timedelta = -_DAY, ends: timedelta = 30 * _DAY) -> Issued:
        """Return a certificate for hosts, names or addresses, valid from `begins` to `ends` from now."""
        self._issued += 1
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = self._sign(_name(hosts[0]), key, [_constraints(False), (names, False)], begins, ends)
        stem = f'{self._stem}-{self._issued}'
        return Issued(str(self._write(f'{stem}.pem', certificate)), str(self._write_key(f'{stem}.key', key)))

    @property
    def _stem(self) -> str:
        return str(self._name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        begins: timedelta,
        ends: timedelta,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _constraints(is_authority: bool) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=is_authority, path_length=None), True


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
