"""The stream of one connection: any cutting gives the same PDUs, damage keeps its place, memory stays bounded."""

import sys
import time
import tracemalloc

import pytest

from pdu.codec import encode
from pdu.pdus import EnquireLink, Malformed, Pdu, SubmitSm, SubmitSmResp, UnknownPdu
from pdu.reader import PduReader
from pdu.status import CommandStatus
from tests.pdu.golden import GOLDEN


def fed(reader: PduReader, octets: bytes, size: int) -> list[Pdu]:
    """Feeds pieces of `size` octets."""
    return [pdu for start in range(0, len(octets), size) for pdu in reader.feed(octets[start : start + size])]


def header(command_length: int, command_id: int, sequence_number: int) -> bytes:
    words = (command_length, command_id, 0, sequence_number)
    return b''.join(word.to_bytes(4, 'big') for word in words)


STREAM = b''.join(golden.octets for golden in GOLDEN)
PDUS = [golden.pdu for golden in GOLDEN]


@pytest.mark.wire('A1')
@pytest.mark.parametrize('golden', GOLDEN, ids=lambda golden: golden.name)
def test_a_pdu_cut_anywhere_is_the_same_as_whole(golden):
    for cut in range(1, len(golden.octets)):
        reader = PduReader()
        assert reader.feed(golden.octets[:cut]) == []
        assert reader.pending
        assert reader.feed(golden.octets[cut:]) == [golden.pdu]
        assert not reader.pending


@pytest.mark.wire('A1')
@pytest.mark.parametrize('size', [1, 2, 3, 5, 16, 17, 64, 1000])
def test_a_stream_in_pieces_of_any_size_is_the_same(size):
    assert fed(PduReader(), STREAM, size) == PDUS


@pytest.mark.wire('A1')
def test_a_pdu_is_out_with_its_last_octet_also_behind_a_longer_one():
    reader = PduReader()
    for golden in [*GOLDEN, *sorted(GOLDEN, key=lambda golden: -len(golden.octets))]:
        assert fed(reader, golden.octets[:-1], 1) == []
        assert reader.feed(golden.octets[-1:]) == [golden.pdu]
        assert not reader.pending


@pytest.mark.wire('A2')
def test_fifty_pdus_in_one_read_come_out_at_once():
    octets = b''.join(encode(EnquireLink(number)) for number in range(50))
    reader = PduReader()
    assert reader.feed(octets) == [EnquireLink(number) for number in range(50)]
    assert not reader.pending


def test_whole_pdus_come_out_while_the_beginning_of_the_next_is_held():
    reader = PduReader()
    first, second = encode(EnquireLink(1)), encode(SubmitSmResp(2, 0, b'm1'))
    assert reader.feed(first + second[:5]) == [EnquireLink(1)]
    assert reader.pending
    assert reader.feed(second[5:] + first[:1]) == [SubmitSmResp(2, 0, b'm1')]
    assert reader.pending


@pytest.mark.wire('A6')
def test_an_unknown_command_keeps_its_place_and_number():
    reader = PduReader()
    stream = encode(EnquireLink(1)) + header(18, 0x111, 2) + b'ab' + encode(EnquireLink(3))
    assert reader.feed(stream) == [EnquireLink(1), UnknownPdu(2, 0, 0x111), EnquireLink(3)]


@pytest.mark.wire('A9', 'A11')
def test_a_damaged_pdu_keeps_its_place_and_the_framing_holds():
    reader = PduReader()
    stream = encode(EnquireLink(1)) + header(19, 4, 2) + b'\0\0\0' + header(19, 0x80000004, 3) + b'm\0\0'
    found = reader.feed(stream + encode(EnquireLink(4)))
    assert found[0] == EnquireLink(1)
    assert found[1:3] == [
        Malformed(2, 0, 4, CommandStatus.ESME_RINVMSGLEN, 'the PDU ends within source_addr'),
        Malformed(
            3,
            0,
            0x80000004,
            CommandStatus.ESME_RINVOPTPARSTREAM,
            'octets after the last parameter are too few for a TLV',
        ),
    ]
    assert found[3] == EnquireLink(4)


