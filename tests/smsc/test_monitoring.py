"""The files in conf/monitoring/ fit the product: their metrics and labels are in /metrics, each remedy is written."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until_async

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'conf' / 'monitoring'
ALERTS = FOLDER / 'alerts.yml'
RULES = [rule for group in yaml.safe_load(ALERTS.read_text(encoding='utf-8'))['groups'] for rule in group['rules']]
DASHBOARD = json.loads((FOLDER / 'dashboard.json').read_text(encoding='utf-8'))
PANELS = [panel for panel in DASHBOARD['panels'] if panel['type'] != 'row']
QUERIES = [rule['expr'] for rule in RULES] + [target['expr'] for panel in PANELS for target in panel['targets']]
OF_PROMETHEUS = {'instance', 'job'}
METRIC = re.compile(r'\b((?:smsc|process)_\w+|up)(?:\{([^}]*)\})?')
GROUPING = re.compile(r'\b(?:by|on|without)\s*\(([^)]*)\)')


def metrics_in(query):
    """(metric, labels in its braces) of a query."""
    for name, inside in METRIC.findall(re.sub(r'"[^"]*"', '""', query)):
        yield name, {part.partition('=')[0].strip(' !~') for part in inside.split(',') if part.strip()}


@pytest.fixture
async def families(product, start_smsc, bind):
    """Labels by sample name, of a product where every family has a sample as far as its traffic is concerned."""
    smsc = await start_smsc()
    found = await product(accounts={'bank': account()}, upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    await bind(found)

    async def seen():
        _, page = await found.get('/metrics')
        return page if re.search(r'^smsc_store_bytes [1-9]', page, re.MULTILINE) else None

    page = await until_async(seen)
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        total = '_total' if family.type == 'counter' else ''
        names.setdefault(f'{family.name}{total}', set())
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


LABELS_WITHOUT_SAMPLE = {
    'smsc_refused_total': {'account', 'command_status'},
    'smsc_upstream_answers_total': {'upstream', 'command_status'},
    'smsc_dlr_received_total': {'upstream', 'state'},
    'smsc_final_total': {'state'},
    'smsc_queue_messages': {'upstream', 'account', 'priority'},
    'smsc_queue_age_seconds': {'upstream', 'account', 'priority'},
    'smsc_credit': {'account'},
    'smsc_policy_objections_total': {'step'},
}
"""Families that have samples only once something has happened; tests of metrics show them with these labels."""


async def test_every_metric_and_label_of_rules_and_dashboard_is_the_products(families):
    known = {name: LABELS_WITHOUT_SAMPLE.get(name, labels) | OF_PROMETHEUS for name, labels in families.items()}
    known['up'] = OF_PROMETHEUS
    for query in QUERIES:
        words = dict(metrics_in(query))
        assert words, query
        assert words.keys() <= known.keys(), query
        for name, labels in words.items():
            assert labels <= known[name], query
        grouped = {label.strip() for inside in GROUPING.findall(query) for label in inside.split(',')}
        assert grouped <= set().union(*(known[name] for name in words)), query


async def test_the_labels_of_families_without_a_sample_are_not_made_up(families):
    assert families.keys() >= LABELS_WITHOUT_SAMPLE.keys()
    for name, labels in LABELS_WITHOUT_SAMPLE.items():
        assert families[name] in (set(), labels), name


def heading_anchors(path):
    """The anchors of a Markdown file's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', path.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule['alert'])
def test_an_alert_says_what_is_the_matter_and_what_to_do(rule):
    assert rule['labels']['severity'] in {'critical', 'warning'}
    assert rule['annotations']['summary']
    assert rule['annotations']['description']
    file, _, anchor = rule['annotations']['remedy'].partition('#')
    assert anchor in heading_anchors(ROOT / file)


def test_alerts_have_names_of_their_own():
    names = [rule['alert'] for rule in RULES]
    assert len(set(names)) == len(names)


@pytest.mark.skipif(shutil.which('promtool') is None, reason='promtool is not installed (Debian: prometheus)')
def test_promtool_takes_the_rules():
    subprocess.run(['promtool', 'check', 'rules', ALERTS], check=True, capture_output=True)


def test_the_dashboard_can_be_imported_with_any_data_source():
    assert DASHBOARD['schemaVersion'] >= 36
    variables = {variable['name']: variable for variable in DASHBOARD['templating']['list']}
    assert variables['datasource']['type'] == 'datasource'
    used = set(re.findall(r'\$(\w+)', ' '.join(QUERIES)))
    assert used <= variables.keys() | {'__rate_interval'}
    for panel in PANELS:
        assert panel['datasource']['uid'] == '${datasource}'
        assert all(target['datasource']['uid'] == '${datasource}' for target in panel['targets'])


def test_the_panels_of_the_dashboard_do_not_overlap_and_stand_in_named_rows():
    rows = [panel['title'] for panel in DASHBOARD['panels'] if panel['type'] == 'row']
    assert rows == ['Traffic', 'Latency', 'Queues', 'Upstreams', 'Accounts', 'Store', 'Nodes']
    assert len({panel['id'] for panel in DASHBOARD['panels']}) == len(DASHBOARD['panels'])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD['panels']:
        place = panel['gridPos']
        assert place['x'] + place['w'] <= 24
        cells = {(x + place['x'], y + place['y']) for x in range(place['w']) for y in range(place['h'])}
        assert not cells & taken
        taken |= cells
