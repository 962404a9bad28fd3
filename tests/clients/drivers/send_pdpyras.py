"""Send as users of pdpyras do: one command a line on stdin, and on stdout what the client said to it."""

import os
from datetime import UTC, datetime

from pdpyras import ChangeEventsAPISession, EventsAPISession, PDClientError

from tests.clients.drivers.told import told

# docs/clients.md shows from here
RELAY = os.environ["RELAY_URL"]  # https://pagerelay.example.com:9095

events = EventsAPISession(os.environ["PD_ROUTING_KEY"])
events.url = RELAY  # the one line that is new
changes = ChangeEventsAPISession(os.environ["PD_ROUTING_KEY"])
changes.url = RELAY


def trigger(key: str) -> str:
    dedup_key: str = events.trigger(
        summary="The CPUs of web-server-01 are busy",
        source="monitoring-system",
        severity="critical",
        dedup_key=key,
        custom_details={"cpu_percent": 98.5, "hostname": "web-server-01", "datacenter": "us-east-1"},
    )
    return dedup_key


def deployed() -> None:
    changes.submit(summary="Deployed api-service v2.5.0", source="pipeline", custom_details={"version": "v2.5.0"})


# to here


def say(action: str, key: str) -> dict[str, object]:
    match action:
        case "trigger":
            return {"dedup_key": trigger(key)}
        case "mint":
            return {"dedup_key": events.trigger("The CPUs are busy", "web-server-02", severity="warning")}
        case "acknowledge":
            return {"dedup_key": events.acknowledge(key)}
        case "resolve":
            return {"dedup_key": events.resolve(key)}
        case "change":
            changes.submit(key, source="pipeline", timestamp=datetime.now(UTC).isoformat())
            return {}
        case "deployed":
            deployed()
            return {}
        case _:
            return {"dedup_key": events.trigger("The CPUs are busy", "web-server-01", dedup_key=key, severity="Info")}


if __name__ == "__main__":
    told(say, PDClientError)
