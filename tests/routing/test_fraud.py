import pytest
import re2

from routing.facts import Facts, Place
from routing.fraud import Counters, FraudRule, FraudStep
from routing.fraud_content import LinkRule, LookAlikeRule, TextRule
from routing.fraud_counts import MAX_KEYS, BurstRule, Ranges, SequenceRule, VelocityRule, Window
from routing.links import find_hosts
from routing.look_alikes import fold_name

REFUSED = 0x45
START_MS = 1_790_000_000_000
MINUTE_MS = 60_000


def facts_of(text='', **others):
    def read():
        assert text is not None, 'the text of a message that no rule on texts asks for was read'
        return text

    given = {'source_addr': 'Shop', 'destination': '79161234567', 'now_ms': START_MS, 'account': 'shop', **others}
    return Facts(number=int(given['destination']), read_text=read, **given)


def found(finder, text='', **others):
    return finder.find(facts_of(text, **others))


def step_of(*rules, monitor_only=False, report=None):
    return FraudStep(rules, {}, report, monitor_only=monitor_only)


# Texts


@pytest.mark.parametrize(
    ('patterns', 'text'),
    [
        (['казино'], 'Лучшее КАЗИНО города'),
        (['казино'], 'Лучшее кaзинo города'),  # Latin a and o
        (['casino*'], 'Two casinos'),
        (['быстрый кредит'], 'Вам быстрый\nкредит!'),
        (['~(?i)win \\d+ usd'], 'You WIN 500 USD'),
        (['nothing', '~x{3}', 'bonus'], 'a bonus'),
        (['$$$'], 'get $$$ now'),
    ],
)
def test_words_and_expressions_are_found_in_a_text(patterns, text):
    assert found(TextRule(patterns), text)


@pytest.mark.parametrize(
    ('patterns', 'text'),
    [(['казино'], 'казиношный'), (['casino'], 'two casinos'), (['~WIN'], 'win'), (['а.б'], 'а-б'), (['10'], 'to 100')],
)
def test_others_are_not(patterns, text):
    assert not found(TextRule(patterns), text)


def test_a_broken_expression_is_an_error():
    with pytest.raises(re2.error):
        TextRule(['~('])


@pytest.mark.parametrize(
    ('text', 'hosts'),
    [
        ('Смотри https://Shop.Example/a?b=c', ['shop.example']),
        ('Смотри shop.ru, там.', ['shop.ru']),
        ('Смотри www.shop.co.uk/a', ['www.shop.co.uk']),
        ('http://bank.ru@evil.com/x', ['evil.com']),
        ('http://3232235777/', ['3232235777']),
        ('http://10.0.0.1:8080/x', ['10.0.0.1']),
        ('пример.рф', ['пример.рф']),
        ('xn--e1afmkfd.xn--p1ai', ['пример.рф']),
        ('bit.ly/3xYz и t.me/abc', ['bit.ly', 't.me']),
        ('a.' * 20 + 'evil.com', ['a.' * 20 + 'evil.com']),
        ('Привет.Как дела', []),
        ('12.05.2026 в 10.30', []),
        ('Пишите на me@shop.ru', []),
        ('1.5/2', []),
        ('без ссылок', []),
    ],
)
def test_links_are_found_by_their_hosts(text, hosts):
    assert find_hosts(text) == hosts


@pytest.mark.parametrize(
    ('rule', 'text', 'finding'),
    [
        (LinkRule(), 'see shop.ru', 'a link is in the text'),
        (LinkRule(), 'see you', ''),
        (LinkRule(allow=['shop.ru']), 'see www.shop.ru/a', ''),
        (LinkRule(allow=['shop.ru']), 'see notshop.ru', 'a link to a host that is not allowed is in the text'),
        (
            LinkRule(allow=['shop.ru']),
            'see shop.ru and evil.com',
            'a link to a host that is not allowed is in the text',
        ),
        (LinkRule(block=['bit.ly']), 'see bit.ly/abc', 'a link to bit.ly is in the text'),
        (LinkRule(block=['bit.ly']), 'see shop.ru', ''),
        (LinkRule(protected=['mybank.ru']), 'see http://myb4nk.ru', 'a link in the text looks like one to mybank.ru'),
        (LinkRule(protected=['mybank.ru']), 'see mуbank.ru', 'a link in the text looks like one to mybank.ru'),
        (LinkRule(protected=['mybank.ru']), 'see xn--mbank-eze.ru', 'a link in the text looks like one to mybank.ru'),
        (LinkRule(protected=['mybank.ru']), 'see mybank.ru.evil.com', 'a link in the text looks like one to mybank.ru'),
        (LinkRule(protected=['mybank.ru']), 'see goоgle.com', 'a link in the text mixes alphabets'),
        (LinkRule(protected=['mybank.ru']), 'see www.mybank.ru and shop.ru', ''),
    ],
)
def test_links_are_judged_by_their_hosts(rule, text, finding):
    assert found(rule, text) == finding


