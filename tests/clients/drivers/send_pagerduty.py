"""Send as users of PagerDuty's newer package do: one command a line on stdin, and on stdout what the client said."""

import os
import ssl
from datetime import UTC, datetime

from pagerduty import Error, EventsApiV2Client

from tests.clients.drivers.told import told

# docs/clients.md shows from here
trusted = ssl.create_default_context(cafile=os.environ.get("RELAY_CA"))  # the authority of the relay's certificate
events = EventsApiV2Client(os.environ["PD_ROUTING_KEY"], base_url=os.environ["RELAY_URL"], verify=trusted)


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
    # 7.0.1 to 7.2.0 raise AttributeError where submit() has to make the timestamp itself.
    now = datetime.now(UTC).isoformat()
    events.submit("Deployed api-service v2.5.0", "pipeline", {"version": "v2.5.0"}, timestamp=now)


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
            events.submit(key, "pipeline", timestamp=datetime.now(UTC).isoformat())
            return {}
        case "deployed":
            deployed()
            return {}
        case _:
            return {"dedup_key": events.trigger("The CPUs are busy", "web-server-01", dedup_key=key, severity="Info")}


if __name__ == "__main__":
    told(say, Error)
