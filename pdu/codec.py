"""Octets to PDUs and PDUs to octets, for every command of `pdus`.

Decoding takes exactly one PDU, never reads past its command_length and raises nothing but PduError, whatever the
octets. A sequence_number is taken and written as it is. Callers that are hot look the function of a command up once in
`decoders` or `encoders` and call it themselves.
"""

from pdu.generator import HEADER, HEADER_OCTETS, Decoder, Encoder, generate_decoder, generate_encoder
from pdu.pdus import CLASSES, Pdu
from pdu.status import CommandStatus, PduError, status_name

__all__ = ['HEADER', 'HEADER_OCTETS', 'Decoder', 'Encoder', 'PduError', 'decode', 'decoders', 'encode', 'encoders']

decoders: dict[int, Decoder] = {command_id: generate_decoder(cls) for command_id, cls in CLASSES.items()}
"""By command_id: (octets, start of the body, end, command_status, sequence_number) -> PDU; `octets` has the header."""

encoders: dict[type[Pdu], Encoder] = {cls: generate_encoder(cls) for cls in CLASSES.values()}
"""By class: (pdu, error_body=False) -> octets with header."""


def decode(octets: bytes, start: int = 0) -> Pdu:
    """Decodes the PDU that begins at `start`; octets after its command_length are not looked at.

    Raises PduError: ESME_RINVCMDLEN when its command_length is below 16 or reaches past the octets, ESME_RINVCMDID for
    a command without a class, or what is wrong with its parameters.
    """
    if len(octets) - start < HEADER_OCTETS:
        raise PduError(CommandStatus.ESME_RINVCMDLEN, 'fewer octets than a header has')
    command_length, command_id, command_status, sequence_number = HEADER.unpack_from(octets, start)
    end = start + command_length
    if command_length < HEADER_OCTETS or end > len(octets):
        raise PduError(CommandStatus.ESME_RINVCMDLEN, f'command_length {command_length} does not fit the octets')
    decoder = decoders.get(command_id)
    if decoder is None:
        raise PduError(CommandStatus.ESME_RINVCMDID, f'unknown command_id 0x{command_id:08x}')
    return decoder(octets, start + HEADER_OCTETS, end, command_status, sequence_number)


def encode(pdu: Pdu, error_body: bool = False) -> bytes:
    """Encodes a PDU with its header; command_length is computed.

    A response with an error status, whose parameters are all empty, is written without body (3.4 sections 4.1.2 and
    4.4.2); `error_body` writes the empty body all the same, for peers that insist on it. deliver_sm_resp and
    data_sm_resp always carry their message_id, as one NUL when it is empty.

    Raises PduError when a value does not fit its parameter, and TypeError for Malformed and UnknownPdu.
    """
    encoder = encoders.get(type(pdu))
    if encoder is None:
        raise TypeError(f'{type(pdu).__name__} has no wire form ({status_name(pdu.command_status)})')
    return encoder(pdu, error_body)