# Names


@pytest.mark.parametrize(
    'sender', ['MyBank', 'MYBANK', 'МуВаnк', 'MyB4nk', 'My-Bank', 'MyBank Info', 'MyBankInfo', 'my.bank']
)
def test_a_sender_that_looks_like_a_protected_name_is_found(sender):
    assert found(LookAlikeRule(['MyBank', 'Sber']), source_addr=sender) == 'the sender looks like MyBank'


@pytest.mark.parametrize('sender', ['Shop', 'Bank', 'Sberry', '74951234567', '5638'])
def test_another_sender_is_not(sender):
    assert not found(LookAlikeRule(['MyBank', 'Sber']), source_addr=sender)


def test_a_text_may_name_a_protected_name_but_not_in_look_alike_letters():
    rule = LookAlikeRule(['Sber'], 'text')
    assert not found(rule, 'Оплатите через Sber или SBER', source_addr='Sber')
    assert found(rule, 'Ваш Sbеr: карта') == 'the text writes Sber in letters that look like it'
    assert not found(LookAlikeRule(['Lot'], 'text'), 'дом 107')


def test_names_fold_to_what_the_eye_sees():
    assert fold_name('Ｍу Ｂаnк') == fold_name('MyBank') == 'mybank'


# Counts


@pytest.mark.parametrize(
    ('rule', 'text'),
    [
        (TextRule(['casino']), 'casino'),
        (TextRule(['~c.sino']), 'casino'),
        (LinkRule(), 'http://a.ru/'),
        (LookAlikeRule(['Sberbank'], 'text'), '5berbank'),
    ],
)
def test_what_stands_behind_10000_characters_is_not_looked_at(rule, text):
    """So that no text keeps other messages waiting."""
    assert found(rule, ' ' * 9_900 + text)
    assert found(rule, ' ' * 10_000 + text) == ''


def test_a_host_of_many_labels_is_folded_once(monkeypatch):
    folded = []

    def note(name):
        folded.append(len(name))
        return name

    rule = LinkRule(protected=['mybank.ru'])
    monkeypatch.setattr('routing.links.fold_name', note)
    host = 'a.' * 100 + 'ru'
    assert found(rule, f'http://{host}/') == ''
    assert sum(folded) < len(host)


def burst_of(messages, digits=8, within_ms=MINUTE_MS, account='shop'):
    return BurstRule(account, Ranges(within_ms), messages, digits)


def judged(step, facts):
    return step.judge(facts)


def sent(step, count, *, after_ms=0, step_ms=0, **others):
    """Verdicts on messages, one after the other."""
    return [
        step.judge(facts_of(None, now_ms=START_MS + after_ms + number * step_ms, **others)) for number in range(count)
    ]


def test_a_burst_to_one_range_is_stopped_and_others_go_on():
    step = step_of(FraudRule('pumping', burst_of(10), status=REFUSED))
    verdicts = [step.judge(facts_of(None, destination=f'7916123{number:04}')) for number in range(12)]
    assert [verdict is None for verdict in verdicts] == [True] * 10 + [False] * 2
    assert verdicts[-1].reason == 'fraud rule `pumping`: more than 10 messages to 79161230*'
    assert step.judge(facts_of(None, destination='79169990000')) is None


def test_a_burst_is_over_when_its_time_is():
    step = step_of(FraudRule('pumping', burst_of(10), status=REFUSED))
    assert sent(step, 11)[-1] is not None
    assert sent(step, 1, after_ms=2 * MINUTE_MS) == [None]


