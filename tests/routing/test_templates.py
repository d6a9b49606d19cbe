import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import template_index, template_matching
from routing.facts import Facts
from routing.template_index import TemplateList, TextTemplate, repeated
from routing.template_step import ListRules, TemplateStep
from routing.templates import HOST, LETTERS, WORD, Folding, Kind, TemplateError, parse

REFUSED = 0x45


def templates_of(*texts, **folding):
    return TemplateList('test', [TextTemplate(text) for text in texts], Folding(**folding))


def fits(template, text, **folding):
    return templates_of(template, **folding).find(text) == 0


@pytest.mark.parametrize(
    ('template', 'text'),
    [
        ('Ваш код: %d. Никому не сообщайте его.', 'Ваш код: 482910. Никому не сообщайте его.'),
        ('Уважаемый %w, ваш заказ готов', 'Уважаемый Иван-Кирилл, ваш заказ готов'),
        ('Dear %w, welcome', "Dear O'Neill, welcome"),
        ('Баланс %w руб.', 'Баланс 1234,50 руб.'),
        ('Запись на %w в %w', 'Запись на 12.05.2026 в 10:30'),
        ('%w{1,3}, вас ждут', 'Иван Иванович Иванов, вас ждут'),
        ('%w+ приглашает', 'Новая парикмахерская на углу приглашает'),
        ('%w{2} ждёт', 'Белый кролик ждёт'),
        ('Код %d{4}', 'Код 0012'),
        ('Код%d{4}', 'Код0012'),
        ('%d%a', '12abc'),
        ('Рейс %a{2}%d{1,4}', 'Рейс SU1402'),
        ('Подробнее: %url', 'Подробнее: https://shop.example/a?b=c#d'),
        ('Подробнее: %url.', 'Подробнее: shop.example/new.'),
        ('Сайт %url ждёт', 'Сайт пример.рф ждёт'),
        ('Скидка %d{1,2}%% на %any{0,20}!', 'Скидка 15% на всё, что видите!'),
        ('Скидка 20% всем', 'Скидка 20% всем'),
        ('Привет, %any{0,20} друг', 'Привет, друг'),
        ('Привет, %any{0,20} друг', 'Привет, мой старый друг'),
        ('%any{0,20} Привет', 'Привет'),
        ('Привет %w{0,2}', 'Привет'),
        ('Привет %w{0,2}', 'Привет мой друг'),
        ('Две  строки\nи пробелы', '  две строки и\u00a0 пробелы '),
        ('%any{0,10}%any{0,10}', 'что-нибудь'),
        ('Й и Ё', unicodedata.normalize('NFD', 'й и ё')),
        ('%w-%d', 'a-b-5'),
        ('%w{0,2}', ''),
        ('%any', ' '),
        ('%w.%d', '1.5.7'),
        ('您的验证码是%d,请勿泄露', '您的验证码是4821,请勿泄露'),
        ('नमस्ते %w', 'नमस्ते दुनिया'),
    ],
)
def test_a_text_matches_its_template(template, text):
    assert fits(template, text)


@pytest.mark.parametrize(
    ('template', 'text'),
    [
        ('Ваш код: %d', 'Ваш код: 12a'),
        ('Ваш код: %d', 'Ваш код: 1234 Купите слона'),
        ('Ваш код: %d', 'Купите. Ваш код: 1234'),
        ('Уважаемый %w, привет', 'Уважаемый Иван Иванович, привет'),
        ('Уважаемый %w', 'Уважаемый evil.example'),
        ('Уважаемый %w', 'Уважаемый http://evil'),
        ('Уважаемый %w', 'Уважаемый -'),
        ('%w{1,3}, вас ждут', 'Раз два три четыре, вас ждут'),
        ('%w{2,3} ждёт', 'Кролик ждёт'),
        ('Код %d{4}', 'Код 123'),
        ('Код %d{4}', 'Код 12345'),
        ('Код %d{4}', 'Код ١٢٣٤'),
        ('%a', 'abc1'),
        ('Подробнее: %url', 'Подробнее: сюда'),
        ('Подробнее: %url', 'Подробнее: https://shop.example и ещё'),
        ('Привет, %any{0,5} друг', 'Привет, мой старый друг'),
        ('Привет, %any{0,20} друг', 'Привет,друг'),
        ('Привет', ''),
        ('%w', ''),
    ],
)
def test_another_text_does_not(template, text):
    assert not fits(template, text)


def test_case_counts_only_where_a_list_says_so():
    assert fits('Ваш Код %d', 'ВАШ КОД 1')
    assert not fits('Ваш Код %d', 'ВАШ КОД 1', ignore_case=False)


def test_letters_that_look_alike_are_the_same_where_a_list_says_so():
    assert not fits('Ваш код %d', 'Bаш кoд 1')
    assert fits('Ваш код %d', 'Bаш кoд 1', look_alikes=True)


