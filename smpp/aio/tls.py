"""What the two sides of TLS have in common: the time a parting may take, and errors in words that say what to do."""

import ssl

SHUTDOWN_S = 2.0  # to close a connection whose peer does not answer close_notify

# X509_V_ERR_* of OpenSSL (verify_code), by what is to be done about it.
_EXPIRED, _NOT_YET_VALID = 10, 9
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})
_REFUSED_OURS = ('CERTIFICATE_REQUIRED', 'UNKNOWN_CA', 'BAD_CERTIFICATE', 'CERTIFICATE_EXPIRED', 'CERTIFICATE_UNKNOWN')


def reason_of(error: Exception) -> str:
    """Return what went wrong with a connection, and for TLS also what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'its certificate is not good: {error.verify_message.rstrip(".")}; {_remedy(error.verify_code)}'
    if isinstance(error, ssl.SSLError):
        return _protocol_error(error.reason or str(error))
    return str(error) or ('timed out' if isinstance(error, TimeoutError) else type(error).__name__)


def _remedy(verify_code: int) -> str:
    if verify_code in _UNKNOWN_AUTHORITY:
        return 'add the authority that issued it to the file of trusted ones (tls_ca, client_ca)'
    if verify_code in _OTHER_NAME:
        return 'connect by the name in it, or set tls_server_name to that'
    if verify_code == _EXPIRED:
        return 'its owner must renew it'
    if verify_code == _NOT_YET_VALID:
        return 'check the clock of this machine'
    return 'ask its owner for a good one'


def _protocol_error(reason: str) -> str:
    """Return a reason as OpenSSL names it, with what it usually comes from."""
    reason = reason.upper().replace(' ', '_')
    if any(name in reason for name in _REFUSED_OURS):
        return f'it refused our certificate ({reason}): check tls_certificate, and that it trusts who issued that'
    if 'WRONG_VERSION_NUMBER' in reason or 'HTTP_REQUEST' in reason:
        return f'it does not speak TLS on this port ({reason}): check the port'
    if 'PEER_DID_NOT_RETURN_A_CERTIFICATE' in reason:
        return 'it showed no certificate, which client_ca asks for'
    if 'UNSUPPORTED_PROTOCOL' in reason or 'PROTOCOL_VERSION' in reason:
        return f'no version of TLS that both take ({reason}): check `minimum`'
    return f'the TLS handshake failed: {reason}'
