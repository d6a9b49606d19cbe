"""Metrics of a node as one of several; nothing for a node that is alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from smsc.core import Core


def cluster_metrics(core: 'Core') -> Iterator[Metric]:
    """Yield every family."""
    cluster = core.cluster
    beating, between = cluster.beating, cluster.between
    if beating.config is None:
        return
    nodes = GaugeMetricFamily('smsc_cluster_nodes', 'Nodes, as this one sees them.', labels=['state'])
    alive = len(beating.alive) + 1
    nodes.add_metric(['alive'], alive)
    nodes.add_metric(['dead'], 1 + sum(seen.has_work for seen in beating.seen.values()) - alive)
    yield nodes
    taken_over = cluster.taken_over
    yield CounterMetricFamily('smsc_cluster_taken_over', 'Dead nodes that this one took over.', taken_over)
    handed = CounterMetricFamily('smsc_cluster_handed', 'Messages and receipts between nodes.', labels=['direction'])
    handed.add_metric(['given'], cluster.handoff.given)
    handed.add_metric(['got'], cluster.handoff.got)
    yield handed
    counters = cluster.counters
    counted = CounterMetricFamily(
        'smsc_cluster_counted', 'Messages and failures that policies count, told between nodes.', labels=['direction']
    )
    counted.add_metric(['told'], counters.told)
    counted.add_metric(['heard'], counters.heard)
    counted.add_metric(['dropped'], counters.dropped)
    yield counted
    margin_s = core.fence.until - core.loop.time()
    yield GaugeMetricFamily('smsc_cluster_fence_margin_seconds', 'It may send for so long without a beat.', margin_s)
    age_s = beating.own_age_s
    yield GaugeMetricFamily('smsc_cluster_beat_age_seconds', 'Since its last beat that was committed.', age_s)
    available = between is not None and between.available
    yield GaugeMetricFamily('smsc_cluster_redis_available', 'Redis answers.', available)
    dropped = between.dropped if between is not None else 0
    yield CounterMetricFamily('smsc_cluster_redis_dropped', 'Messages to other nodes that Redis did not get.', dropped)
