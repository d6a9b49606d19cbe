"""Drawn rules and messages. Few words over few characters: rules collide, overlap and hide each other."""

from hypothesis import strategies as st

from routing.conditions import Amount, HasTlv, Unless, Words
from routing.facts import Place
from routing.table import Action, MoRule, Retry, Rule
from routing.windows import Window
from tests.routing.messages import message

NOW_MS = 1_800_000_000_000
words = st.text('12', max_size=3)
some = st.one_of(words, words.map('{}*'.format), words.map('~^{}'.format), words.map('~{}$'.format))
KEYS = ('account', 'source_addr', 'destination', 'text', 'keyword', 'operator', 'country', 'region', 'category')
matching = st.builds(Words, st.sampled_from(KEYS), st.lists(some, min_size=1, max_size=3))
plain = st.builds(Words, st.sampled_from(KEYS[:3]), st.lists(words.map('{}*'.format), min_size=1, max_size=2))
amounts = st.builds(
    Amount,
    st.sampled_from(('priority', 'parts')),
    st.lists(st.sampled_from((0, 1, 2, '1-2', '>1', '<=1')), min_size=1, max_size=2),
)
tlvs = st.builds(HasTlv, st.sampled_from((0x1400, 0x1401)), st.sampled_from((None, 1, '1', '1*', '~1')))
zones = st.sampled_from(('UTC', 'Europe/Moscow', 'subscriber'))
windows = st.builds(
    Window,
    st.lists(st.sampled_from(('00:00-12:00', '09:00-18:00', '22:00-06:00')), max_size=2),
    st.lists(st.sampled_from(('mon-fri', 'sat', 'fri-mon')), min_size=1, max_size=2),
    zones,
)
simple = st.one_of(matching, matching, plain, amounts, tlvs, windows)
conditions = st.one_of(simple, simple, simple, st.lists(simple, min_size=1, max_size=2).map(Unless))
conjunctions = st.lists(conditions, max_size=4).map(tuple)
upstreams = st.sampled_from((('a',), ('a', 'b'), ('b', 'c', 'a')))
actions = st.one_of(
    st.builds(Action, upstreams),
    st.builds(Action, upstreams, cheapest=st.just(True)),
    st.builds(Action, shares=st.sampled_from(((('a', 7), ('b', 3)), (('a', 1), ('b', 1), ('c', 1))))),
    st.builds(Action, reject=st.integers(1, 99)),
    st.builds(Action, drop=st.just(True)),
)
names = st.sampled_from(('one', 'two', 'block > one', 'block > two', 'block'))
retries = st.one_of(st.none(), st.just(Retry(frozenset({5}), upstreams=('b',))))
rules = st.builds(Rule, names, conjunctions, actions, st.one_of(st.none(), st.integers(0, 3)), retries)
mo_rules = st.builds(MoRule, names, st.sampled_from(('bank', 'shop')), conjunctions)
off = st.frozensets(names, max_size=2)
places = st.builds(Place, words, words, words, st.sampled_from(('', 'Asia/Omsk', 'America/St_Johns', 'Nowhere/Never')))
values = st.lists(
    st.tuples(st.sampled_from((0x1400, 0x1401)), st.sampled_from((b'', b'1', b'\1', b'12\0'))), max_size=2
)
messages = st.builds(
    lambda text, **facts: message(text=lambda: text, **facts),
    text=st.one_of(words, st.tuples(words, words).map(' '.join)),
    account=words,
    source_addr=words,
    destination=words,
    operator=words,
    category=words,
    place=places,
    priority=st.one_of(st.none(), st.integers(0, 3)),
    segments=st.integers(1, 3),
    tlvs=values.map(tuple),
    now_ms=st.integers(0, 8 * 86_400_000).map(NOW_MS.__add__),
)
