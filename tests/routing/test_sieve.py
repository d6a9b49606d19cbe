"""Sieves hold nothing back that they were told of, and nearly all else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.sieve import BITS, MAX_OCTETS, MIN_OCTETS, map_sieve, note, octets_for


def passes(sieve, number: int) -> bool:
    """What look-ups ask."""
    return bool(sieve[number >> 3 & len(sieve) - 1] & BITS[number & 7])


@given(st.sets(st.integers(0, 10**15 - 1)))
def test_what_was_noted_passes(numbers):
    sieve = bytearray(1 << 10)
    note(sieve, numbers)
    assert all(passes(sieve, number) for number in numbers)


def test_one_in_sixteen_of_the_others_passes_at_most():
    rng = random.Random(1)
    sieve = bytearray(octets_for(100_000))
    note(sieve, (rng.randrange(10**11) for _ in range(100_000)))
    assert sum(passes(sieve, rng.randrange(10**11)) for _ in range(20_000)) < 20_000 / 16


@pytest.mark.parametrize('numbers', [0, 1, 1_000_000, 10_000_000, 1 << 40])
def test_sizes_are_powers_of_two_within_bounds(numbers):
    octets = octets_for(numbers)
    assert MIN_OCTETS <= octets <= MAX_OCTETS
    assert octets & octets - 1 == 0


def test_a_file_is_shared_with_who_adds_to_it(tmp_path):
    (tmp_path / 'sieve').write_bytes(bytes(1 << 16))
    reader, writer = map_sieve(tmp_path / 'sieve', 1 << 16), map_sieve(tmp_path / 'sieve', 1 << 16, write=True)
    assert reader is not None
    assert writer is not None
    note(writer, [79161234567])
    assert passes(reader, 79161234567)
    assert not passes(reader, 79161234568)


@pytest.mark.parametrize('octets', [0, 1 << 15, 1 << 17, 65_537, -1])
def test_a_file_of_another_size_is_none(tmp_path, octets):
    (tmp_path / 'sieve').write_bytes(bytes(1 << 16))
    assert map_sieve(tmp_path / 'sieve', octets) is None


def test_without_a_file_there_is_none(tmp_path):
    assert map_sieve(tmp_path / 'sieve', 1 << 16) is None
