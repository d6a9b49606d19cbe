"""Cancelling and replacing while messages move between memory, disk and operator: nothing is said that is not so."""

import asyncio
from collections import Counter

import pytest

from domain.message import Split
from pdu import pdus
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from smsc import amendments
from smsc.outbox import Outbox
from smsc.queued import PAGE, is_untouched
from tests.domain.messages import mt_message
from tests.product.peers import submit
from tests.product.running import account, free_port, upstream
from tests.product.waiting import until

S = CommandStatus


@pytest.fixture
async def moving(product, start_smsc, bind):
    """A product with a small memory, its operator up, and an ESME."""
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=5)},
        accounts={'bank': account(window=5000)},
        queues={'memory': 100},
    )
    return found, smsc, await bind(found)


async def more(smsc, count):
    """Waits until the operator has got so many messages more."""
    before = len(smsc.submits)
    await until(lambda: len(smsc.submits) > before + count)


class Taking:
    """Answers as an operator that takes every message but those it has `refusals` for; `taken` are the texts."""

    def __init__(self, smsc) -> None:
        self.taken: list[bytes] = []
        self.refusals: list[int] = []
        self._smsc = smsc
        smsc.script = self._answer

    def _answer(self, pdu):
        if self.refusals:
            return self.refusals.pop()
        self.taken.append(pdu.short_message)
        return self._smsc.next_id()


async def flap(smsc, taking, times):
    """Has the operator throttle, refuse for now, and lose its links, now and then."""
    answers = [S.ESME_RTHROTTLED, S.ESME_RSYSERR]
    for turn in range(times):
        await more(smsc, 20)
        taking.refusals += [answers[turn % 2]] * 3
        if turn % 3 == 2:
            await smsc.stop()
            await smsc.start()


@pytest.mark.wire('C31')
async def test_no_operator_takes_a_cancelled_message_and_any_other_is_taken(moving):
    found, smsc, esme = moving
    taking = Taking(smsc)
    texts = [b'%04d' % number for number in range(1200)]
    ids = await esme.submit_all(submit(text, registered_delivery=0) for text in texts)
    flapping = asyncio.create_task(flap(smsc, taking, 6))
    said: dict[bytes, int] = {}
    for first in range(0, 1200, 100):
        page = slice(1200 - first - 100, 1200 - first)
        requests = [pdus.CancelSm(message_id=i.encode(), source_addr=b'MyBank') for i in ids[page]]
        for text, answer in zip(texts[page], await esme.ask_all(requests), strict=True):
            said[text] = answer.command_status
    flapping.cancel()
    await asyncio.gather(flapping, return_exceptions=True)
    taking.refusals.clear()
    await until(lambda: found.node.core.accounts['bank'].waiting == 0)
    assert Counter(said.values()).keys() == {0, S.ESME_RCANCELFAIL}
    refused = {text for text, status in said.items() if status == S.ESME_RCANCELFAIL}
    assert set(taking.taken) == refused
    cancelled = len(texts) - len(refused)
    assert await found.settle(DELETED=cancelled, ACCEPTED=len(refused))


@pytest.mark.wire('C32')
async def test_a_replaced_message_reaches_the_operator_with_its_last_text_only(moving):
    found, smsc, esme = moving
    ids = await esme.submit_all(submit(b'old %04d' % number, registered_delivery=0) for number in range(600))
    requests = [
        pdus.ReplaceSm(message_id=i.encode(), source_addr=b'MyBank', short_message=b'new %04d' % number)
        for number, i in enumerate(ids)
    ]
    answers = await esme.ask_all(requests[:299:-1]) + await esme.ask_all(requests[299::-1])
    await until(lambda: found.node.core.accounts['bank'].waiting == 0)
    replaced = {599 - place for place, answer in enumerate(answers) if answer.command_status == 0}
    assert {answer.command_status for answer in answers} <= {0, S.ESME_RREPLACEFAIL}
    assert replaced
    expected = [b'new %04d' % number if number in replaced else b'old %04d' % number for number in range(600)]
    assert sorted(pdu.short_message for pdu in smsc.submits) == sorted(expected)
    await found.settle(ACCEPTED=600)


