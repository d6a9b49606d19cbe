"""The whole decision about a message, for perf.decisions: everything that stands between a submit_sm and its way.

Facts of the PDU, the number in E.164 digits, number plan, ported numbers, all steps of the policy that need no text,
routes, price, cost and credit: what `smsc.deciding` does, but for the Message itself. Files are made in a folder that
is given; the base of ported numbers is imported by `smsc mnp import`, as an operator does it.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pdu.codec import encode
from pdu.pdus import SubmitSm
from perf.mnp import number_at, start_import, wait, write_base
from perf.report import tell
from routing.decider import Decider
from routing.stop_lists import StopLists
from routing.table import Decision
from smsc.config import load
from smsc.config.schema import Configuration
from smsc.deciding import Submitter, facts_of
from smsc.policy import Policy, submitter_of
from smsc.prices import build_charging, credit_terms
from storage.credit import Credit

ACCOUNTS = 20
OPERATORS = ('mts', 'beeline', 'megafon', 'tele2')
PORTED_SHARE = 0.1
RUSSIA = 70_000_000_000
MILLION = 1_000_000
NOW_MS = 1_800_000_000_000
Submit = tuple[SubmitSm, str, int]
"""A PDU, its account, and the message_id it will have."""


class Size(msgspec.Struct, frozen=True):
    """How much there is to look up."""

    routes: int = 10
    ported: int = 10_000_000
    stopped: int = MILLION


def drawn_octets(rng: random.Random, count: int) -> list[bytes]:
    """Return submit_sm as they come: what decoding them costs tells how fast the machine is just now."""
    return [
        encode(
            SubmitSm(
                number + 1,
                source_addr_ton=5,
                source_addr=b'Sender%d' % rng.randrange(50),
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=b'%d' % (RUSSIA + rng.randrange(9 * 10**9, 10**10)),
                registered_delivery=1,
                short_message=b'your code is %d' % number,
            )
        )
        for number in range(count)
    ]


class WholeDecision:
    """A node's policy, without the node."""

    def __init__(self, folder: Path, size: Size) -> None:
        """Takes a minute for each ten million ported numbers that the folder has no base of yet."""
        self._size = size
        path = _configured(folder, size)
        if not (folder / 'mnp').exists():
            _import(folder, size.ported)
        configuration = load(path)
        policy = Policy(configuration, _stop_lists(size.stopped))
        self._charging = build_charging(configuration)
        self._decider = policy.build(configuration, self._charging)
        self._submitters = _submitters(configuration, self._decider)
        self._credit = _credit(configuration)
        self._next_id = 0

    def messages(self, rng: random.Random, count: int) -> Sequence[Submit]:
        """Return messages of one account to Russian numbers, a tenth of them ported; no two alike, ever."""
        account = f'account{rng.randrange(ACCOUNTS)}'
        return [self._message(rng, account) for _ in range(count)]

    def _message(self, rng: random.Random, account: str) -> Submit:
        self._next_id += 1
        ported = rng.random() < PORTED_SHARE and self._size.ported
        number = RUSSIA + (number_at(rng.randrange(self._size.ported)) if ported else rng.randrange(9 * 10**9, 10**10))
        pdu = SubmitSm(
            source_addr_ton=5,
            source_addr=b'Sender%d' % rng.randrange(50),
            dest_addr_ton=1,
            destination_addr=b'%d' % number,
            short_message=b'your code is %d' % self._next_id,
        )
        return pdu, account, self._next_id

    def decide(self, submits: Sequence[Submit]) -> None:
        """Decide about the messages of one read, of one account; an AssertionError if anything is said against one."""
        account, decider = submits[0][1], self._decider
        submitter = self._submitters[account]
        several = [facts_of(submitter, pdu, 1, NOW_MS, 1, message_id, decider) for pdu, _, message_id in submits]
        for facts, decision in zip(several, decider.decide_all(several), strict=True):
            assert isinstance(decision, Decision), decision
            _, price = self._charging.worth(account, decision.upstreams[0] if decision.upstreams else '', facts, 1)
            assert self._credit.affords(account, price)


def _configured(folder: Path, size: Size) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'smsc-{size.routes}.yaml'
    path.write_bytes(msgspec.json.encode(_tree(size)))  # JSON is YAML
    return path


def _tree(size: Size) -> dict[str, Any]:
    account = {
        'password': 'secret',
        'prices': 'retail',
        'credit': 'prepaid',
        'duplicates': {'within_s': 60},
        'daily_limit': {'messages': 100},
        'senders': ['Sender*'],
        'category': 'service',
    }
    prices = [{'operator': name, 'price': 2} for name in OPERATORS]
    return {
        'data': '.',
        'accounts': {f'account{number}': account for number in range(ACCOUNTS)},
        'upstreams': {name: {'host': 'localhost', 'prices': 'wholesale'} for name in ('mts', 'aggregator')},
        'prices': {
            'retail': {'entries': prices, 'default': 3},
            'wholesale': {'entries': prices, 'default': 1},
        },
        'numbers': {'country_code': '7'},
        'routes': _routes(size.routes),
    }


def _routes(count: int) -> list[dict[str, Any]]:
    """Return routes by account, operator, country, sender and prefix, and one for everything else."""
    rng = random.Random(1)
    to = {'failover': ['mts', 'aggregator']}
    found: list[dict[str, Any]] = []
    for number in range(count - 2):
        kind = number % 5
        when: dict[str, Any] = {'account': f'account{rng.randrange(ACCOUNTS)}'} if rng.random() < 0.5 else {}
        if kind < 3:
            when['destination'] = f'79{number:04}*'
        elif kind == 3:
            when |= {'operator': rng.choice(OPERATORS), 'source_addr': f'Sender{number}'}
        else:
            when |= {'country': rng.choice(('KZ', 'BY', 'AM')), 'operator': f'operator{number}'}
        found.append({'name': f'route {number}', 'when': when} | to)
    found.append({'name': 'by price', 'when': {'operator': 'mts'}, 'cheapest': ['mts', 'aggregator']})
    return [*found, {'name': 'rest', 'split': {'mts': 70, 'aggregator': 30}}]


def _import(folder: Path, rows: int) -> None:
    tell(f'importing {rows:,} ported numbers ...')
    (folder / 'smsc.yaml').write_text('data: .\n', encoding='ascii')
    file = folder / 'base.csv'
    write_base(file, rows)
    wait(start_import(folder, file))
    file.unlink()


def _stop_lists(entries: int) -> StopLists:
    """Return a list of numbers that no drawn message goes to."""
    found = StopLists()
    found.add('global', ((RUSSIA + 3 * 10**9 + place * 977, 0) for place in range(entries)))
    return found


def _submitters(configuration: Configuration, decider: Decider) -> dict[str, Submitter]:
    return {name: submitter_of(configuration, account, decider) for name, account in configuration.accounts.items()}


def _credit(configuration: Configuration) -> Credit:
    """Return accounts that have enough for whatever is measured; no store is asked for that."""
    without_store: Any = None
    credit = Credit(without_store)
    credit.configure(credit_terms(configuration))
    credit.note((name, 1 << 60) for name in configuration.accounts)
    return credit
