"""Every PDU of SMPP 3.4 (section 4) and 5.0 but the broadcast ones, as a value whose annotated fields are its layout.

The order of the fields is the order on the wire and their annotations (see `fields`) say how each is written; the codec
is generated from that, so a PDU is described here and nowhere else. Names are the specification's. Octet strings are
kept without their NUL or length; nothing is decoded to text.

Every parameter has a default. `tlvs` are pairs of tag and octets in the order of the wire (see `tlvs`). `octets`, where
a request has it, is the whole PDU with its header as it arrived; encoding ignores it, and changing a field does not
change it. Values are mutable, and equal when all their fields are.

Whoever logs a PDU gets no message text and no password: `repr` shows those by their size.
"""

from typing import ClassVar

import msgspec

from pdu import fields
from pdu.command import RESPONSE, CommandId
from pdu.tlvs import Tlvs

_PRIVATE = frozenset({'password', 'short_message', 'octets'})


class Pdu(msgspec.Struct, gc=False):
    """What all PDUs have: a command_id by class, sequence_number and, in responses, a command_status.

    gc=False is safe: fields hold octets, integers and tuples of them, never something that could refer back.
    """

    command_id: ClassVar[int]

    sequence_number: int = 0
    command_status: int = 0

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(map(self._shown, self.__struct_fields__))})'

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in _PRIVATE:
            return f'{name}=<{len(value)} octets>'
        if name == 'tlvs':
            return f'tlvs=<{", ".join(f"0x{tag:04x}: {len(octets)} octets" for tag, octets in value)}>'
        return f'{name}={value!r}'

    @property
    def is_response(self) -> bool:
        """Whether this answers a request; generic_nack does."""
        return bool(self.command_id & RESPONSE)


class Bind(Pdu, gc=False):
    """Body of the three bind requests, 3.4 section 4.1."""

    system_id: fields.SystemId = b''
    password: fields.Password = b''
    system_type: fields.SystemType = b''
    interface_version: fields.Octet = 0
    addr_ton: fields.Octet = 0
    addr_npi: fields.Octet = 0
    address_range: fields.AddressRange = b''
    tlvs: Tlvs = ()


class BindResp(Pdu, gc=False):
    """Body of the three bind responses: the SMSC's system_id, and sc_interface_version among the TLVs."""

    system_id: fields.SystemId = b''
    tlvs: Tlvs = ()


class BindTransmitter(Bind, gc=False):
    """3.4 section 4.1.1."""

    command_id: ClassVar[int] = CommandId.BIND_TRANSMITTER


class BindTransmitterResp(BindResp, gc=False):
    """3.4 section 4.1.2."""

    command_id: ClassVar[int] = CommandId.BIND_TRANSMITTER_RESP


class BindReceiver(Bind, gc=False):
    """3.4 section 4.1.3."""

    command_id: ClassVar[int] = CommandId.BIND_RECEIVER


class BindReceiverResp(BindResp, gc=False):
    """3.4 section 4.1.4."""

    command_id: ClassVar[int] = CommandId.BIND_RECEIVER_RESP


class BindTransceiver(Bind, gc=False):
    """3.4 section 4.1.5."""

    command_id: ClassVar[int] = CommandId.BIND_TRANSCEIVER


class BindTransceiverResp(BindResp, gc=False):
    """3.4 section 4.1.6."""

    command_id: ClassVar[int] = CommandId.BIND_TRANSCEIVER_RESP


class Outbind(Pdu, gc=False):
    """3.4 section 4.1.7: the SMSC asks the ESME to bind; it has no response."""

    command_id: ClassVar[int] = CommandId.OUTBIND

    system_id: fields.SystemId = b''
    password: fields.Password = b''
    tlvs: Tlvs = ()


class EmptyResp(Pdu, gc=False):
    """A response without body. 5.0 lets any response carry TLVs such as congestion_state (section 4.8.4.18)."""

    tlvs: Tlvs = ()


class Unbind(Pdu, gc=False):
    """3.4 section 4.2.1."""

    command_id: ClassVar[int] = CommandId.UNBIND


class UnbindResp(EmptyResp, gc=False):
    """3.4 section 4.2.2."""

    command_id: ClassVar[int] = CommandId.UNBIND_RESP


class GenericNack(Pdu, gc=False):
    """3.4 section 4.3.1: refuses a PDU that has no response of its own or could not be read; never answered."""

    command_id: ClassVar[int] = CommandId.GENERIC_NACK


