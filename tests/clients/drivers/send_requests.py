"""Send change events with requests, as pipelines do: one command a line on stdin, and on stdout what was answered."""

import os
from datetime import UTC, datetime
from typing import Any

import requests

from tests.clients.drivers.told import told

# docs/clients.md shows from here
CHANGES = os.environ["RELAY_URL"] + "/v2/change/enqueue"  # https://pagerelay.example.com:9095/v2/change/enqueue


def send_change(summary: str, details: dict[str, str]) -> dict[str, Any]:
    change: dict[str, Any] = {
        "routing_key": os.environ["PD_ROUTING_KEY"],
        "payload": {
            "summary": summary,
            "source": "pipeline",
            "timestamp": datetime.now(UTC).isoformat(),
            "custom_details": details,
        },
        "links": [{"href": "https://git.example.com/api-service/commit/0f3c", "text": "Commit"}],
    }
    response = requests.post(CHANGES, json=change, timeout=10)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


# to here


def say(action: str, key: str) -> dict[str, object]:
    return send_change("" if action == "bad" else key, {"service": "api-service", "version": "v2.5.0"})


if __name__ == "__main__":
    told(say, requests.HTTPError)
