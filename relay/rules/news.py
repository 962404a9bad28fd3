"""What comes back from PagerDuty, as values: one piece of news, and what is kept of it with a page."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from relay.alert import Instant
from relay.page import Page


class Agent(StrEnum):
    """Who did something at PagerDuty."""

    PERSON = "person"
    OURS = "ours"
    """An integration: an event that the relay sent comes back."""
    NOBODY = "nobody"
    """A timer, a rule, an automation."""


class News(msgspec.Struct, frozen=True):
    """One event of a V3 webhook, as far as it says anything to the relay."""

    id: str
    """The signed id of the event: it is the same each time the event is sent."""
    type: str
    """PagerDuty's word: `incident.resolved`."""
    at: Instant
    """When it happened; 0 where that cannot be read."""
    incident: str = ""
    """Id of the incident; "" where it is about none."""
    key: str = ""
    """The incident's `incident_key`, where it has one: a dedup key."""
    number: int = 0
    url: str = ""
    service: str = ""
    """Id of its service."""
    agent: Agent = Agent.NOBODY
    who: str = ""
    """The name of the agent; "" for nobody."""
    assignees: tuple[str, ...] | None = None
    """To whom it is assigned; None: that is not said."""
    merged_into: str = ""
    """Of a resolve that is a merge: id of the incident its alerts went to."""
    words: str = ""
    """What was said: a note, a message, a priority."""


class Returned(msgspec.Struct, frozen=True):
    """What somebody did at PagerDuty, as it is shown with a page."""

    kind: str
    """`acknowledged`, `resolved`, `merged` ..."""
    at: Instant
    who: str = ""
    """The person; "" for nobody that is named."""
    incident: str = ""
    words: str = ""
    url: str = ""
    """Of the incident."""
    ignored: str = ""
    """Why it changed nothing; "" where it counted."""


class Judged(msgspec.Struct, frozen=True):
    """What a piece of news makes of a page."""

    page: Page
    act: Returned | None = None
    """What is kept of it with the page; None: nothing."""
    incident: str = ""
    """The incident that the page is known by from now on; "" where that is no other than before."""


class Taken(msgspec.Struct, frozen=True):
    """What became of a piece of news."""

    outcome: str
    """One of OUTCOMES."""
    pages: tuple[Page, ...] = ()
    """The pages it is about, as they are by now."""
    acts: tuple[Returned, ...] = ()
    before: tuple[Page, ...] = ()
    """Those pages as they were."""
    sure: bool = False
    """Whether its dedup key is one page's alone."""


SOMEWHERE = "?"
"""The incident that another was merged into, where that is not said."""


OUTCOMES: Mapping[str, str] = {
    "placed": "It is about a page.",
    "seen": "It was taken before.",
    "waiting": "The REST API will be asked which page it is about.",
    "unplaced": "It is about an incident that is no page's.",
    "other": "It is about no incident: a ping, a service.",
}
"""What becomes of news that is kept."""