async def test_while_the_store_is_away_an_error_comes_at_once_and_nothing_happens(breaking, product, bind, databases):
    found = await product(
        dsn=lambda database: databases.dsn(database, breaking.folder), upstreams={'mts': upstream(free_port())}
    )
    esme = await bind(found)
    message_id = (await esme.submit(registered_delivery=0)).encode()
    await breaking.cut()
    assert (await esme.ask(submit())).command_status == S.ESME_RSYSERR  # by now the server has seen it
    for request in (
        pdus.QuerySm(message_id=message_id, source_addr=b'MyBank'),
        pdus.CancelSm(message_id=message_id, source_addr=b'MyBank'),
        pdus.CancelSm(source_addr=b'MyBank', destination_addr=b'79161234567'),
        pdus.ReplaceSm(message_id=message_id, source_addr=b'MyBank', short_message=b'another'),
    ):
        assert (await esme.ask(request)).command_status == S.ESME_RSYSERR
    await breaking.restore()
    await until(lambda: found.node.core.store.health.available)
    answer = await esme.ask(pdus.CancelSm(message_id=message_id, source_addr=b'MyBank'))
    assert answer.command_status == 0


def test_a_message_of_which_a_segment_was_refused_for_good_is_no_longer_queued():
    message = mt_message()
    assert is_untouched(message)
    message.split = Split(3, set())
    assert is_untouched(message)
    message.split.ended = int(MessageState.UNDELIVERABLE), int(S.ESME_RINVDSTADR)
    assert not is_untouched(message)
    message.split = Split(3, {1})
    assert not is_untouched(message)


# While the disk is read, and when it does not take what is written


class Held:
    """Holds what the store finds of queued messages on its way back, or lets it refuse what is written."""

    def __init__(self, found, monkeypatch) -> None:
        self.read = asyncio.Event()
        self.passing = asyncio.Event()
        self._monkeypatch = monkeypatch
        self._store = found.node.core.store
        self._waiting_of = self._store.amending.waiting_of
        monkeypatch.setattr(self._store.amending, 'waiting_of', self._hold)

    async def _hold(self, ids):
        rows = await self._waiting_of(ids)
        self.read.set()
        await self.passing.wait()
        return rows

    def refuse_to_write(self):
        async def refuse(*_):
            raise ValueError('no such value')

        self.passing.set()
        self._monkeypatch.setattr(self._store, 'finish_late', refuse)
        self._monkeypatch.setattr(self._store.amending, 'replace', refuse)

    def hold_writes(self, named):
        """Holds what `named` of the store is to commit; returns the events that it has begun, and may go on."""
        begun, going_on = asyncio.Event(), asyncio.Event()
        owner = self._store.amending if named == 'replace' else self._store
        commit = getattr(owner, named)

        async def hold(*arguments):
            begun.set()
            await going_on.wait()
            return await commit(*arguments)

        self.passing.set()
        self._monkeypatch.setattr(owner, named, hold)
        return begun, going_on


@pytest.fixture
async def one(product, start_smsc, bind, monkeypatch):
    """A product with one message, which waits on disk; its operator is down and will not answer."""
    smsc = await start_smsc(start=False)
    smsc.script = lambda pdu: None
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)}, accounts={'bank': account(), 'shop': account()}
    )
    esme = await bind(found)
    message_id = await esme.submit(b'original', registered_delivery=0)
    await found.node.core.shelf.drain()
    cancel = pdus.CancelSm(message_id=message_id.encode(), source_addr=b'MyBank')
    return found, smsc, esme, Held(found, monkeypatch), cancel


@pytest.mark.wire('C31')
async def test_what_the_operator_takes_while_it_is_looked_for_is_not_cancelled(one):
    found, smsc, esme, held, cancel = one
    await smsc.start()
    (sent,) = await smsc.submitted(1)
    asking = asyncio.create_task(esme.ask(cancel))
    await held.read.wait()
    smsc.respond(smsc.bound[-1], sent, smsc.next_id())
    await until(lambda: found.node.core.shelf.loaded == set())
    held.passing.set()
    assert (await asking).command_status == S.ESME_RCANCELFAIL
    await found.settle(ACCEPTED=1)


