"""TLS as the configuration has it: contexts made of certificate files, for ESMEs and for operators.

Files are read when a context is made: at the start, at each reload (so that renewed certificates are in force for the
connections that follow), and by the check of a configuration. TlsError says which key is wrong and what to do; nothing
of a private key is ever in its text.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from smsc.config.smpp_schema import TlsListenConfig
from smsc.config.upstream_schema import UpstreamConfig

C = TypeVar('C')
LARGEST_FILE_OCTETS = 8 << 20
TLS_FILES = ('tls_ca', 'tls_certificate', 'tls_key')  # of an upstream
VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}


class TlsError(Exception):
    """A context cannot be made. `key` is that of the file, without the section it is in."""

    def __init__(self, key: str, message: str, remedy: str) -> None:
        super().__init__(key, message, remedy)
        self.key = key
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f'{self.key}: {self.message}; {self.remedy}'


class TlsContexts(msgspec.Struct, frozen=True):
    """What connections are made with from now on: those that ESMEs open, and those to upstreams, by name."""

    listener: ssl.SSLContext | None = None
    upstreams: Mapping[str, ssl.SSLContext] = {}


def contexts_of(listener: TlsListenConfig | None, upstreams: Mapping[str, UpstreamConfig]) -> TlsContexts:
    """Return the contexts of a configuration, having read all its files. Raises TlsError with the whole key."""
    made: dict[tuple[object, ...], ssl.SSLContext] = {}
    found: dict[str, ssl.SSLContext] = {}
    for name, config in upstreams.items():
        if config.tls:
            alike = files_of(config)
            if alike not in made:  # reading the system's authorities takes tens of milliseconds
                made[alike] = _within(f'upstreams.{name}', upstream_context, config)
            found[name] = made[alike]
    return TlsContexts(_within('smpp.tls', listener_context, listener) if listener else None, found)


def files_of(config: UpstreamConfig) -> tuple[object, ...]:
    """Return what the context of an upstream depends on."""
    return (config.tls_verify, *(getattr(config, key) for key in TLS_FILES))


def _within(section: str, make: Callable[[C], ssl.SSLContext], config: C) -> ssl.SSLContext:
    """Return a context; the keys of its errors begin with the section."""
    try:
        return make(config)
    except TlsError as error:
        raise TlsError(f'{section}.{error.key}', error.message, error.remedy) from error


def listener_context(config: TlsListenConfig) -> ssl.SSLContext:
    """Return what ESMEs are shown, and asked for. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[config.minimum]
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0  # binds last: nothing is resumed, and a certificate is looked at each time
    _load_chain(context, 'certificate', config.certificate, 'key', config.key)
    if config.client_ca is not None:
        _load_authorities(context, 'client_ca', config.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def upstream_context(config: UpstreamConfig) -> ssl.SSLContext:
    """Return what an operator is shown, and how its own certificate is looked at. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not config.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.tls_ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if config.tls_ca is not None:
        _load_authorities(context, 'tls_ca', config.tls_ca)
    if config.tls_certificate is not None and config.tls_key is not None:
        _load_chain(context, 'tls_certificate', config.tls_certificate, 'tls_key', config.tls_key)
    return context


def _load_authorities(context: ssl.SSLContext, key: str, path: str) -> None:
    _read(key, path)
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise TlsError(key, f'{path} holds no certificates in PEM: {_reason(error)}', _PEM) from error


def _load_chain(context: ssl.SSLContext, certificate_key: str, certificate: str, key_key: str, key: str) -> None:
    """Load a certificate chain and its private key, which must be that of the first certificate."""
    if '-----BEGIN CERTIFICATE-----' not in _read(certificate_key, certificate):
        raise TlsError(certificate_key, f'{certificate} holds no certificate in PEM', _PEM)
    text = _read(key_key, key)
    if 'PRIVATE KEY-----' not in text:
        raise TlsError(key_key, f'{key} holds no private key in PEM', 'name the file with the private key')
    if 'ENCRYPTED' in text:
        raise TlsError(key_key, f'the private key in {key} is encrypted', 'decrypt it: openssl pkey -in ... -out ...')
    try:
        context.load_cert_chain(certificate, key, password=lambda: b'')  # never asks at a terminal
    except ssl.SSLError as error:
        raise _chain_error(error, certificate_key, certificate, key_key, key) from error
    except OSError as error:
        raise TlsError(certificate_key, f'cannot read {certificate} or {key}: {error.strerror}', _READABLE) from error


def _chain_error(error: ssl.SSLError, certificate_key: str, certificate: str, key_key: str, key: str) -> TlsError:
    if error.reason == 'KEY_VALUES_MISMATCH':
        return TlsError(key_key, f'{key} is not the private key of {certificate}', 'name the two that belong together')
    return TlsError(certificate_key, f'{certificate} and {key} cannot be used: {_reason(error)}', _PEM)


_PEM = 'name a file in PEM (-----BEGIN CERTIFICATE-----)'
_READABLE = 'check the name and who may read it'


def _read(key: str, path: str) -> str:
    """Return what a PEM file holds; it is small, and is a file."""
    try:
        if not Path(path).is_file():
            reason = 'it is no file' if Path(path).exists() else 'there is no such file'
            raise TlsError(key, f'cannot read {path}: {reason}', _READABLE)
        with Path(path).open('rb') as file:
            octets = file.read(LARGEST_FILE_OCTETS + 1)
    except OSError as error:
        raise TlsError(key, f'cannot read {path}: {error.strerror}', _READABLE) from error
    if len(octets) > LARGEST_FILE_OCTETS:
        raise TlsError(key, f'{path} is larger than {LARGEST_FILE_OCTETS >> 20} MB', 'name a file of certificates')
    return octets.decode('latin-1')


def _reason(error: Exception) -> str:
    return (getattr(error, 'reason', None) or str(error)).lower().replace('_', ' ')
