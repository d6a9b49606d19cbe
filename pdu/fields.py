"""The kinds of mandatory parameters (SMPP 3.4 section 3.1), each able to decode and encode one value by itself.

`pdus` annotates its fields with these kinds; that is the whole description of a PDU's body. What stands here is exact
and explains every fault, but slow: `generator` fuses the kinds of a command into one function for good octets and
comes back here only when that function finds something wrong.

Every `decode` takes the octets, the position of the parameter and the end of the PDU, never looks past the end, and
returns the value with the position after it. Faults are PduErrors whose text names the parameter.
"""

from typing import Annotated, ClassVar

import msgspec

from pdu.status import CommandStatus, PduError


def cut_off(name: str) -> PduError:
    """The error of a PDU that ends within the parameter `name`."""
    return PduError(CommandStatus.ESME_RINVMSGLEN, f'the PDU ends within {name}')


class Integer(msgspec.Struct, frozen=True):
    """An unsigned integer of one octet or, in lists, of four; `size` in octets."""

    size: int = 1

    def decode(self, octets: bytes, position: int, end: int, name: str) -> tuple[int, int]:
        stop = position + self.size
        if stop > end:
            raise cut_off(name)
        return int.from_bytes(octets[position:stop], 'big'), stop

    def encode(self, value: int, name: str) -> bytes:
        if value < 0 or value >> (8 * self.size):
            raise PduError(CommandStatus.ESME_RINVPARLEN, f'{name} does not fit {self.size} octets')
        return value.to_bytes(self.size, 'big')


class COctetString(msgspec.Struct, frozen=True):
    """Octets up to a NUL. `size` counts the NUL, as the specification's tables do; values are kept without it.

    `error` is the command_status for a string that is too long: the parameter's own for addresses, times and ids, else
    ESME_RINVPARLEN (wire.md A9, C10).
    """

    size: int
    error: int = CommandStatus.ESME_RINVPARLEN

    def decode(self, octets: bytes, position: int, end: int, name: str) -> tuple[bytes, int]:
        stop = octets.find(0, position, min(position + self.size, end))
        if stop >= 0:
            return octets[position:stop], stop + 1
        if end - position < self.size:
            raise cut_off(name)
        raise self._too_long(name)

    def encode(self, value: bytes, name: str) -> bytes:
        if len(value) >= self.size:
            raise self._too_long(name)
        if 0 in value:
            raise PduError(self.error, f'{name} holds a NUL')
        return value + b'\0'

    def _too_long(self, name: str) -> PduError:
        return PduError(self.error, f'{name} is longer than {self.size - 1} octets')


class OctetString(msgspec.Struct, frozen=True):
    """Octets after an octet that counts them: short_message after sm_length. 3.4 stops at 254, 5.0 at 255."""

    def decode(self, octets: bytes, position: int, end: int, name: str) -> tuple[bytes, int]:
        if position >= end:
            raise cut_off(name)
        start = position + 1
        stop = start + octets[position]
        if stop > end:
            raise PduError(CommandStatus.ESME_RINVMSGLEN, f'the length of {name} runs past the end of the PDU')
        return octets[start:stop], stop

    def encode(self, value: bytes, name: str) -> bytes:
        if len(value) > 255:
            raise PduError(CommandStatus.ESME_RINVMSGLEN, f'{name} is longer than 255 octets')
        return b'%c%b' % (len(value), value)


_OCTET = Integer()
_ADDRESS = COctetString(21, CommandStatus.ESME_RINVDSTADR)
_DL_NAME = COctetString(21, CommandStatus.ESME_RINVDLNAME)
_STATUS = Integer(4)


class SmeAddress(msgspec.Struct, frozen=True, gc=False):
    """One destination of submit_multi with dest_flag 1 (3.4 section 4.5.1.1)."""

    flag: ClassVar[int] = 1
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b''


class DistributionList(msgspec.Struct, frozen=True, gc=False):
    """One destination of submit_multi with dest_flag 2 (3.4 section 4.5.1.1)."""

    flag: ClassVar[int] = 2
    dl_name: bytes = b''