class ShortMessage(Pdu, gc=False):
    """Body that submit_sm and deliver_sm share, 3.4 sections 4.4.1 and 4.6.1."""

    service_type: fields.ServiceType = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.SourceAddr = b''
    dest_addr_ton: fields.Octet = 0
    dest_addr_npi: fields.Octet = 0
    destination_addr: fields.DestinationAddr = b''
    esm_class: fields.Octet = 0
    protocol_id: fields.Octet = 0
    priority_flag: fields.Octet = 0
    schedule_delivery_time: fields.ScheduleTime = b''
    validity_period: fields.ValidityTime = b''
    registered_delivery: fields.Octet = 0
    replace_if_present_flag: fields.Octet = 0
    data_coding: fields.Octet = 0
    sm_default_msg_id: fields.Octet = 0
    short_message: fields.ShortMessage = b''
    tlvs: Tlvs = ()
    octets: bytes = b''


class MessageIdResp(Pdu, gc=False):
    """Body of the responses that give a message_id; TLVs are 5.0's, and data_sm_resp's in 3.4."""

    message_id: fields.MessageId = b''
    tlvs: Tlvs = ()


class SubmitSm(ShortMessage, gc=False):
    """3.4 section 4.4.1."""

    command_id: ClassVar[int] = CommandId.SUBMIT_SM


class SubmitSmResp(MessageIdResp, gc=False):
    """3.4 section 4.4.2."""

    command_id: ClassVar[int] = CommandId.SUBMIT_SM_RESP


class DeliverSm(ShortMessage, gc=False):
    """3.4 section 4.6.1: a message to the ESME, or a receipt. The times and flags it does not use stay empty."""

    command_id: ClassVar[int] = CommandId.DELIVER_SM


class DeliverSmResp(MessageIdResp, gc=False):
    """3.4 section 4.6.2: message_id is not used and is written as one NUL."""

    command_id: ClassVar[int] = CommandId.DELIVER_SM_RESP


class DataSm(Pdu, gc=False):
    """3.4 section 4.7.1: the message is in the TLV message_payload."""

    command_id: ClassVar[int] = CommandId.DATA_SM

    service_type: fields.ServiceType = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.LongSourceAddr = b''
    dest_addr_ton: fields.Octet = 0
    dest_addr_npi: fields.Octet = 0
    destination_addr: fields.LongDestinationAddr = b''
    esm_class: fields.Octet = 0
    registered_delivery: fields.Octet = 0
    data_coding: fields.Octet = 0
    tlvs: Tlvs = ()
    octets: bytes = b''


class DataSmResp(MessageIdResp, gc=False):
    """3.4 section 4.7.2."""

    command_id: ClassVar[int] = CommandId.DATA_SM_RESP


class SubmitMulti(Pdu, gc=False):
    """3.4 section 4.5.1: submit_sm to up to 254 destinations (255 in 5.0); number_of_dests is their count."""

    command_id: ClassVar[int] = CommandId.SUBMIT_MULTI

    service_type: fields.ServiceType = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.SourceAddr = b''
    dest_address: fields.DestAddressField = ()
    esm_class: fields.Octet = 0
    protocol_id: fields.Octet = 0
    priority_flag: fields.Octet = 0
    schedule_delivery_time: fields.ScheduleTime = b''
    validity_period: fields.ValidityTime = b''
    registered_delivery: fields.Octet = 0
    replace_if_present_flag: fields.Octet = 0
    data_coding: fields.Octet = 0
    sm_default_msg_id: fields.Octet = 0
    short_message: fields.ShortMessage = b''
    tlvs: Tlvs = ()
    octets: bytes = b''


class SubmitMultiResp(Pdu, gc=False):
    """3.4 section 4.5.2: no_unsuccess is the count of unsuccess_sme."""

    command_id: ClassVar[int] = CommandId.SUBMIT_MULTI_RESP

    message_id: fields.MessageId = b''
    unsuccess_sme: fields.UnsuccessSmeField = ()
    tlvs: Tlvs = ()


class QuerySm(Pdu, gc=False):
    """3.4 section 4.8.1."""

    command_id: ClassVar[int] = CommandId.QUERY_SM

    message_id: fields.MessageId = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.SourceAddr = b''
    tlvs: Tlvs = ()