def test_as_many_go_on_in_each_window_as_the_rule_lets():
    step = step_of(FraudRule('pumping', burst_of(60), status=REFUSED))
    verdicts = sent(step, 6_000, step_ms=100)  # ten minutes
    passed = sum(verdict is None for verdict in verdicts)
    assert 590 <= passed <= 660


def test_a_slow_stream_is_no_burst():
    step = step_of(FraudRule('pumping', burst_of(60), status=REFUSED))
    assert not any(sent(step, 500, step_ms=1_100))


def test_accounts_are_counted_apart():
    ranges = Ranges(MINUTE_MS)
    shop = step_of(FraudRule('pumping', BurstRule('shop', ranges, 5, 8)))
    bank = step_of(FraudRule('pumping', BurstRule('bank', ranges, 5, 8)))
    assert sent(shop, 6)[-1] is not None
    assert sent(bank, 5) == [None] * 5


def test_counts_are_bounded_whatever_the_numbers():
    ranges = Ranges(MINUTE_MS, limit=100)
    step = step_of(FraudRule('pumping', BurstRule('shop', ranges, 5, 11)))
    for number in range(10_000):
        step.judge(facts_of(None, destination=f'{79160000000 + number}'))
    assert len(ranges.window.present) <= 100
    assert len(ranges.window.former) <= 100
    assert MAX_KEYS < 1_000_000


def test_a_clock_that_is_set_back_does_not_stop_the_counts():
    ranges = Ranges(MINUTE_MS)
    step = step_of(FraudRule('pumping', BurstRule('shop', ranges, 5, 8)))
    assert sent(step, 5) == [None] * 5
    assert sent(step, 1, after_ms=-3_600_000)[0] is not None
    assert sent(step, 1, after_ms=-3_600_000 + 2 * MINUTE_MS) == [None]


def test_numbers_in_a_row_are_found_with_others_between_them():
    step = step_of(FraudRule('rows', SequenceRule(MINUTE_MS, 20)))
    verdicts = []
    for number in range(25):
        verdicts.append(step.judge(facts_of(None, destination=str(79161230000 + 3 * number))))
        assert step.judge(facts_of(None, destination=str(79030000000 + 7_919 * number))) is None
    assert verdicts[:20] == [None] * 20
    assert verdicts[20].reason == 'fraud rule `rows`: more than 20 numbers in a row'


def test_the_pace_of_an_account_is_limited_by_minute_hour_and_countries():
    pace = step_of(FraudRule('pace', VelocityRule(Counters().pace('pace', 'shop'), per_minute=5, per_hour=8)))
    assert [verdict is None for verdict in sent(pace, 7)] == [True] * 5 + [False] * 2
    assert [verdict is None for verdict in sent(pace, 5, after_ms=3 * MINUTE_MS)] == [True] * 3 + [False] * 2
    countries = step_of(FraudRule('lands', VelocityRule(Counters().pace('lands', 'shop'), countries=2)))
    verdicts = [countries.judge(facts_of(None, place=Place(country))) for country in ('RU', 'KZ', 'RU', 'SO', 'KZ', '')]
    assert [verdict is None for verdict in verdicts] == [True, True, True, False, True, True]
    assert verdicts[3].reason == 'fraud rule `lands`: more than 2 countries in an hour'


@pytest.mark.parametrize(
    'finder', [burst_of(3), SequenceRule(MINUTE_MS, 3), VelocityRule(Counters().pace('x', 'shop'), per_minute=3)]
)
def test_a_message_that_was_not_accepted_does_not_count(finder):
    step = step_of(FraudRule('rule', finder))
    number = 79161230000
    for _ in range(20):
        facts = facts_of(None, destination=str(number))
        assert step.judge(facts) is None
        step.forget(facts)
        number += 1
    for _ in range(3):
        assert step.peek(facts_of(None, destination=str(number))) is None
        assert step.judge(facts_of(None, destination=str(number))) is None
        number += 1
    assert step.judge(facts_of(None, destination=str(number))) is not None


def test_to_peek_counts_nothing():
    step = step_of(FraudRule('rule', burst_of(1)))
    assert [step.peek(facts_of(None)) for _ in range(5)] == [None] * 5