@pytest.mark.parametrize(
    ('template', 'what'),
    [
        ('', 'is empty'),
        ('  ', 'is empty'),
        ('%s', '%s is no placeholder; write one of %w, %d, %a, %url, %any, or %%'),
        ('%{1,2}', 'is no placeholder'),
        ('%drub', 'write %d{1,10} before a letter'),
        ('%d{5,1}', 'asks for too many or none'),
        ('%d{0,0}', 'asks for too many or none'),
        ('%any{0,5000}', 'n <= m <= 1000'),
        ('%w{1,99}', 'n <= m <= 30'),
        ('%d+', 'say how many'),
        ('%url{1,2}', 'asks for too many or none'),
        ('%w ' * 51, 'more than 50 placeholders'),
        ('a' * 2_001, 'more than 2000 characters'),
    ],
)
def test_a_template_that_is_none_says_what_to_write(template, what):
    with pytest.raises(TemplateError, match=re.escape(what)):
        parse(template, Folding())


def test_a_template_can_never_match_behind_one_that_says_the_same():
    assert repeated([TextTemplate('Код %d'), TextTemplate('Другой'), TextTemplate('КОД  %d')], Folding()) == [(2, 0)]


# The same by regular expressions, tried from the top: what the index and the matcher must agree with.

ONE_WORD = r"\w+(?:(?:[-'’]|(?<=[0-9])[.,:](?=[0-9]))\w+)*"
PIECE = re.compile(r'%%|%(url|any|[wda])(\+)?(?:\{(\d+)(?:,(\d+))?\})?')
DEFAULTS = {'w': (1, 1), 'd': (1, 20), 'a': (1, 50), 'url': (1, 1), 'any': (0, 100)}


def expression_of(template):
    parts = []
    place = 0
    source = ' '.join(template.split())
    for piece in PIECE.finditer(source):
        parts.append(re.escape(source[place : piece.start()].casefold()))
        place = piece.end()
        parts.append('%' if piece[0] == '%%' else expression_of_piece(piece, source))
    parts.append(re.escape(source[place:].casefold()))
    return re.compile((r'\ ' + ''.join(parts)).replace(r'\ (OPT', '(?:\\ '), re.DOTALL)


def expression_of_piece(piece, source):
    kind = piece[1]
    least, most = (1, 20) if piece[2] else DEFAULTS[kind]
    if piece[3]:
        least, most = int(piece[3]), int(piece[4] or piece[3])
    words = f'{ONE_WORD}(?: {ONE_WORD}){{{max(least - 1, 0)},{most - 1}}}'
    one = {
        'w': words if least else f'(?:{words})?',
        'd': f'[0-9]{{{least},{most}}}',
        'a': rf'[^\W\d_]{{{least},{most}}}',
        'url': r'(?:https?://)?(?>(?:[\w-]{1,63}\.){1,10}[\w-]{2,63}(?::[0-9]{1,5})?)(?:[/?#][^ ]*)?',
        'any': f'.{{{least},{most}}}',
    }[kind]
    before, behind = source[: piece.start()], source[piece.end() :]
    if least == 0 and (not before or before.endswith(' ')) and (not behind or behind.startswith(' ')):
        return f'(OPT{one})?'
    return one


def scan(templates, text):
    folded = ' ' + ' '.join(text.split()).casefold()
    for position, template in enumerate(templates):
        if expression_of(template).fullmatch(folded):
            return position
    return -1


WORDS = st.sampled_from(['ваш', 'код', 'Код', 'a-b', '12', '12.5', '1', "o'n", 'x.yz', 'a.bc/d', '-', '.', '%%', 'a'])
PLACEHOLDERS = st.sampled_from(
    ['%w', '%w{1,3}', '%w{2}', '%w{0,2}', '%d', '%d{1,2}', '%d{0,2}', '%a', '%url', '%any{0,5}', '%any{2,6}', '%w{2,3}']
)
SPACES = st.sampled_from([' ', ' ', ' ', ''])


@st.composite
def template_texts(draw):
    parts = draw(st.lists(st.tuples(st.one_of(WORDS, PLACEHOLDERS), SPACES), min_size=1, max_size=5))
    text = ''.join(part + space for part, space in parts)
    return re.sub(r'(%(?:[wda]|any|url))(?=[a-zA-Z])', r'\1 ', text)


TEXTS = st.lists(st.tuples(WORDS, SPACES), max_size=6).map(
    lambda parts: ''.join(part + space for part, space in parts).replace('%%', '%')
)


@given(st.lists(template_texts(), min_size=1, max_size=6), st.lists(TEXTS, min_size=1, max_size=6))
def test_the_index_finds_what_a_scan_from_the_top_finds(templates, texts):
    index = templates_of(*templates)
    for text in texts:
        assert index.find(text) == scan(templates, text), (templates, text)


def test_the_first_of_many_is_found_whatever_leads_to_it():
    texts = [f'Магазин {number}: ваш заказ %d готов' for number in range(500)]
    index = templates_of(*texts, 'Магазин %d: ваш заказ %d готов', '%any{0,100} готов', '%d-код', '%any{0,9}')
    assert index.find('Магазин 77: ваш заказ 5 готов') == 77
    assert index.find('Магазин 777: ваш заказ 5 готов') == 500
    assert index.find('Пирог готов') == 501
    assert index.find('12-код') == 502
    assert index.find('что?') == 503
    assert index.find('ничего подобного нет') == -1
    assert index.unindexed == (503,)


