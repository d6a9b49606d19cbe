"""Names of operators and regions, as registries write them, become codes and time zones."""

import zoneinfo

import pytest

from smsc.plan.names import Names, code_of, load_names, shipped_operators, shipped_zones


@pytest.mark.parametrize(
    ('text', 'zone'),
    [
        ('г. Москва', 'Europe/Moscow'),
        ('г.о. Тольятти|Самарская обл.', 'Europe/Samara'),
        ('Ханты - Мансийский - Югра АО', 'Asia/Yekaterinburg'),
        ('Ханты-Мансийский автономный округ — Югра', 'Asia/Yekaterinburg'),
        ('Ненецкий АО', 'Europe/Moscow'),
        ('Ямало-Ненецкий АО', 'Asia/Yekaterinburg'),
        ('Красноярский край и Республика Хакасия', 'Asia/Krasnoyarsk'),
        ('Чувашская Республика - Чувашия', 'Europe/Moscow'),
        ('Кемеровская область - Кузбасс обл.', 'Asia/Novokuznetsk'),
        ('Республика Алтай', 'Asia/Barnaul'),
        ('Омская область', 'Asia/Omsk'),
        ('Томская область', 'Asia/Tomsk'),
        ('Сахалинская область', 'Asia/Sakhalin'),
        ('Калининградская обл. и Самарская обл.', ''),
        ('Российская Федерация', ''),
    ],
)
def test_regions_have_their_zones_however_they_are_written(text, zone):
    assert Names(shipped_zones()).find('RU', text) == zone


def test_all_89_subjects_of_the_registry_and_more_have_a_zone_that_exists():
    rows = shipped_zones()
    assert len({row.name for row in rows}) == len(rows) >= 89
    assert {row.value for row in rows} <= zoneinfo.available_timezones()


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('ПАО "Мобильные ТелеСистемы"', 'mts'),
        ('ПУБЛИЧНОЕ АКЦИОНЕРНОЕ ОБЩЕСТВО «МЕГАФОН»', 'megafon'),
        ('ПАО "ВымпелКом"', 'beeline'),
        ('ООО "Т2 Мобайл"', 't2'),
        ('ООО "Скартел"', 'yota'),
        ('ПАО "Ростелеком"', 'rostelecom'),
        ('ООО "ЕКАТЕРИНБУРГ-2000"', 'motiv'),
        ('ООО "Т-Мобайл"', 'tmobile'),
        ('ООО "Сбербанк-Телеком"', 'sber'),
        ('ООО "МегаФонРетейл"', ''),
    ],
)
def test_operators_have_their_codes_however_they_are_written(name, code):
    assert Names(shipped_operators()).find('RU', name) == code


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('ООО "Ромашка-Связь"', 'romashka-svyaz'),
        ('  T-Mobile  USA, Inc. ', 't-mobile-usa'),
        ('Telefónica', 'telefonica'),
        ('中国移动', 'x4e64b1b2'),
        ('ООО', 'x'),
        ('', ''),
    ],
)
def test_an_unknown_operator_gets_a_code_made_of_its_name(name, code):
    made = code_of(name)
    assert made.startswith('x') if code.startswith('x') else made == code
    assert code_of(made) == made


def test_a_table_of_names_has_no_entry_twice(tmp_path):
    for rows in (shipped_operators(), shipped_zones()):
        assert len({(row.country, row.name) for row in rows}) == len(rows)
    path = tmp_path / 'names.csv'
    path.write_text('country,name,code\nRU,"a, b",c\n', encoding='utf-8')
    assert load_names(path, 'code')[0].name == 'a, b'
