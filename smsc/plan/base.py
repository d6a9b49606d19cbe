"""The shipped table of the world as ranges: countries of all calling codes, operators and time zones where known."""

import functools
import gzip
from importlib.resources import files

from routing.facts import Place
from routing.plan import Range, range_of

HEAD_LINES = 2
WORLD = 'world'
NUMBERED_AS_MOROCCO = 'EH'  # the table has no number of Western Sahara, an import may


def world_octets() -> bytes:
    """Return the table as it is shipped, gzipped."""
    return files('routing').joinpath('data', 'world.csv.gz').read_bytes()


def world_ranges() -> list[Range]:
    """Return its prefixes as ranges; equal places are one object."""
    places: dict[tuple[str, ...], Place] = {}
    ranges = []
    for line in gzip.decompress(world_octets()).decode().splitlines()[HEAD_LINES:]:
        prefix, *values = line.split(',')
        country, operator, zone = key = tuple(values)
        place = places.get(key)
        if place is None:
            place = places[key] = Place(country, operator, '', zone)
        ranges.append(range_of(prefix, prefix, place))
    return ranges


@functools.cache
def known_countries() -> frozenset[str]:
    """Return the ISO 3166 codes of all countries that have numbers, and XK."""
    lines = gzip.decompress(world_octets()).decode().splitlines()[HEAD_LINES:]
    return frozenset(line.split(',', 2)[1] for line in lines) - {''} | {NUMBERED_AS_MOROCCO}


def world_origin() -> str:
    """Return what the table was made from, with its version and licence."""
    return gzip.decompress(world_octets()).split(b'\n', 1)[0].decode().removeprefix('# ')