@pytest.mark.wire('C31')
async def test_what_comes_back_from_the_operator_while_it_is_looked_for_is_cancelled(one):
    found, smsc, esme, held, cancel = one
    await smsc.start()
    (sent,) = await smsc.submitted(1)
    asking = asyncio.create_task(esme.ask(cancel))
    await held.read.wait()
    smsc.respond(smsc.bound[-1], sent, S.ESME_RSYSERR)
    await until(lambda: found.node.core.shelf.load == 1)  # on its way to the disk, for a later time
    held.passing.set()
    assert (await asking).command_status == 0
    await found.settle(DELETED=1)
    assert len(smsc.submits) == 1


async def test_what_the_esme_was_refused_does_not_happen_later(one, monkeypatch):
    found, smsc, esme, held, cancel = one
    monkeypatch.setattr(amendments, 'ANSWER_S', 0.05)
    assert (await esme.ask(cancel)).command_status == S.ESME_RSYSERR
    held.passing.set()
    smsc.script = lambda pdu: smsc.next_id()
    await smsc.start()
    await found.settle(ACCEPTED=1)


@pytest.mark.wire('C3')
@pytest.mark.parametrize('kind', ['cancel', 'cancel alike', 'replace', 'replace if present'])
async def test_an_esme_hears_of_the_outcome_of_a_commit_that_has_begun(one, monkeypatch, kind):
    found, smsc, esme, held, cancel = one
    monkeypatch.setattr(amendments, 'ANSWER_S', 0.4)
    request = {
        'cancel': cancel,
        'cancel alike': pdus.CancelSm(source_addr=b'MyBank', destination_addr=b'79161234567'),
        'replace': pdus.ReplaceSm(message_id=cancel.message_id, source_addr=b'MyBank', short_message=b'another'),
        'replace if present': submit(b'another', replace_if_present_flag=1, registered_delivery=0),
    }[kind]
    begun, going_on = held.hold_writes('finish_late' if 'cancel' in kind else 'replace')
    asking = asyncio.create_task(esme.ask(request))
    await begun.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), amendments.ANSWER_S + 0.1)
    going_on.set()
    assert (await asking).command_status == 0
    smsc.script = lambda pdu: smsc.next_id()
    await smsc.start()
    await found.settle(**{'DELETED' if 'cancel' in kind else 'ACCEPTED': 1})
    assert [pdu.short_message for pdu in smsc.submits] == ([] if 'cancel' in kind else [b'another'])


async def test_of_one_account_so_many_requests_are_under_way_and_others_are_not_held_up(one, bind, monkeypatch):
    found, _, esme, held, cancel = one
    monkeypatch.setattr(amendments, 'UNDER_WAY', 3)
    message_id = cancel.message_id.decode()
    requests = [pdus.CancelSm(message_id=cancel.message_id, source_addr=b'MyBank') for _ in range(5)]
    asking = [asyncio.create_task(esme.ask(request)) for request in requests]
    assert {(await answer).command_status for answer in asking[3:]} == {S.ESME_RTHROTTLED}
    stranger = await bind(found, 'shop')
    assert (await stranger.ask(pdus.QuerySm(message_id=message_id.encode()))).command_status == S.ESME_RQUERYFAIL
    held.passing.set()
    assert sorted([(await answer).command_status for answer in asking[:3]]) == [0, *[S.ESME_RCANCELFAIL] * 2]
    assert (await esme.ask(pdus.QuerySm(message_id=message_id.encode(), source_addr=b'MyBank'))).command_status == 0


async def test_an_account_that_has_looked_through_memory_too_long_waits(one, bind):
    found, _, esme, held, cancel = one
    held.passing.set()
    turns = found.node.core.amendments.here.turns_of('bank')
    turns.looking.spend(60.0, found.node.core.loop.time())
    for request in (
        cancel,
        pdus.CancelSm(source_addr=b'MyBank', destination_addr=b'79161234567'),
        pdus.ReplaceSm(message_id=cancel.message_id, source_addr=b'MyBank', short_message=b'another'),
        submit(replace_if_present_flag=1),
    ):
        assert (await esme.ask(request)).command_status == S.ESME_RTHROTTLED
    assert (await esme.ask(submit(registered_delivery=0))).command_status == 0
    stranger = await bind(found, 'shop')
    assert (await stranger.ask(submit(replace_if_present_flag=1))).command_status == 0
    turns.looking.paid_at = 0.0
    assert (await esme.ask(cancel)).command_status == 0


