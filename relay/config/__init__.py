"""The routing YAML, from file to RuleSet."""

from relay.config.build import Known, recognise, remembered
from relay.config.load import Examined, Loaded, examine, load
from relay.config.routes import Timers

__all__ = ["Examined", "Known", "Loaded", "Timers", "examine", "load", "recognise", "remembered"]
