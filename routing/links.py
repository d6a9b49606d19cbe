"""Links in texts: the hosts they lead to, and hosts that pretend to be others.

An address with `http://` or `https://` is a link whatever its host; one without is a link when its host ends as those
of the net do (`example.com`), so that a missing space after a full stop makes none.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from routing.look_alikes import fold_name

MAX_HOSTS = 100  # of one text
_WITH_SCHEME = re.compile(r'https?://(?:[^\s/@]{1,100}@)?(?P<host>[^\s/?#:@"\'<>()]{1,255})', re.IGNORECASE)
_BARE = re.compile(r'(?<![\w.@/-])(?P<host>(?:[\w-]{1,63}\.){1,127}(?P<end>[\w-]{2,63}))(?P<path>[/?])?')
_COMMON = (  # what hosts without a scheme end with
    'com net org info biz name pro mobi app dev io me co ai tv cc ws ly gd gl gg gy to link site online shop store club'
    ' top xyz icu vip win bid click live life world space website tech news fun pw art bar page run agency cloud host'
    ' bz im is ru su by kz ua uz am az ge kg md tj tm il tr de uk us eu fr pl cz it es nl be at ch se no fi dk pt gr ro'
    ' bg hu rs lt lv ee ie ca mx br ar in cn hk jp kr sg th vn id my au nz za ae xn--p1ai xn--p1acf'
    ' рф рус москва дети сайт онлайн орг ком бел укр қаз'
)
_ENDINGS = frozenset(_COMMON.split())
_SCRIPTS = ('LATIN', 'CYRILLIC', 'GREEK')


def find_hosts(text: str) -> list[str]:
    """Return the hosts of the links in a text as people see them: without case, punycode read. At most MAX_HOSTS."""
    if '.' not in text and '://' not in text:
        return []
    found: dict[str, None] = {}
    for host in _hosts(text):
        if len(found) >= MAX_HOSTS:
            break
        found[host] = None
    return list(found)


def _hosts(text: str) -> Iterator[str]:
    if '://' in text:
        for match in _WITH_SCHEME.finditer(text):
            yield normal(match['host'])
    for match in _BARE.finditer(text):
        end = match['end'].casefold()
        if end in _ENDINGS or (match['path'] and end.isascii() and end.isalpha()):
            yield normal(match['host'])


def normal(host: str) -> str:
    """Return a host as it is compared."""
    return '.'.join(_label(label) for label in host.casefold().strip('.').split('.'))


def _label(label: str) -> str:
    if label.startswith('xn--'):
        try:
            return label[4:].encode('ascii').decode('punycode')
        except UnicodeError:
            pass
    return label


class Hosts:
    """Some hosts, each with all those below it."""

    __slots__ = ('_folded', '_names')

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(normal(name.removeprefix('*.')) for name in names)
        self._folded = {fold_name(name): name for name in self._names}

    def holds(self, host: str) -> str:
        """Return the name among them that a host is, or is below; '' for none."""
        while host:
            if host in self._names:
                return host
            host = host.partition('.')[2]
        return ''

    def resembled(self, host: str) -> str:
        """Return the name among them that a host wants to be taken for, and is not; '' for none."""
        if self.holds(host):
            return ''
        folded = [fold_name(label) for label in host.split('.')]
        for place in range(len(folded)):
            name = self._folded.get(''.join(folded[place:]), '')
            if name:
                return name
        return next((name for name in self._names if f'.{name}.' in f'.{host}.'), '')


def is_mixed(host: str) -> bool:
    """Return whether letters of several alphabets stand in one part of a host."""
    return not host.isascii() and any(len(_scripts(label)) > 1 for label in host.split('.'))


def _scripts(label: str) -> set[str]:
    names = (unicodedata.name(one, '') for one in label if one.isalpha())
    return {script for name in names for script in _SCRIPTS if name.startswith(script)}
