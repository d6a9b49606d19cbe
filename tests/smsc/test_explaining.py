"""`smsc route`: what it says is what the server does, whatever the configuration; and it leaves nothing behind."""

import asyncio
import json
import random
import re
from collections import Counter
from typing import Any

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner

from pdu.status import CommandStatus
from smsc.cli import main
from smsc.clock import wall_ms
from smsc.control import ControlError, ask
from smsc.explaining import Question, answer_question, submit_of
from storage.credit import change_balance
from storage.stop_lists import Change, put
from tests.product.running import account, command_json, everywhere_bound, run_command, upstream
from tests.product.waiting import until

CONFIGURATIONS, MESSAGES, SEED = 45, 12, 20261121
OPERATORS = ('mts', 'tele2', 'kcell')
PLAN = 'prefix,country,operator\n7916,RU,mts\n7903,RU,beeline\n7701,KZ,kcell\n'
LISTS = {'global': [(False, 79160000001), (True, 7999)], 'vip': [(False, 79160000002)]}
STATUSES = ('ESME_RINVDSTADR', 'ESME_RSUBMITFAIL', 'ESME_RX_R_APPN', 0x0456)
STEPS = {
    'senders': ('senders', 'sender_kinds', 'default_sender'),
    'templates': ('templates',),
    'stop_lists': ('stop_lists', 'ignores_stop_lists'),
    'duplicates': ('duplicates',),
    'daily_limits': ('daily_limit',),
    'fraud': ('fraud',),
}
"""What each asks of accounts."""

SENDERS = ('MyBank', 'MyBank', 'MyBank', 'MYBANK', 'Shop1', 'Shop1', '777', '79031112233', '')
DESTINATIONS = (
    *(f'791600000{last:02}' for last in range(1, 30)),
    *(f'790300000{last:02}' for last in range(10)),
    *('89160000003', '+79160000003', '0079030000000', '77010000000', '79990000000', '4915112345678', '12x', ''),
)
TEXTS = (
    'code 1',
    'code 22',
    'buy now',
    'my casino',
    'see example.com',
    'hello',
    'x' * 161,
    'x' * 161,
    'привет',
    'pin 1',
    '',
)
PRICES = {
    'ours': {'currency': 'RUB', 'default': '0.25'},
    'cheap': {'currency': 'RUB', 'default': '0.10'},
    'dear': {'currency': 'RUB', 'entries': [{'country': 'RU', 'price': '0.30'}, {'country': 'KZ', 'price': '0.01'}]},
}
TREE: dict[str, Any] = {
    'numbers': {'country_code': '7', 'national_prefix': '8', 'national_lengths': [10]},
    'prices': PRICES,
}


def question_of(name, destination, now_ms, sender, text):
    return Question(account=name, destination=destination, now_ms=now_ms, source_addr=sender, text=text)


