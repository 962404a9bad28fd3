"""Reads commands from stdin and prints what a client says to each: a line of JSON for a line."""

import json
import sys
from collections.abc import Callable


def told(say: Callable[[str, str], dict[str, object]], error: type[Exception]) -> None:
    """Carry out `ACTION KEY` of each line; the client's own error is what it is called and what it says."""
    for line in sys.stdin:
        action, _, key = line.strip().partition(" ")
        try:
            answer = say(action, key)
        except error as refused:
            response = getattr(refused, "response", None)
            body = response.text if response is not None else ""
            answer = {"error": type(refused).__name__, "message": f"{refused} {body}"}
        print(json.dumps(answer), flush=True)
