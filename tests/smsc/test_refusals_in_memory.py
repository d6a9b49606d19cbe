"""Refusals that were given stay nowhere: an ESME beyond its limits does not make the server grow."""

import gc
from types import TracebackType

from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import account, free_port, upstream

REFUSED = 3_000


def tracebacks():
    gc.collect()
    return sum(type(each) is TracebackType for each in gc.get_objects())


async def test_thousands_of_throttled_messages_leave_nothing_in_memory(product, bind):
    """Refused by rate, each used to leave its traceback, with its PDU, on the one refusal that was raised for all."""
    running = await product(
        upstreams={'any': upstream(free_port(), simulated={})}, accounts={'bank': account(rate_per_s=1, window=5000)}
    )
    esme = await bind(running)
    before = tracebacks()
    responses = await esme.ask_all([submit(registered_delivery=0) for _ in range(REFUSED)])
    throttled = sum(response.command_status == CommandStatus.ESME_RTHROTTLED for response in responses)
    assert throttled > REFUSED - 20
    assert tracebacks() - before < REFUSED // 10
