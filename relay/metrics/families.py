"""Families of metrics, whose children are kept: `.labels()` costs three times an increment."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_M = TypeVar("_M", Counter, Gauge, Histogram)


class Children(dict[tuple[str, ...], _M], Generic[_M]):
    """The children of one metric by their label values."""

    def __init__(self, metric: _M) -> None:
        self._metric: _M = metric

    def __missing__(self, values: tuple[str, ...]) -> _M:
        child: _M = self._metric.labels(*values)
        self[values] = child
        return child


class Families:
    """Declares metrics in a registry, all under the relay's name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def _counter(self, name: str, help_: str, *labels: str) -> Children[Counter]:
        return _family(Counter(f"pagerelay_{name}_total", help_, labels, registry=self.registry), labels)

    def _gauge(self, name: str, help_: str, *labels: str) -> Children[Gauge]:
        return _family(Gauge(f"pagerelay_{name}", help_, labels, registry=self.registry), labels)

    def _histogram(self, name: str, help_: str, buckets: Sequence[float], *labels: str) -> Children[Histogram]:
        metric = Histogram(f"pagerelay_{name}", help_, labels, registry=self.registry, buckets=buckets)
        return _family(metric, labels)


def _family(metric: _M, labels: tuple[str, ...]) -> Children[_M]:
    children = Children(metric)
    if not labels:
        children[()] = metric
    return children
