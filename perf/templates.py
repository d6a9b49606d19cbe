"""How long one text takes among 10,000 templates: python -m perf.templates [--templates N] [--texts N].

Templates and texts are as banks and shops write them, in Russian. Texts that match, texts that miss by a word, and
texts that have nothing to do with any template are timed one by one; the median of each is what is printed.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

from perf.report import format_table
from routing.template_index import TemplateList, TextTemplate

NS_PER_US = 1_000
BRANDS = ('Ромашка', 'Лютик', 'Северный', 'Восток', 'Мир окон', 'Быстрый шаг', 'Альфа', 'Дом книги', 'Фора', 'Заря')
BODIES = (
    'Ваш код подтверждения: {code}. Никому не сообщайте его, даже сотрудникам. {brand}',
    '{brand}: списание {sum} руб. по карте *{last}. Доступно {sum} руб. {time}',
    'Уважаемый {name}, ваш заказ {code} готов к выдаче в магазине {brand}. Ждём вас до {date}.',
    '{name}, напоминаем о записи на {date} в {time}. Клиника {brand}, тел. {code}',
    'Вход в личный кабинет {brand} {date} в {time}. Если это не вы, позвоните по номеру {code}',
    '{brand}: скидка {last}% на всё до {date}! Подробнее: {url}',
    'Посылка {code} прибыла в отделение {brand}. Срок хранения до {date}. Оценить доставку: {url}',
    'Платёж {sum} руб. за {words} принят {date}. Спасибо, что выбираете {brand}!',
    '{brand}: по вашей заявке {code} принято решение. {any} Подробности в приложении.',
    'Кредит на сумму {sum} руб. одобрен, {name}! Ждём вас с паспортом в офисе {brand}: {words}',
)
PLACEHOLDERS = {
    'code': '%d{4,10}',
    'sum': '%w',
    'last': '%d{1,4}',
    'time': '%w',
    'name': '%w{1,3}',
    'date': '%w',
    'url': '%url',
    'words': '%w{1,5}',
    'any': '%any{0,100}',
}
VALUES = {
    'code': '48291037',
    'sum': '1234,50',
    'last': '15',
    'time': '10:30',
    'name': 'Анна Сергеевна',
    'date': '12.05.2026',
    'url': 'https://shop.example/o/48291',
    'words': 'улица Ленина 15',
    'any': 'Одобрено 300000 руб.',
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--templates', type=int, default=10_000)
    parser.add_argument('--texts', type=int, default=5_000)
    arguments = parser.parse_args()
    shapes = _shapes(arguments.templates)
    began = time.perf_counter()
    index = TemplateList('perf', [TextTemplate(_filled(shape, PLACEHOLDERS)) for shape in shapes])
    built_s = time.perf_counter() - began
    dice = random.Random(1)
    good = [_filled(dice.choice(shapes), VALUES) for _ in range(arguments.texts)]
    near = [f'{text}! И ещё' for text in good]
    far = [' '.join(dice.sample(text.split(), 8)).replace('е', 'о') for text in good]
    rows = [
        ('a text that matches', *_figures(good, index.find, True)),
        ('one that misses by its end', *_figures(near, index.find, False)),
        ('one that is like none', *_figures(far, index.find, False)),
    ]
    print(f'{arguments.templates:,} templates, made ready in {built_s:.2f} s; {len(good):,} texts of each kind\n')
    print(format_table(('text', 'characters', 'median us', '99 % us'), rows))


def _shapes(count: int) -> list[str]:
    """Return templates in which only the placeholders are left open: each body with many brands, some further words."""
    return [
        BODIES[number % len(BODIES)].replace('{brand}', f'{BRANDS[number // 10 % 10]} {number // 100}')
        for number in range(count)
    ]


def _filled(shape: str, values: dict[str, str]) -> str:
    return shape.replace('{last}%', '{last}%%' if values is PLACEHOLDERS else '{last}%').format(**values)


def _figures(texts: list[str], find: Callable[[str], int], matches: bool) -> tuple[str, str, str]:
    """Return characters, median and 99 % of the time, in microseconds."""
    taken = []
    for text in texts:
        began = time.perf_counter_ns()
        position = find(text)
        taken.append(time.perf_counter_ns() - began)
        if (position >= 0) is not matches:
            raise SystemExit(f'a text was expected to {"match" if matches else "miss"}: {text}')
    cuts = statistics.quantiles(taken, n=100)
    characters = statistics.mean(map(len, texts))
    return f'{characters:.0f}', f'{statistics.median(taken) / NS_PER_US:.1f}', f'{cuts[98] / NS_PER_US:.1f}'


if __name__ == '__main__':
    main()
