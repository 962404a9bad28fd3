"""The routing YAML, from file to RuleSet."""

from relay.config.build import Known, recognise, remembered
from relay.config.load import Before, Examined, Loaded, examine, load
from relay.config.routes import Timers

__all__ = ["Before", "Examined", "Known", "Loaded", "Timers", "examine", "load", "recognise", "remembered"]