@pytest.mark.wire('A3', 'A4')
@pytest.mark.parametrize('length', [0, 4, 15, 0x12001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_command_length_out_of_bounds_is_fatal_and_the_last_word(length):
    reader = PduReader()
    found = reader.feed(encode(EnquireLink(1)) + header(length, 4, 9) + encode(EnquireLink(2)))
    assert found[0] == EnquireLink(1)
    assert len(found) == 2
    last = found[1]
    assert isinstance(last, Malformed)
    assert (last.fatal, last.error, last.sequence_number) == (True, CommandStatus.ESME_RINVCMDLEN, 9)
    assert reader.feed(encode(EnquireLink(3))) == []
    assert not reader.pending


@pytest.mark.wire('A3', 'A4')
@pytest.mark.parametrize('length', [15, 0x12001])
def test_a_bad_command_length_is_told_before_more_octets_come(length):
    reader = PduReader()
    octets = length.to_bytes(4, 'big')
    assert fed(reader, octets, 1) == [
        Malformed(
            error=CommandStatus.ESME_RINVCMDLEN,
            text=f'command_length {length} is not within 16 and 73728',
            fatal=True,
        )
    ]


@pytest.mark.wire('A5')
@pytest.mark.parametrize(
    'octets',
    [
        b'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
        bytes.fromhex('16030100b7010000b303034f') + b'\x11' * 40,
        b'PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n',
        b'\xff' * 64,
    ],
    ids=['http', 'tls', 'proxy', 'noise'],
)
def test_other_protocols_lose_the_framing(octets):
    found = PduReader().feed(octets)
    assert [type(pdu) for pdu in found] == [Malformed]
    assert isinstance(found[0], Malformed)
    assert found[0].fatal


@pytest.mark.wire('A4')
def test_the_limit_is_the_largest_pdu_taken():
    largest = SubmitSm(1, tlvs=((0x0424, b'x' * 44),))
    largest.octets = encode(largest)
    assert PduReader(len(largest.octets)).feed(largest.octets) == [largest]
    refused = PduReader(len(largest.octets) - 1).feed(largest.octets)
    assert [type(pdu) for pdu in refused] == [Malformed]


@pytest.mark.wire('A4', 'C14')
def test_the_default_limit_takes_a_message_payload_of_64_kilobytes():
    largest = SubmitSm(1, tlvs=((0x0424, b'x' * 0xFFFF),))
    largest.octets = encode(largest)
    assert fed(PduReader(), largest.octets, 1460) == [largest]


@pytest.mark.wire('A1')
def test_the_work_for_single_octets_grows_with_their_number_only():
    def seconds(size: int) -> float:
        octets = encode(SubmitSm(1, tlvs=((0x0424, b'x' * size),)))
        reader = PduReader(1 << 20)
        started = time.process_time()
        assert len(fed(reader, octets, 1)) == 1
        return time.process_time() - started

    seconds(8_000)
    # Eight times the octets: about 8 times the work, and 64 times if each octet copied what is held.
    assert min(seconds(64_000) for _ in range(3)) < 25 * min(seconds(8_000) for _ in range(3))


@pytest.mark.wire('A4', 'A21')
def test_a_half_received_pdu_holds_its_octets_and_no_more():
    octets = encode(SubmitSm(1, tlvs=((0x0424, b'x' * 60_000),)))[:-1]
    reader = PduReader()
    tracemalloc.start()
    try:
        fed(reader, octets, 1)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.pending
    assert held < 2 * len(octets)


def test_decoded_pdus_do_not_keep_the_read_alive():
    octets = encode(SubmitSmResp(1, 0, b'm1')) * 1000
    references = sys.getrefcount(octets)
    found = PduReader().feed(octets)
    assert len(found) == 1000
    assert sys.getrefcount(octets) == references