@pytest.mark.parametrize('place', ['disk', 'memory'])
async def test_many_alike_are_cancelled_in_pages_and_others_have_their_turn_between(
    product, start_smsc, bind, monkeypatch, place
):
    smsc = await start_smsc(start=place == 'memory')
    smsc.script = lambda pdu: None
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)}, accounts={'bank': account(window=5000), 'shop': account()}
    )
    esme, stranger = await bind(found), await bind(found, 'shop')
    core = found.node.core
    feed = core.upstreams['mts'].feed
    of_stranger = submit(registered_delivery=0, destination_addr=b'79169999999')
    if place == 'memory':
        await until(lambda: feed.online)
        await esme.submit(b'before', registered_delivery=0)
        await smsc.submitted(1)
    (message_id,) = await stranger.submit_all([of_stranger])
    for _ in range(2):
        await esme.submit_all(submit(registered_delivery=0) for _ in range(600))
    await until(lambda: feed.outbox.in_memory == 1201 if place == 'memory' else feed.outbox.on_disk == 1201)
    done: list[tuple[str, int]] = []
    queued = core.amendments.here.queued
    cancel_page = queued.cancel

    async def note(page, held):
        done.append((page[0].message.account, len(page)))
        if len(done) == 1:
            await until(lambda: core.shelf._jobs)
        return await cancel_page(page, held)

    monkeypatch.setattr(queued, 'cancel', note)
    asking = asyncio.create_task(esme.ask(pdus.CancelSm(source_addr=b'MyBank', destination_addr=b'79161234567')))
    await until(lambda: done)
    other = await stranger.ask(pdus.CancelSm(message_id=message_id.encode(), source_addr=b'MyBank'))
    assert (other.command_status, (await asking).command_status) == (0, 0)
    assert done == [('bank', PAGE), ('shop', 1), ('bank', PAGE), ('bank', 200)]
    assert feed.outbox.depth == 0
    assert core.accounts['bank'].waiting == (place == 'memory')
    assert (await found.ledger()).final['DELETED'] == 1201


async def test_many_alike_in_memory_are_withdrawn_in_one_pass_a_page(product, start_smsc, bind, monkeypatch):
    passes: list[int] = []
    withdraw_all = Outbox.withdraw_all

    def note(outbox, page):
        passes.append(len(page))
        withdraw_all(outbox, page)

    monkeypatch.setattr(Outbox, 'withdraw_all', note)
    monkeypatch.delattr(Outbox, 'withdraw')
    smsc = await start_smsc()
    smsc.script = lambda pdu: None
    found = await product(upstreams={'mts': upstream(smsc.port, window=1)})
    esme = await bind(found)
    await esme.submit(b'before', registered_delivery=0)
    await smsc.submitted(1)
    await esme.submit_all(submit(registered_delivery=0) for _ in range(600))
    answer = await esme.ask(pdus.CancelSm(source_addr=b'MyBank', destination_addr=b'79161234567'))
    assert answer.command_status == 0
    assert passes == [PAGE, 100]


@pytest.mark.parametrize('place', ['disk', 'memory'])
async def test_a_message_whose_end_or_change_cannot_be_stored_is_delivered_as_it_was(one, place):
    found, smsc, esme, held, cancel = one
    held.refuse_to_write()
    if place == 'memory':
        await smsc.start()
        await smsc.submitted(1)
        last = await esme.submit(b'last', registered_delivery=0)
        cancel.message_id = last.encode()
        await until(lambda: found.node.core.upstreams['mts'].feed.outbox.in_memory == 1)
    replace = pdus.ReplaceSm(message_id=cancel.message_id, source_addr=b'MyBank', short_message=b'another')
    for request in (cancel, replace):
        assert (await esme.ask(request)).command_status == S.ESME_RSYSERR
    smsc.script = lambda pdu: smsc.next_id()
    if place == 'memory':
        smsc.respond(smsc.bound[-1], smsc.submits[0], smsc.next_id())
    else:
        await smsc.start()
    texts = [b'original', b'last'] if place == 'memory' else [b'original']
    assert [pdu.short_message for pdu in await smsc.submitted(len(texts))] == texts
    await found.settle(ACCEPTED=len(texts))