class Drawn:
    """A random configuration, and random messages for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.asked: Question | None = None

    def some(self, likely: float, **choices: Any) -> dict[str, Any]:
        """Each key now and then, with one of its values."""
        return {key: self.random.choice(values) for key, values in choices.items() if self.random.random() < likely}

    def status(self) -> str | int:
        return self.random.choice(STATUSES)

    def tree(self) -> dict[str, Any]:
        draw = self.random
        policy = draw.sample(list(STEPS), draw.randint(4, 6))
        unused = {key for step, keys in STEPS.items() if step not in policy for key in keys}
        accounts = {name: account(**self.account()) for name in ('bank', 'shop')}
        return {
            'policy': policy,
            'accounts': {
                name: {key: value for key, value in keys.items() if key not in unused}
                for name, keys in accounts.items()
            },
            'senders': self.senders(),
            'stop_lists': {'status': self.status()} | self.some(0.3, exempt_categories=[['authorization']]),
            'subscriber_limit': {'messages': 6, 'status': self.status()} if 'daily_limits' in policy else None,
            'templates': self.templates(),
            'fraud': {'status': self.status(), 'rules': self.fraud_rules() if 'fraud' in policy else []},
            'routes': [self.route(f'r{number}') for number in range(draw.randint(1, 5))] + self.default(),
        }

    def senders(self) -> dict[str, Any]:
        status: dict[str, Any] = {'status': self.status()}
        if self.random.random() < 0.6:
            return status
        required = {'operators_that_require': ['mts'], 'registered': {'MyBank': ['mts'], 'Info': ['mts']}}
        return status | required | self.some(0.5, unregistered_as=['Info', '777'])

    def account(self) -> dict[str, Any]:
        return self.some(0.5, max_parts=[1]) | self.some(
            0.25,
            senders=[['MyBank', 'Shop*'], ['~^[0-9]+$', 'MyBank']],
            sender_kinds=[['alphanumeric'], ['short', 'international', 'alphanumeric']],
            default_sender=['Info', '777'],
            category=['advertising', 'service'],
            priority=[1, 2],
            templates=['codes', ['codes', 'rest']],
            stop_lists=[['vip']],
            ignores_stop_lists=[['global']],
            duplicates=[
                {'answer': answer, 'by': by, 'status': self.status()}
                for answer in ('first', 'refuse', 'drop')
                for by in (['destination', 'text'], ['destination', 'text', 'source_addr', 'user_message_reference'])
            ],
            daily_limit=[
                {'messages': 2, 'status': self.status()},
                {'messages': 3, 'status': self.status(), 'scope': 'all'},
                {'messages': 1, 'status': self.status(), 'categories': ['authorization']},
            ],
            fraud=['off', 'monitor'],
            no_route=['receipt', 'ESME_RINVSERTYP'],
            empty_messages=['refuse'],
            prices=['ours'],
        )

    def templates(self) -> dict[str, Any]:
        codes = [
            {'template': 'code %d', 'category': 'authorization', 'priority': 3},
            {'template': 'buy %any{0,50}', 'action': 'reject'},
        ]
        return {
            'codes': {'entries': codes, 'status': self.status()} | self.some(0.3, unmatched=['reject']),
            'rest': {'entries': [{'template': '%any{0,300}', 'category': 'advertising'}]},
        }

    def fraud_rules(self) -> list[dict[str, Any]]:
        kinds: list[dict[str, Any]] = [
            {'text': ['casino']},
            {'links': {}},
            {'look_alike': {'names': ['MyBank'], 'accounts': ['bank']}},
            {'burst': {'messages': 20, 'within_s': 3600, 'digits': 10}},
            {'velocity': {'per_hour': 60}},
        ]
        rules = [rule for rule in kinds if self.random.random() < 0.5]
        actions = {'action': ['refuse', 'drop', 'monitor'], 'status': STATUSES}
        return [{'name': next(iter(rule)), **rule, **self.some(0.6, **actions)} for rule in rules]

    def when(self, likely: float) -> dict[str, Any]:
        return self.some(
            likely,
            account=['bank', 'shop'],
            source_addr=['MyBank', ['Shop*', '777'], 'Info'],
            destination=['7916*', ['7903*', '7701*'], '~3$'],
            text=['~code', ['hello', 'привет*']],
            keyword=[['code', 'pin']],
            category=['authorization', 'advertising'],
            priority=[3, '>1', [0, 2]],
            parts=['>1', 1],
            operator=['mts', ['kcell', 'beeline']],
            country=['RU', ['KZ', 'DE']],
        )

    def default(self) -> list[dict[str, Any]]:
        """Return the route for all others, if there is one."""
        order = self.random.sample(OPERATORS, 3)
        split = {order[0]: 3, order[1]: 1}
        actions: list[dict[str, Any]] = [{'failover': order}, {'cheapest': order}, {'split': split}]
        return [{'name': 'rest'} | self.random.choice(actions)] if self.random.random() < 0.7 else []

    def route(self, name: str, depth: int = 0) -> dict[str, Any]:
        draw = self.random
        when = self.when(0.12) or draw.choice([{'account': 'shop'}, {'priority': '<2'}, {'country': 'RU'}])
        route: dict[str, Any] = {'name': name, 'when': when} | self.some(0.2, priority=[0, 1, 3])
        if draw.random() < 0.2:
            route['unless'] = self.when(0.2) or {'country': 'KZ'}
        if depth == 0 and draw.random() < 0.25:
            return route | {'routes': [self.route(f'n{number}', 1) for number in range(2)]}
        order = draw.sample(OPERATORS, 3)
        actions: list[dict[str, Any]] = [
            {'failover': order},
            {'split': {order[0]: 70, order[1]: 30}},
            {'split': {order[0]: 1, order[1]: 1, order[2]: 1}},
            {'cheapest': order},
            {'reject': self.status()},
            {'drop': True},
        ]
        return route | draw.choice(actions)

    def question(self) -> Question:
        """A message; now and then the one before again."""
        draw = self.random
        if self.asked is None or draw.random() < 0.7:
            name, text = draw.choice(('bank', 'shop')), draw.choice(TEXTS)
            self.asked = question_of(name, draw.choice(DESTINATIONS), 0, draw.choice(SENDERS), text)
        return msgspec.structs.replace(self.asked, now_ms=wall_ms())


@pytest.fixture
async def running(product, start_smsc, bind, tmp_path):
    """A product with three operators, a number plan and stop-lists of its own, and an ESME of each account."""

    async def start(**tree: Any) -> Any:
        smscs = {name: await start_smsc() for name in OPERATORS}
        prices = dict(zip(OPERATORS, ('dear', 'cheap', None), strict=True))
        upstreams = {
            name: upstream(smsc.port) | ({'prices': prices[name]} if prices[name] else {})
            for name, smsc in smscs.items()
        }
        accounts = {'bank': account(), 'shop': account()}
        found = await product(start=False, **{'accounts': accounts, 'upstreams': upstreams, **TREE, **tree})
        table = tmp_path / 'own.csv'
        table.write_text(PLAN, encoding='utf-8')
        await invoked(found, 'plan', 'import', str(table))
        for name, entries in LISTS.items():
            await in_store(found, put, name, [entries], Change('test', wall_ms(), 'asked for it'))
        await found.start()
        for smsc in smscs.values():
            await everywhere_bound(smsc)
        return found, smscs, {name: await bind(found, name) for name in ('bank', 'shop')}

    return start


async def in_store(product, what, *arguments):
    """Does something with the store of a product."""
    connection = await asyncpg.connect(**product.arguments)
    try:
        return await what(connection, *arguments)
    finally:
        await connection.close()


async def invoked(product, *arguments: str) -> str:
    """What a command prints while no server runs in this process; it must succeed."""
    arguments = (*arguments, '-c', str(product.path))
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


async def explained(product, question: Question) -> dict[str, Any]:
    """What the running server answers `smsc route`."""
    found: dict[str, Any] = await answer_question(product.node, msgspec.structs.asdict(question))
    return found


def promised(explanation: dict[str, Any]) -> tuple[Any, ...]:
    """What an explanation says would happen: ('refused', status), ('repeated', id) or ('accepted', route, upstream,
    priority), the last two None where it goes nowhere.
    """
    outcome, route = explanation['outcome'], explanation['route']
    if refused := re.match(r'refused with (\w+)', outcome):
        name = refused[1]
        return 'refused', int(CommandStatus[name]) if name in CommandStatus.__members__ else int(name, 0)
    if repeated := re.match(r'answered as message (\d+)', outcome):
        return 'repeated', int(repeated[1])
    if outcome.startswith('accepted'):
        return 'accepted', 'policy' if 'dropped with' in outcome else route, None, None
    sent = re.match(r'goes to (\w+).*\(priority (\d)\)', outcome)
    assert sent, outcome
    assert sent[1] == explanation['upstreams'][0]
    return 'accepted', route, sent[1], int(sent[2])


async def happened(product, responses: list[Any], known: set[int]) -> list[tuple[Any, ...]]:
    """What has become of messages, told in the same way; by the response and by the store. `known` are those before."""
    ids = [int(response.message_id) for response in responses if not response.command_status]
    rows = await in_store(
        product, lambda connection: connection.fetch('select * from message where id = any($1::bigint[])', ids)
    )
    by_id = {row['id']: row for row in rows}
    found: list[tuple[Any, ...]] = []
    for response in responses:
        if response.command_status:
            found.append(('refused', response.command_status))
            continue
        message_id = int(response.message_id)
        row = by_id[message_id]
        if message_id in known:
            found.append(('repeated', message_id))
        elif row['upstream']:
            found.append(('accepted', row['route'], row['upstream'], row['priority']))
        else:
            found.append(('accepted', row['route'], None, None))
        known.add(message_id)
    return found


async def test_whatever_the_configuration_the_server_does_what_explain_says(running):
    product, smscs, esmes = await running()
    kinds: Counter[str] = Counter()
    refusals: set[tuple[int, int]] = set()
    sent = 0
    known: set[int] = set()
    for seed in range(SEED, SEED + CONFIGURATIONS):
        drawn = Drawn(seed)
        product.write(**dict.fromkeys(('accounts', 'templates', 'fraud', 'senders', 'stop_lists')))
        product.write(**drawn.tree())
        await product.reload()
        said, responses = [], []
        for _ in range(MESSAGES):
            question = drawn.question()
            explanations = [await explained(product, question) for _ in range(3)]
            assert explanations[0] == explanations[1] == explanations[2], (seed, question)
            said.append((question, explanations[0]))
            responses.append(await esmes[question.account].ask(submit_of(question)))
        done = await happened(product, responses, known)
        for (question, explanation), response, outcome in zip(said, responses, done, strict=True):
            assert promised(explanation) == outcome, (seed, question, explanation)
            kinds[outcome[0] if outcome[-1] is not None else f'unsent, route {outcome[1] or "none"}'[:20]] += 1
            refusals |= {(response.command_status, 1 + (len(question.text) > 160))}
            sent += (outcome[0] == 'accepted' and outcome[2] is not None) * (1 + (len(question.text) > 160))
    await until(lambda: sum(len(smsc.submits) for smsc in smscs.values()) >= sent)
    assert sum(len(smsc.submits) for smsc in smscs.values()) == sent
    assert set(kinds) > {'accepted', 'refused', 'repeated', 'unsent, route policy', 'unsent, route none'}
    assert set(product.node.core.policy.objections) == set(STEPS)
    assert refusals > {(CommandStatus.ESME_RINVMSGLEN, 2), (CommandStatus.ESME_RINVDSTADR, 1), (0x0456, 1)}


# The command


RULES: dict[str, Any] = {
    'stop_lists': {'status': 'ESME_RINVDSTADR'},
    'templates': {'codes': {'entries': [{'template': 'code %d', 'category': 'authorization'}]}},
    'routes': [
        {'name': 'no advertising', 'when': {'category': 'advertising'}, 'reject': 'ESME_RSUBMITFAIL'},
        {'name': 'Kazakhstan', 'when': {'operator': 'kcell'}, 'failover': ['kcell', 'mts']},
        {'name': 'Russia', 'when': {'country': 'RU'}, 'split': {'mts': 50, 'tele2': 50}},
    ],
    'accounts': {'bank': account(templates='codes', category='service'), 'shop': account(category='advertising')},
}
CODE = ('--account', 'bank', '--sender', 'MyBank', '--text', 'code 4711')


async def test_the_command_tells_each_step_what_it_found_and_which_route_matched_and_why(running):
    product, smscs, esmes = await running(**RULES)
    status, out, error = await run_command(product, 'route', '89160000005', *CODE)
    assert (status, error) == (0, '')
    lines = [' '.join(line.split()) for line in out.splitlines()]
    assert lines[1].startswith('number 79160000005 RU')
    assert lines[1].endswith('operator mts')
    assert any(line.startswith('step templates') and 'authorization' in line for line in lines)
    assert any(line.startswith('step stop_lists') and 'on none of: global' in line for line in lines)
    assert '- route no advertising category authorization is not advertising' in lines
    assert '- route Kazakhstan operator mts is not kcell' in lines
    assert '+ route Russia country RU is RU' in lines
    assert 'upstream mts available' in lines
    assert lines[-1] == '= goes to mts, else tele2 (priority 0)'
    found = await command_json(product, 'route', '79160000001', '--json', *CODE)
    assert found['outcome'].startswith('refused with ESME_RINVDSTADR: stop-list global: 79160000001')
    assert found['findings'][-1]['mark'] == 'no'
    assert all(smsc.submits == [] for smsc in smscs.values())
    assert (await product.ledger()).accepted == 0
    await esmes['bank'].submit(b'code 1', destination_addr=b'79160000005')
    await smscs['mts'].submitted(1)  # the split is where it was


async def test_an_upstream_that_is_off_or_away_is_said_to_be(running):
    product, smscs, _ = await running(**RULES)
    await smscs['tele2'].stop()
    await until(lambda: not product.node.core.upstreams['tele2'].reachable)
    await ask(product.node.core.configuration.data, 'switch', kind='upstream', name='mts', off=True, who='me', note='')
    found = await explained(product, question_of('bank', '79160000005', wall_ms(), 'MyBank', 'code 1'))
    states = {line['topic']: line['text'] for line in found['findings'] if line['topic'].startswith('upstream')}
    assert states == {'upstream mts': 'switched off by hand', 'upstream tele2': 'not available now'}


async def test_credit_that_does_not_pay_is_said_and_a_question_takes_nothing_of_it(running):
    product, _, esmes = await running(**RULES)
    product.write(accounts={'bank': {'prices': 'ours', 'credit': 'prepaid', 'credit_status': 'ESME_RMSGQFUL'}})
    await in_store(product, change_balance, 'bank', 250_000, 'test', '')
    await product.reload()
    credit = product.node.core.store.credit
    await credit.refresh(['bank'])
    question = question_of('bank', '79160000005', wall_ms(), 'MyBank', 'code 1')
    for _ in range(3):
        assert promised(await explained(product, question))[0] == 'accepted'
    await esmes['bank'].ask(submit_of(question))
    assert promised(await explained(product, question)) == ('refused', CommandStatus.ESME_RMSGQFUL)
    assert (await esmes['bank'].ask(submit_of(question))).command_status == CommandStatus.ESME_RMSGQFUL


async def test_questions_that_are_none_are_answered_with_what_to_do(running):
    product, _, _ = await running(**RULES)
    data = product.node.core.configuration.data
    fields: dict[str, Any] = {'account': 'bank', 'destination': '79160000005', 'now_ms': 0}
    with pytest.raises(ControlError, match='no account later; smsc reload brings a new one'):
        await ask(data, 'route', **fields | {'account': 'later'})
    with pytest.raises(ControlError, match='cannot be sent'):
        await ask(data, 'route', **fields | {'source_addr': 'Банк'})
    for nonsense in ({'account': 7}, {'now_ms': 'never'}, {'text': None}):
        with pytest.raises(ControlError, match='no question'):
            await ask(data, 'route', **fields | nonsense)
    status, _, error = await run_command(product, 'route', '7916', '--account', 'nobody')
    assert (status, error) == (1, 'Error: no account nobody; there are: bank, shop\n')


async def test_without_a_server_the_command_tells_what_files_and_store_say(running):
    product, _, _ = await running(**RULES)
    await ask(
        product.node.core.configuration.data, 'switch', kind='route', name='Kazakhstan', off=True, who='', note=''
    )
    await product.stop()
    found = json.loads(await invoked(product, 'route', '89160000005', '--json', *CODE))
    assert 'no server runs' in found['findings'][0]['text']
    assert (found['route'], found['upstreams']) == ('Russia', ['mts', 'tele2'])
    found = json.loads(await invoked(product, 'route', '79990000000', '--json', *CODE))
    assert found['outcome'].startswith('refused with ESME_RINVDSTADR: stop-list global: 7999*')
    found = json.loads(await invoked(product, 'route', '77010000000', '--json', *CODE))
    assert [line['text'] for line in found['findings'] if 'Kazakhstan' in line['topic']] == ['switched off by hand']


MO = [
    {'name': 'opt-out', 'when': {'destination': '4400', 'keyword': 'STOP'}, 'account': 'shop'},
    {'name': 'Russia', 'when': {'upstream': 'mts', 'country': 'RU'}, 'account': 'bank'},
]


async def test_an_mo_message_is_explained_as_its_routes_decide(running):
    product, _, _ = await running(**RULES, mo=MO)
    asked = ('route', '4400', '--mo', 'mts', '--sender', '+79160000005', '--text')
    status, out, error = await run_command(product, *asked, 'hello')
    assert (status, error) == (0, '')
    lines = [' '.join(line.split()) for line in out.splitlines()]
    assert lines[0] == 'upstream mts to 4400, from +79160000005'
    assert lines[1].startswith('number 79160000005 RU')
    assert '- mo opt-out keyword hello is not stop' in lines
    assert '+ mo Russia upstream mts is mts, country RU is RU' in lines
    assert lines[-1] == '= goes to account bank'
    data = product.node.core.configuration.data
    question = {'upstream': 'tele2', 'destination': '4400', 'now_ms': 0, 'source_addr': '7916', 'text': 'Stop it'}
    assert (await ask(data, 'route_mo', **question))['outcome'] == 'goes to account shop'
    nobody = await ask(data, 'route_mo', **question | {'text': ''})
    assert nobody['outcome'] == 'refused with ESME_RX_P_APPN: no route under `mo` matches'
    with pytest.raises(ControlError, match='no upstream later; smsc reload brings a new one'):
        await ask(data, 'route_mo', **question | {'upstream': 'later'})
    await product.stop()
    assert (await invoked(product, *asked, 'stop')).splitlines()[-1] == '= goes to account shop'