def test_what_is_a_while_ago_weighs_less():
    window = Window(MINUTE_MS)
    for _ in range(10):
        assert window.admits('7916', START_MS, 1_000)
    began_ms = START_MS - START_MS % MINUTE_MS
    assert window.about('7916', began_ms + MINUTE_MS) == 10
    assert window.about('7916', began_ms + MINUTE_MS * 3 // 2) == 5
    assert window.about('7916', began_ms + MINUTE_MS * 2) == 0


def test_what_one_limit_refuses_the_others_do_not_count():
    pace = Counters().pace('pace', 'shop')
    step = step_of(FraudRule('pace', VelocityRule(pace, per_minute=9, per_hour=2)))
    assert [verdict is None for verdict in sent(step, 6)] == [True] * 2 + [False] * 4
    assert pace.minute.about(0, START_MS) == 2


def test_a_message_that_a_later_rule_refuses_does_not_count():
    step = step_of(FraudRule('pumping', burst_of(3)), FraudRule('words', TextRule(['casino'])))
    for _ in range(5):
        assert judged(step, facts_of('casino')).reason == 'fraud rule `words`: a word of the rule is in the text'
    assert [judged(step, facts_of('hello')) for _ in range(3)] == [None] * 3


def test_a_rule_that_monitors_goes_on_counting():
    ranges = Ranges(MINUTE_MS)
    step = step_of(FraudRule('pumping', BurstRule('shop', ranges, 3, 8), 'monitor'))
    assert sent(step, 10) == [None] * 10
    assert sum(ranges.window.present.values()) == 10


# The step


def test_a_rule_that_monitors_counts_and_lets_go_on():
    reported = []
    hits: dict[str, int] = {}
    step = FraudStep(
        [FraudRule('watch', LinkRule(), 'monitor'), FraudRule('words', TextRule(['casino']), 'drop', REFUSED)],
        hits,
        lambda rule, facts, finding, stopped: reported.append((rule, finding, stopped)),
    )
    assert step.judge(facts_of('see shop.ru')) is None
    assert step.peek(facts_of('see shop.ru')) is None
    verdict = judged(step, facts_of('casino on shop.ru'))
    assert (verdict.action, verdict.status) == ('drop', REFUSED)
    assert hits == {'watch': 2, 'words': 1}
    assert reported == [
        ('watch', 'a link is in the text', False),
        ('watch', 'a link is in the text', False),
        ('words', 'a word of the rule is in the text', True),
    ]


def test_a_filter_that_only_monitors_stops_nothing():
    hits: dict[str, int] = {}
    step = FraudStep([FraudRule('a', LinkRule()), FraudRule('b', burst_of(1))], hits, monitor_only=True)
    assert [step.judge(facts_of('shop.ru')) for _ in range(3)] == [None] * 3
    assert hits == {'a': 3, 'b': 2}


def test_the_step_tells_what_each_rule_finds():
    step = step_of(FraudRule('watch', LinkRule(), 'monitor'), FraudRule('words', TextRule(['casino'])))
    assert step.tell(facts_of('casino on shop.ru')) == (
        'rule `watch`: a link is in the text: monitored; rule `words`: a word of the rule is in the text: refused'
    )
    assert step.tell(facts_of('good day')) == 'none of 2 rules finds anything'


def test_no_reason_repeats_the_text():
    secret = 'evil-secret.com'
    for rule in (LinkRule(), LinkRule(allow=['a.ru']), TextRule([r'~secret'])):
        verdict = step_of(FraudRule('rule', rule)).judge(facts_of(f'see {secret}'))
        assert 'secret' not in verdict.reason


def test_a_reload_goes_on_with_the_counts_of_rules_that_stay():
    counters = Counters()
    counters.hits['pumping'] = 7
    ranges = counters.ranges('pumping', MINUTE_MS, 8)
    pace = counters.pace('pace', 'shop')
    later = Counters(counters)
    assert later.hits == {'pumping': 7}
    assert later.ranges('pumping', MINUTE_MS, 8) is ranges
    assert later.ranges('pumping', MINUTE_MS, 9) is not ranges
    assert later.pace('pace', 'shop') is pace
