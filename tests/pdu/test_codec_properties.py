"""The codec on generated PDUs and damaged octets: what is written is read back, damage is only ever a PduError."""

import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdu import fields
from pdu.codec import decode, encode
from pdu.fields import COctetString, DestAddresses, DistributionList, Integer, OctetString, SmeAddress, UnsuccessSme
from pdu.generator import kinds_of
from pdu.pdus import CLASSES, Pdu
from pdu.reader import PduReader
from pdu.status import PduError
from pdu.tlvs import SPECS
from tests.pdu.golden import GOLDEN


def strings(size: int) -> st.SearchStrategy[bytes]:
    """C-octet strings of up to `size` octets with their NUL."""
    return st.lists(st.integers(1, 255), max_size=size - 1).map(bytes)


OCTET = st.integers(0, 255)
ADDRESSES = st.one_of(
    st.builds(SmeAddress, OCTET, OCTET, strings(21)),
    st.builds(DistributionList, strings(21)),
)
FAILURES = st.builds(UnsuccessSme, OCTET, OCTET, strings(21), st.integers(0, 0xFFFFFFFF))
KNOWN_TLVS = st.sampled_from(list(SPECS.values())).flatmap(
    lambda spec: st.tuples(
        st.just(int(spec.tag)), st.binary(min_size=spec.min_octets, max_size=min(spec.max_octets, 300))
    )
)
VENDOR_TLVS = st.tuples(st.integers(0x1400, 0x3FFF), st.binary(max_size=20))
TLVS = st.lists(KNOWN_TLVS | VENDOR_TLVS, max_size=4).map(tuple)


def values(kind: fields.Kind) -> st.SearchStrategy[typing.Any]:
    match kind:
        case Integer(size=size):
            return st.integers(0, 256**size - 1)
        case COctetString(size=size):
            return strings(size)
        case OctetString():
            return st.binary(max_size=255)
        case DestAddresses():
            return st.lists(ADDRESSES, max_size=4).map(tuple)
        case _:
            return st.lists(FAILURES, max_size=4).map(tuple)


def pdus_of(cls: type[Pdu]) -> st.SearchStrategy[Pdu]:
    parameters = {name: values(kind) for name, kind in kinds_of(cls).items()}
    if 'tlvs' in cls.__struct_fields__:
        parameters['tlvs'] = TLVS
    return st.builds(cls, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), **parameters)


@pytest.mark.parametrize('cls', CLASSES.values(), ids=lambda cls: cls.__name__)
def test_what_is_written_is_read_back(cls):
    @given(pdu=pdus_of(cls), error_body=st.booleans())
    def round_trip(pdu, error_body):
        octets = encode(pdu, error_body)
        assert int.from_bytes(octets[:4], 'big') == len(octets)
        if 'octets' in cls.__struct_fields__:
            pdu.octets = octets
        assert decode(octets) == pdu

    round_trip()


@pytest.mark.wire('A22')
@given(
    golden=st.sampled_from(GOLDEN),
    damage=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 60),
    behind=st.binary(max_size=20),
)
@example(golden=GOLDEN[0], damage=[(3, 16)], cut=0, behind=b'')
def test_damaged_octets_decode_or_are_an_error(golden, damage, cut, behind):
    octets = bytearray(golden.octets[: max(16, len(golden.octets) - cut)] + behind)
    for position, value in damage:
        octets[position % len(octets)] = value
    octets[:4] = len(octets).to_bytes(4, 'big')
    whole = bytes(octets)
    # What follows in the buffer never changes the outcome.
    outcomes = []
    for buffer in (whole, whole + b'\0' * 80, whole + b'\xff' * 80):
        try:
            outcomes.append(repr(decode(buffer)))
        except PduError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.wire('A5', 'A22')
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_random_octets_never_raise_in_the_reader(chunks):
    reader = PduReader()
    for chunk in chunks:
        for pdu in reader.feed(chunk):
            assert isinstance(pdu, Pdu)