def test_few_of_many_are_tried(monkeypatch):
    tried = []
    index = templates_of(*(f'Магазин {number % 100}: заказ %d, подарок {number}' for number in range(5_000)))
    monkeypatch.setattr(template_index, 'matches', lambda pieces, text: tried.append(pieces))
    index.find('Магазин 7: заказ 12, подарок 107')
    assert len(tried) == 1


@pytest.mark.parametrize(
    ('template', 'text'),
    [
        ('%any{0,1000}a%any{0,1000}a%any{0,1000}a%any{0,1000}b', 'a' * 39_015),
        ('%w{0,30} %w{0,30} %w{0,30} %w{0,30}!', 'a ' * 19_000 + '!'),
        ('%w%w{1,30} %w{1,30}%w%w{1,30}!', 'a ' * 19_000 + '!'),
        ('%any{0,1000}%a{1,100}%any{0,1000}%a{1,100}!', 'a' * 39_015 + '!'),
        ('%w%w%w!', 'a' * 39_015 + '!'),
        ('%any{0,1000}%url%any{0,1000}%url!', 'a.' * 19_000 + '!'),
        ('%any{0,1000}%url%any{0,1000}%url!', 'a.bc/' * 9_000 + '!'),
        ('%w%w%w%w%w%w!', 'a-' * 19_000 + '!'),
    ],
)
def test_no_text_keeps_the_matcher_busy(template, text, monkeypatch):
    """What a match looks at is counted, not timed: runs measured once, however many places lead to them."""
    pieces = parse(template, Folding())
    measured = 0

    class Counted:
        def __init__(self, pattern):
            self.pattern = pattern

        def match(self, text, place):
            nonlocal measured
            found = self.pattern.match(text, place)
            measured += 1 + (found.end() - place if found else 0)
            return found

    def counted(pattern):
        return Counted(pattern)

    monkeypatch.setattr(template_matching, 'WORD', counted(WORD))
    letters = template_matching._run_spans(counted(LETTERS))
    monkeypatch.setitem(template_matching._SPANS, Kind.LETTERS, letters)
    monkeypatch.setattr(template_matching, 'HOST', counted(HOST))
    template_matching.matches(pieces, f' {text}')
    assert measured < 200 * len(text)


# The step


def facts_of(text, **others):
    return Facts('shop', 'Shop', '79161234567', 79161234567, lambda: text, **others)


def judged(facts, *lists):
    return TemplateStep(lists).judge(facts)


CODES = TemplateList(
    'codes',
    [
        TextTemplate('Код %d', 'code', 'authorization', 3),
        TextTemplate('Купите %any{0,100}', rejects=True),
        TextTemplate('Заказ %d готов'),
    ],
)
NEWS = TemplateList('news', [TextTemplate('Новости: %any{0,500}', category='advertising', priority=0)])


def test_the_template_that_matches_sets_category_and_priority():
    facts = facts_of('Код 1234', category='advertising', priority=0)
    assert TemplateStep([ListRules(CODES, REFUSED)]).judge(facts) is None
    assert (facts.category, facts.priority) == ('authorization', 3)


def test_a_template_without_them_leaves_what_the_message_has():
    facts = facts_of('Заказ 5 готов', category='service', priority=1)
    assert TemplateStep([ListRules(CODES, REFUSED)]).judge(facts) is None
    assert (facts.category, facts.priority) == ('service', 1)


def test_a_template_can_reject():
    verdict = judged(facts_of('Купите слона'), ListRules(CODES, REFUSED))
    assert verdict.status == REFUSED
    assert verdict.reason == 'templates: template 2 of codes (`Купите %any{0,100}`) rejects'


def test_a_text_that_matches_none_goes_on_or_not():
    assert judged(facts_of('Привет'), ListRules(CODES, REFUSED)) is None
    verdict = judged(facts_of('Привет'), ListRules(CODES, REFUSED, unmatched=8))
    assert (verdict.status, verdict.action) == (8, 'refuse')
    assert verdict.reason == 'templates: no template of codes matches'


def test_several_lists_are_tried_in_turn():
    step = TemplateStep([ListRules(CODES, REFUSED, unmatched=8), ListRules(NEWS, REFUSED)])
    facts = facts_of('Новости: дождь')
    assert step.judge(facts) is None
    assert facts.category == 'advertising'
    assert step.judge(facts_of('Привет')) is not None


def test_the_step_tells_what_it_found():
    step = TemplateStep([ListRules(CODES, REFUSED, unmatched=8)])
    assert step.tell(facts_of('код 1')) == 'template `code` of codes matches: category authorization, priority 3'
    assert step.tell(facts_of('Привет')) == 'no template of codes matches: refused'
