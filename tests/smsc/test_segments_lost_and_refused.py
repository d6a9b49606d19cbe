"""One segment refused for now while the outcome of another is unknown: both go again, and nothing else does."""

from pdu.status import CommandStatus
from tests.product.running import account, upstream
from tests.product.waiting import until


async def test_a_segment_refused_for_now_beside_one_without_an_answer_goes_again_on_the_same_link(
    product, bind, start_smsc, capsys
):
    """The message was sent anew as a whole; the lost segment of what it had been broke the stage, or the link."""
    smsc = await start_smsc()
    first: list[int] = []

    def answer(pdu):
        part = pdu.short_message[5]
        if part in first:
            return smsc.next_id()
        first.append(part)
        return int(CommandStatus.ESME_RSYSERR) if part == 1 else None

    smsc.script = answer
    running = await product(upstreams={'any': upstream(smsc.port, response_timeout_s=1)}, accounts={'bank': account()})
    esme = await bind(running)
    await esme.submit(b'x' * 300, esm_class=0, short_message=b'', tlvs=((0x0424, b'x' * 300),), registered_delivery=0)
    await until(lambda: len(smsc.submits) >= 4)
    await running.settle(ACCEPTED=1)
    assert sorted(pdu.short_message[5] for pdu in smsc.submits) == [1, 1, 2, 2]
    assert len(smsc.connections) == 1
    assert 'stage.error' not in ''.join(capsys.readouterr())
