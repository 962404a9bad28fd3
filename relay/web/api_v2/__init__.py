"""/api/v2: the part of Alertmanager's own API that amtool and dashboards speak; api/v2/openapi.yaml is its contract."""

from relay.web.api_v2.firing import FiringDoors
from relay.web.api_v2.silences import SilenceDoors
from relay.web.api_v2.speech import spoken

__all__ = ["FiringDoors", "SilenceDoors", "spoken"]
