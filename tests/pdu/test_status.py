"""Names and numbers of command_id and command_status."""

import pytest

from pdu.command import RESPONSE, CommandId
from pdu.status import CommandStatus, PduError, status_name


@pytest.mark.wire('A15')
@pytest.mark.parametrize(
    ('value', 'name'),
    [
        (0, 'ESME_ROK'),
        (0x58, 'ESME_RTHROTTLED'),
        (0xC0, 'ESME_RINVOPTPARSTREAM'),
        (0x104, 'ESME_RINVDCS'),
        (0x112, 'ESME_RINVBCASTCHANIND'),
        (0x22, '0x00000022'),
        (0x4FF, '0x000004ff'),
        (0xFFFFFFFF, '0xffffffff'),
    ],
)
def test_every_status_has_a_name(value, name):
    assert status_name(value) == name


def test_numbers_are_those_of_the_specification():
    assert CommandStatus.ESME_RX_R_APPN == 0x66
    assert CommandStatus.ESME_RINVNUMDESTS == 0x33
    assert len(CommandStatus) == 67
    assert CommandId.SUBMIT_MULTI == 0x21
    assert CommandId.DATA_SM_RESP == 0x80000103


def test_every_response_has_its_request():
    requests = {command for command in CommandId if not command & RESPONSE}
    without_response = {CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION}
    responses = {command for command in CommandId if command & RESPONSE} - {CommandId.GENERIC_NACK}
    assert responses == {command | RESPONSE for command in requests - without_response}


def test_an_error_reads_as_its_status_and_its_cause():
    error = PduError(CommandStatus.ESME_RINVDSTADR, 'destination_addr is longer than 20 octets')
    assert str(error) == 'ESME_RINVDSTADR: destination_addr is longer than 20 octets'