class QuerySmResp(Pdu, gc=False):
    """3.4 section 4.8.2; message_state is a receipt_text.MessageState."""

    command_id: ClassVar[int] = CommandId.QUERY_SM_RESP

    message_id: fields.MessageId = b''
    final_date: fields.FinalDate = b''
    message_state: fields.Octet = 0
    error_code: fields.Octet = 0
    tlvs: Tlvs = ()


class CancelSm(Pdu, gc=False):
    """3.4 section 4.9.1."""

    command_id: ClassVar[int] = CommandId.CANCEL_SM

    service_type: fields.ServiceType = b''
    message_id: fields.MessageId = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.SourceAddr = b''
    dest_addr_ton: fields.Octet = 0
    dest_addr_npi: fields.Octet = 0
    destination_addr: fields.DestinationAddr = b''
    tlvs: Tlvs = ()


class CancelSmResp(EmptyResp, gc=False):
    """3.4 section 4.9.2."""

    command_id: ClassVar[int] = CommandId.CANCEL_SM_RESP


class ReplaceSm(Pdu, gc=False):
    """3.4 section 4.10.1; 5.0 allows message_payload instead of short_message."""

    command_id: ClassVar[int] = CommandId.REPLACE_SM

    message_id: fields.MessageId = b''
    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.SourceAddr = b''
    schedule_delivery_time: fields.ScheduleTime = b''
    validity_period: fields.ValidityTime = b''
    registered_delivery: fields.Octet = 0
    sm_default_msg_id: fields.Octet = 0
    short_message: fields.ShortMessage = b''
    tlvs: Tlvs = ()


class ReplaceSmResp(EmptyResp, gc=False):
    """3.4 section 4.10.2."""

    command_id: ClassVar[int] = CommandId.REPLACE_SM_RESP


class EnquireLink(Pdu, gc=False):
    """3.4 section 4.11.1."""

    command_id: ClassVar[int] = CommandId.ENQUIRE_LINK


class EnquireLinkResp(EmptyResp, gc=False):
    """3.4 section 4.11.2."""

    command_id: ClassVar[int] = CommandId.ENQUIRE_LINK_RESP


class AlertNotification(Pdu, gc=False):
    """3.4 section 4.12.1: a handset is reachable again; it has no response."""

    command_id: ClassVar[int] = CommandId.ALERT_NOTIFICATION

    source_addr_ton: fields.Octet = 0
    source_addr_npi: fields.Octet = 0
    source_addr: fields.LongSourceAddr = b''
    esme_addr_ton: fields.Octet = 0
    esme_addr_npi: fields.Octet = 0
    esme_addr: fields.LongDestinationAddr = b''
    tlvs: Tlvs = ()


class UnknownPdu(Pdu, gc=False):
    """A whole PDU of a command nobody here knows; answer it with generic_nack ESME_RINVCMDID."""

    command_id: ClassVar[int] = 0

    received_command_id: int = 0


class Malformed(Pdu, gc=False):
    """Something arrived that is no PDU of the command it claims.

    `error` is the command_status to answer with: in the response of `received_command_id` if that is a request, or in
    generic_nack. What claims to be a response is not answered; it fails the request with its sequence_number. `text`
    says what is wrong and holds nothing private. When `fatal`, framing is lost: answer generic_nack and close;
    sequence_number is then 0 unless the header had arrived whole.
    """

    command_id: ClassVar[int] = 0

    received_command_id: int = 0
    error: int = 0
    text: str = ''
    fatal: bool = False


CLASSES: dict[int, type[Pdu]] = {
    cls.command_id: cls
    for cls in (
        BindTransmitter,
        BindTransmitterResp,
        BindReceiver,
        BindReceiverResp,
        BindTransceiver,
        BindTransceiverResp,
        Outbind,
        Unbind,
        UnbindResp,
        GenericNack,
        SubmitSm,
        SubmitSmResp,
        DeliverSm,
        DeliverSmResp,
        DataSm,
        DataSmResp,
        SubmitMulti,
        SubmitMultiResp,
        QuerySm,
        QuerySmResp,
        CancelSm,
        CancelSmResp,
        ReplaceSm,
        ReplaceSmResp,
        EnquireLink,
        EnquireLinkResp,
        AlertNotification,
    )
}
"""The class of each command_id; the response of a request is `CLASSES[request.command_id | RESPONSE]`."""
