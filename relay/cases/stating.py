"""Reads the alerts of a case: those that have names, and those that stand where they are needed."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from relay.cases.case import Stated
from relay.cases.shapes import At, Node, Shapes
from relay.config import yaml

MOST = 10_000
"""Alerts that one `count` may make."""
NUMBER = "{n}"


def named_alerts(shapes: Shapes, own: Mapping[str, Node], at: At) -> Mapping[str, Stated]:
    """Read `alerts`: names, and what each alert is."""
    if "alerts" not in own:
        return {}
    here = (*at, "alerts")
    return {name: _named(shapes, node, (*here, name)) for name, node in shapes.mapping(own["alerts"], here).items()}


def stated(shapes: Shapes, node: Node, at: At, known: Mapping[str, Stated]) -> list[Stated]:
    """Read one alert or several: names, or labels."""
    if isinstance(node, yaml.Sequence):
        return [one for item, there in shapes.items(node, at) for one in stated(shapes, item, there, known)]
    if isinstance(node, yaml.Mapping):
        return [Stated(labels(shapes, node, at))]
    name = shapes.text(node, at)
    if name in known:
        return [known[name]]
    if name:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "name it under `alerts`, or write its labels"
        shapes.problems.error(at, f"no alert is named {name}: {hint}")
    return []


def labels(shapes: Shapes, node: Node, at: At) -> dict[str, str]:
    """Read labels or annotations."""
    return {name: shapes.text(one, (*at, name), empty=True) for name, one in shapes.mapping(node, at).items()}


def counted(shapes: Shapes, alerts: Sequence[Stated], own: Mapping[str, Node], at: At) -> tuple[Stated, ...]:
    """Write `{n}` out: these alerts for each number up to `count`."""
    if "count" not in own:
        return tuple(alerts)
    count = shapes.read(own["count"], (*at, "count"), _count, 1)
    if alerts and not any(NUMBER in value for one in alerts for value in one.labels.values()):
        shapes.problems.error((*at, "count"), f"no label has {NUMBER} in it, so all of these would be one alert")
    return tuple(
        Stated(_numbered(one.labels, number), _numbered(one.annotations, number))
        for number in range(1, count + 1)
        for one in alerts
    )


def _named(shapes: Shapes, node: Node, at: At) -> Stated:
    parts = shapes.mapping(node, at, ("labels", "annotations"))
    if "labels" not in parts and isinstance(node, yaml.Mapping):
        shapes.problems.error(at, "an alert needs `labels`")
    found = {name: labels(shapes, one, (*at, name)) for name, one in parts.items()}
    return Stated(found.get("labels", {}), found.get("annotations", {}))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= MOST:
        raise ValueError(f"a number from 1 to {MOST:,} is needed")
    return int(text)


def _numbered(texts: Mapping[str, str], number: int) -> dict[str, str]:
    return {name: text.replace(NUMBER, str(number)) for name, text in texts.items()}
