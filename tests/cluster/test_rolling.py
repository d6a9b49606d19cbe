"""Nodes end in order, one after another: nobody notices who has another bind."""

import asyncio
from collections import Counter

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from tests.product.peers import Esme, submit
from tests.product.running import free_port, upstream
from tests.product.waiting import until, until_async

MESSAGES = 300
RETRIED = {CommandStatus.ESME_RINVBNDSTS, CommandStatus.ESME_RSYSERR}


class Sender:
    """An ESME with a bind at each node, which binds again when it was told to part, and submits where it can."""

    def __init__(self, nodes, bind) -> None:
        self.nodes = nodes
        self.ids: list[str] = []
        self.sessions: dict[int, Esme] = {}
        self.all: list[Esme] = []
        self.is_finishing = asyncio.Event()
        self._bind = bind

    async def bind(self, number):
        """Binds at one node as soon as that lets it."""

        async def bound():
            try:
                return await self._bind(self.nodes[number])
            except (OSError, EOFError):
                return None

        esme = await until_async(bound)
        esme.parts = False  # only when all that it has asked is answered
        self.sessions[number] = esme
        self.all.append(esme)

    async def run(self):
        """Submits one message after another until it is told to finish, and a few hundred are accepted."""
        turn = 0
        while len(self.ids) < MESSAGES or not self.is_finishing.is_set():
            turn += 1
            number = turn % len(self.nodes)
            esme = self.sessions.get(number)
            if esme is None:
                await asyncio.sleep(0)
            elif any(isinstance(pdu, pdus.Unbind) for pdu in esme.inbox):
                del self.sessions[number]
                esme.send(pdus.UnbindResp((await esme.take(pdus.Unbind)).sequence_number))
            else:
                response = await esme.ask(submit(b'text %d' % len(self.ids)))
                if response.command_status not in RETRIED:
                    assert response.command_status == 0, hex(response.command_status)
                    assert isinstance(response, pdus.SubmitSmResp)
                    self.ids.append(response.message_id.decode())


@pytest.mark.wire('G9')
async def test_an_esme_with_two_binds_loses_nothing_while_nodes_restart_one_after_another(nodes, start_operator, bind):
    port = free_port()
    await start_operator(port)
    found = await nodes(2, upstreams={'mts': upstream(port, links=2)})
    sender = Sender(found, bind)
    for number in range(2):
        await sender.bind(number)
    sending = asyncio.create_task(sender.run())
    for number, node in enumerate(found):
        assert await node.stop() == 0
        await node.start()
        await sender.bind(number)
    sender.is_finishing.set()
    await sending

    def receipts():
        return Counter(pdu.short_message.split()[0].decode() for esme in sender.all for pdu in esme.delivered)

    await until(lambda: len(receipts()) >= len(sender.ids))
    assert receipts() == Counter(f'id:{one}' for one in sender.ids)
    await found[1].settle(DELIVERED=len(sender.ids))


async def test_what_waits_at_a_node_that_is_stopped_goes_on_at_another_at_once(nodes, start_smsc, bind):
    smsc = await start_smsc(start=False)
    first, _ = await nodes(2, cluster={'dead_s': 60}, upstreams={'mts': upstream(smsc.port)})
    esme = await bind(first)
    texts = {b'text %d' % number for number in range(30)}
    for text in texts:
        await esme.submit(text)
    assert await first.stop() == 0
    await smsc.start()
    assert {pdu.short_message for pdu in await smsc.submitted(len(texts))} == texts