class UnsuccessSme(msgspec.Struct, frozen=True, gc=False):
    """A destination that submit_multi did not reach (3.4 section 4.5.2.1); error_status_code is a command_status."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b''
    error_status_code: int = 0


DestAddress = SmeAddress | DistributionList


def _decode_sme(octets: bytes, position: int, end: int) -> tuple[int, int, bytes, int]:
    ton, position = _OCTET.decode(octets, position, end, 'dest_addr_ton')
    npi, position = _OCTET.decode(octets, position, end, 'dest_addr_npi')
    address, position = _ADDRESS.decode(octets, position, end, 'destination_addr')
    return ton, npi, address, position


def _encode_sme(sme: SmeAddress | UnsuccessSme) -> bytes:
    return b''.join(
        (
            _OCTET.encode(sme.dest_addr_ton, 'dest_addr_ton'),
            _OCTET.encode(sme.dest_addr_npi, 'dest_addr_npi'),
            _ADDRESS.encode(sme.destination_addr, 'destination_addr'),
        )
    )


class DestAddresses(msgspec.Struct, frozen=True):
    """number_of_dests and the destinations it counts."""

    def decode(self, octets: bytes, position: int, end: int, name: str) -> tuple[tuple[DestAddress, ...], int]:
        number, position = _OCTET.decode(octets, position, end, 'number_of_dests')
        found: list[DestAddress] = []
        for _ in range(number):
            flag, position = _OCTET.decode(octets, position, end, 'dest_flag')
            if flag == SmeAddress.flag:
                ton, npi, address, position = _decode_sme(octets, position, end)
                found.append(SmeAddress(ton, npi, address))
            elif flag == DistributionList.flag:
                dl_name, position = _DL_NAME.decode(octets, position, end, 'dl_name')
                found.append(DistributionList(dl_name))
            else:
                raise PduError(CommandStatus.ESME_RINVDESTFLAG, f'dest_flag {flag} in {name}')
        return tuple(found), position

    def encode(self, value: tuple[DestAddress, ...], name: str) -> bytes:
        if len(value) > 255:
            raise PduError(CommandStatus.ESME_RINVNUMDESTS, f'{name} counts more than 255')
        pieces = [b'%c' % len(value)]
        for destination in value:
            if isinstance(destination, SmeAddress):
                pieces.append(b'\x01' + _encode_sme(destination))
            else:
                pieces.append(b'\x02' + _DL_NAME.encode(destination.dl_name, 'dl_name'))
        return b''.join(pieces)


class UnsuccessSmes(msgspec.Struct, frozen=True):
    """no_unsuccess and the failed destinations it counts."""

    def decode(self, octets: bytes, position: int, end: int, name: str) -> tuple[tuple[UnsuccessSme, ...], int]:
        number, position = _OCTET.decode(octets, position, end, 'no_unsuccess')
        found: list[UnsuccessSme] = []
        for _ in range(number):
            ton, npi, address, position = _decode_sme(octets, position, end)
            status, position = _STATUS.decode(octets, position, end, 'error_status_code')
            found.append(UnsuccessSme(ton, npi, address, status))
        return tuple(found), position

    def encode(self, value: tuple[UnsuccessSme, ...], name: str) -> bytes:
        if len(value) > 255:
            raise PduError(CommandStatus.ESME_RINVNUMDESTS, f'{name} counts more than 255')
        smes = [_encode_sme(sme) + _STATUS.encode(sme.error_status_code, 'error_status_code') for sme in value]
        return b'%c%b' % (len(value), b''.join(smes))


Kind = Integer | COctetString | OctetString | DestAddresses | UnsuccessSmes

Octet = Annotated[int, Integer()]
SystemId = Annotated[bytes, COctetString(16, CommandStatus.ESME_RINVSYSID)]
# The specification's size is 9. Longer ones are common in the field; whether one is welcome is the account's policy.
Password = Annotated[bytes, COctetString(65, CommandStatus.ESME_RINVPASWD)]
SystemType = Annotated[bytes, COctetString(13)]
AddressRange = Annotated[bytes, COctetString(41)]
ServiceType = Annotated[bytes, COctetString(6)]
SourceAddr = Annotated[bytes, COctetString(21, CommandStatus.ESME_RINVSRCADR)]
DestinationAddr = Annotated[bytes, COctetString(21, CommandStatus.ESME_RINVDSTADR)]
# data_sm and alert_notification allow longer addresses than the other commands.
LongSourceAddr = Annotated[bytes, COctetString(65, CommandStatus.ESME_RINVSRCADR)]
LongDestinationAddr = Annotated[bytes, COctetString(65, CommandStatus.ESME_RINVDSTADR)]
ScheduleTime = Annotated[bytes, COctetString(17, CommandStatus.ESME_RINVSCHED)]
ValidityTime = Annotated[bytes, COctetString(17, CommandStatus.ESME_RINVEXPIRY)]
FinalDate = Annotated[bytes, COctetString(17)]
MessageId = Annotated[bytes, COctetString(65, CommandStatus.ESME_RINVMSGID)]
ShortMessage = Annotated[bytes, OctetString()]
DestAddressField = Annotated[tuple[DestAddress, ...], DestAddresses()]
UnsuccessSmeField = Annotated[tuple[UnsuccessSme, ...], UnsuccessSmes()]
