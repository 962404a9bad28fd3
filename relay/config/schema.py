"""The shape of the routing YAML: every section, its fields, their types and defaults."""

import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from relay.alert import DAY, HOUR, MINUTE, SECOND
from relay.rules.quoting import go_quote
from relay.secret import Secret

_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_PROMETHEUS = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?", re.ASCII
)
_UNITS = (365 * DAY, 7 * DAY, DAY, HOUR, MINUTE, SECOND, SECOND // 1000)
_LONGEST = (2**63 - 1) // 1000
"""Go's longest duration (292 years), in microseconds."""
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|us|µs|s|m|h)", re.ASCII)
_GO_UNITS = {"h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1000, "us": 1, "µs": 1}


def duration(text: str) -> int:
    """Read a Prometheus duration (`1h30m`, `0`) as microseconds; ValueError with Alertmanager's text.

    Source: github.com/prometheus/common model/time.go ParseDuration.
    """
    if text == "0":
        return 0
    if text == "":
        raise ValueError("empty duration string")
    found = _PROMETHEUS.fullmatch(text)
    if found is None or len(text) > 200:
        raise ValueError(f"not a valid duration string: {go_quote(text[:40])}; write 30s, 5m, 4h or 1h30m")
    length = sum(int(number) * unit for number, unit in zip(found.groups(), _UNITS, strict=True) if number)
    if length > _LONGEST:
        raise ValueError("duration out of range")
    return length


def go_duration(text: str) -> int:
    """Read what Go reads (`1.5s`) as well as what Prometheus reads, as microseconds; ValueError if it is neither."""
    parts = _GO_PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text and len(text) < 40:
        return int(sum(float(number) * _GO_UNITS[unit] for number, unit in parts))
    return duration(text)


def http_url(text: str) -> str:
    """Check that a text is an http(s) URL without credentials in it; ValueError with Alertmanager's text."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"unsupported scheme {go_quote(parts.scheme)} for URL: it begins with http:// or https://")
    if not parts.hostname or "{" in parts.netloc or any(character.isspace() for character in text):
        raise ValueError("missing host for URL")
    if "@" in parts.netloc:
        raise ValueError("a URL with a password in it is printed in too many places: take the user and password out")
    return text


def _text(value: Any) -> Any:
    return "" if value is None else value


def _parsed(parse: Any, kind: str) -> Any:
    """Turn a function over text that raises ValueError into a validator."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise PydanticCustomError(kind, "must be text, not a list or a mapping")
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError(kind, "{why}", {"why": str(error)}) from None

    return BeforeValidator(validate)


def _refused(message: str) -> Any:
    """Take no value at all."""

    def refuse(_: Any) -> Any:
        raise PydanticCustomError("form", "{why}", {"why": message})

    return BeforeValidator(refuse)


def _boolean(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("must be true or false")


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("must be a whole number of at least 1")
    return int(text)


def _some_time(text: str) -> int:
    length = duration(text)
    if not length:
        raise ValueError("must be longer than zero")
    return length


_FLAP_FORMS = "must be a mapping (`{changes: 5, within: 30m, hold: 15m}`), or off"


def _off(text: str, forms: str) -> bool:
    if text not in _FALSE:
        raise ValueError(forms)
    return False


def _growth(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", text, re.ASCII) and (float(text) > 1 or not float(text)):
        return float(text)
    raise ValueError("must be a number over 1, such as 2.0 for twice as many, or 0 for never")


def _form(value: Any) -> str:
    """Say in which of its forms a field is written."""
    return "|map" if isinstance(value, dict) else "|list" if isinstance(value, list) else "|text"


Text = Annotated[str, BeforeValidator(_text)]
# What editors are told of each is beside it; `config schema` writes that down (json_schema.py).
_DURATION = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "pattern": "^(?=.)(\\d+y)?(\\d+w)?(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?$|^0$"},
            {"const": 0},
        ],
        "patternErrorMessage": "not a duration: write 30s, 5m, 4h or 1h30m",
        "x-kind": "duration",
    }
)
_OFF_SCHEMA = WithJsonSchema({"enum": [False, *sorted(_FALSE)]})
_NEVER = WithJsonSchema({"not": {}})
Boolean = Annotated[
    bool, _parsed(_boolean, "boolean"), WithJsonSchema({"enum": [True, False, *sorted(_TRUE | _FALSE)]})
]
Count = Annotated[
    int,
    _parsed(_count, "count"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^0*[1-9][0-9]*$"}]}),
]
Length = Annotated[int, _parsed(duration, "duration"), _DURATION]
Period = Annotated[int, _parsed(_some_time, "duration"), _DURATION]
Timeout = Annotated[
    int,
    _parsed(go_duration, "duration"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9.hmsuµdwy]+$"}, {"const": 0}], "x-kind": "duration"}),
]
Url = Annotated[
    str, _parsed(http_url, "url"), WithJsonSchema({"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://[^@]+$"})
]
Growth = Annotated[
    float, _parsed(_growth, "growth"), WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]})
]
Hidden = Annotated[Secret, _parsed(Secret, "secret"), WithJsonSchema({"type": "string"})]
Foreign = list[dict[str, Any]] | None
"""Integrations that are not ours: counted, not read."""


class Section(BaseModel):
    """A mapping of known fields; a field without a value counts as absent, as in Go."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True, populate_by_name=False
    )
    REFUSED: ClassVar[dict[str, str]] = {}
    """Fields Alertmanager has and the relay does not: what to say of each."""
    TOLERATED: ClassVar[frozenset[str]] = frozenset()
    """Fields that are accepted and not read."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict):
            return value
        return {name: item for name, item in value.items() if item is not None and name not in cls.TOLERATED}


class Hold(Section):
    """A delay by severity; `default` is for every severity that is not named."""

    critical: Length | None = None
    error: Length | None = None
    warning: Length | None = None
    info: Length | None = None
    default: Length = 0


# A `|` begins the name of a form: shape.py leaves it out of an error's place.
_Written = Discriminator(_form)
_DELAY_FORMS = "must be one duration (`5m`), or durations by severity (`{critical: 30s, default: 5m}`)"
Delay = Annotated[
    Annotated[Hold, Tag("|map")]
    | Annotated[Length, Tag("|text")]
    | Annotated[int, _refused(_DELAY_FORMS), _NEVER, Tag("|list")],
    _Written,
]
"""One duration, or a map by severity."""
Urls = Annotated[
    Annotated[list[Url], Tag("|list")]
    | Annotated[Url, Tag("|text")]
    | Annotated[str, _refused("must be one URL, or a list of them"), _NEVER, Tag("|map")],
    _Written,
]
"""One URL, or a list of them."""


Texts = Annotated[
    Annotated[list[Text], Tag("|list")]
    | Annotated[Text, Tag("|text")]
    | Annotated[str, _refused("must be one text, or a list of them"), _NEVER, Tag("|map")],
    _Written,
]
"""One text, or a list of them."""


class Tls(Section):
    ca_file: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    server_name: Text = ""
    insecure_skip_verify: Boolean = False

    REFUSED = {
        **dict.fromkeys(
            ("ca", "cert", "key"), "is not supported inline: put it in a file and name that in {field}_file"
        ),
        **dict.fromkeys(
            ("ca_ref", "cert_ref", "key_ref"), "is not supported: name a file in ca_file, cert_file, key_file"
        ),
        **dict.fromkeys(("min_version", "max_version"), "is not supported: take it out (TLS 1.2 and newer are spoken)"),
    }


_NO_AUTH = "is not supported: PagerDuty is told apart by the routing key alone, take it out"
_NOT_HERE = "is not supported for PagerDuty: only proxy_url, proxy_from_environment and tls_config are, take it out"


class HttpConfig(Section):
    proxy_url: Hidden | None = None
    proxy_from_environment: Boolean = False
    tls_config: Tls | None = None

    REFUSED = {
        **dict.fromkeys(("basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"), _NO_AUTH),
        **dict.fromkeys(
            ("follow_redirects", "enable_http2", "no_proxy", "proxy_connect_header", "http_headers"), _NOT_HERE
        ),
    }


class Budget(Section):
    events: Count = 120
    within: Period = 60 * SECOND


class Storm(Section):
    """More than `pages` new pages `within` a time are a storm."""

    pages: Count = 60
    within: Period = MINUTE


_STORM_FORMS = "must be a mapping (`{pages: 60, within: 1m}`), or off"
StormOrOff = Annotated[
    Annotated[Storm, Tag("|map")]
    | Annotated[bool, _parsed(lambda text: _off(text, _STORM_FORMS), "off"), _OFF_SCHEMA, Tag("|text")]
    | Annotated[bool, _refused(_STORM_FORMS), _NEVER, Tag("|list")],
    _Written,
]


_SERVICE_KEY = (
    "is not supported: it speaks PagerDuty's Events API v1. On the PagerDuty service create an Events API v2 "
    "integration and use its key in routing_key"
)


class Link(Section):
    href: Text = ""
    text: Text = ""


class Image(Section):
    src: Text = ""
    href: Text = ""
    alt: Text = ""


class PagerDuty(Section):
    """One entry of `pagerduty_configs`; the field names are Alertmanager's (notify/pagerduty/config.go)."""

    routing_key: Hidden | None = None
    routing_key_file: Text | None = None
    previous_routing_key_files: list[Text] = []
    url: Url | None = None
    client: Text | None = None
    client_url: Text | None = None
    description: Text | None = None
    details: dict[str, Any] | None = None
    images: list[Image] | None = None
    links: list[Link] | None = None
    source: Text | None = None
    severity: Text | None = None
    class_: Text | None = Field(None, validation_alias="class")
    component: Text | None = None
    group: Text | None = None
    send_resolved: Boolean = True
    timeout: Timeout = 0
    budget: Budget | None = None
    storm: StormOrOff | None = None
    http_config: HttpConfig | None = None

    REFUSED = {
        "service_key": _SERVICE_KEY,
        "service_key_file": _SERVICE_KEY.replace("routing_key", "routing_key_file"),
    }


class Receiver(Section):
    name: Text = ""
    labels: dict[str, Text] = {}
    fallback: Text | None = None
    pagerduty_configs: list[PagerDuty] = []
    discord_configs: Foreign = None
    email_configs: Foreign = None
    incidentio_configs: Foreign = None
    jira_configs: Foreign = None
    mattermost_configs: Foreign = None
    msteams_configs: Foreign = None
    msteamsv2_configs: Foreign = None
    opsgenie_configs: Foreign = None
    pushover_configs: Foreign = None
    rocketchat_configs: Foreign = None
    slack_configs: Foreign = None
    sns_configs: Foreign = None
    telegram_configs: Foreign = None
    victorops_configs: Foreign = None
    webex_configs: Foreign = None
    webhook_configs: Foreign = None
    wechat_configs: Foreign = None

    REFUSED = {
        "hipchat_configs": "is not supported: HipChat is gone and Alertmanager dropped it, take it out",
    }

    @property
    def others(self) -> tuple[str, ...]:
        """Kinds of integration in it that are not ours, as far as there are entries."""
        kinds = (kind for kind in type(self).model_fields if kind.endswith("_configs") and kind != "pagerduty_configs")
        return tuple(kind for kind in kinds if getattr(self, kind))


class Flap(Section):
    """`changes` changes of state `within` a time make a page flap: it is then held open for `hold`."""

    changes: Count = 5
    within: Period = 30 * MINUTE
    hold: Period = 15 * MINUTE


FlapOrOff = Annotated[
    Annotated[Flap, Tag("|map")]
    | Annotated[bool, _parsed(lambda text: _off(text, _FLAP_FORMS), "off"), _OFF_SCHEMA, Tag("|text")]
    | Annotated[bool, _refused(_FLAP_FORMS), _NEVER, Tag("|list")],
    _Written,
]


class Regroup(Section):
    urgency: Boolean = True
    growth: Growth = 0.0
    worse_severity: Boolean = False


class Route(Section):
    receiver: Text | None = None
    group_by: list[Text] | None = None
    group_wait: Length | None = None
    group_interval: Length | None = None
    repeat_interval: Length | None = None
    match: dict[str, Text] = {}
    match_re: dict[str, str | None] = {}
    matchers: list[Text] = []
    continue_: Boolean = Field(False, validation_alias="continue")
    mute_time_intervals: list[Text] = []
    active_time_intervals: list[Text] = []
    labels: dict[str, Text] = {}
    routes: list["Route"] = []
    # What Alertmanager does not have:
    severity: dict[str, Text] | None = None
    severity_label: Text | None = None
    hold_trigger: Delay | None = None
    hold_resolve: Delay | None = None
    flap: FlapOrOff | None = None
    dedup_key: Text | None = None
    regroup: Regroup | None = None
    outside: Literal["drop", "hold", "downgrade"] | None = None
    on_mute: Literal["leave", "acknowledge", "resolve"] | None = None
    on_stale: Literal["leave", "resolve"] | None = None
    on_pd_resolve: Literal["reopen", "respect"] | None = None
    on_acknowledge: Literal["leave", "silence"] | None = None
    change: Boolean | None = None


class InhibitRule(Section):
    name: Text = ""
    source_match: dict[str, Text] = {}
    source_match_re: dict[str, str | None] = {}
    source_matchers: list[Text] = []
    target_match: dict[str, Text] = {}
    target_match_re: dict[str, str | None] = {}
    target_matchers: list[Text] = []
    equal: list[Text] = []
    # What Alertmanager does not have:
    inhibit_hold: Delay | None = None
    across_sources: Boolean = False


class TimeRange(Section):
    start_time: Text = ""
    end_time: Text = ""


class TimeInterval(Section):
    """An absent list takes every instant, an empty one none, as in Alertmanager (timeinterval.go ContainsTime)."""

    times: list[TimeRange] | None = None
    weekdays: list[Text] | None = None
    days_of_month: list[Text] | None = None
    months: list[Text] | None = None
    years: list[Text] | None = None
    location: Text | None = None


class NamedInterval(Section):
    name: Text = ""
    time_intervals: list[TimeInterval] = []


class BasicAuth(Section):
    """A user as Alertmanager's `http_config.basic_auth` writes one."""

    username: Text = ""
    password: Hidden | None = None
    password_file: Text | None = None


BasicAuths = Annotated[
    Annotated[list[BasicAuth], Tag("|list")]
    | Annotated[BasicAuth, Tag("|map")]
    | Annotated[
        BasicAuth,
        _refused("must be a mapping (`{username: .., password_file: ..}`), or a list of them"),
        _NEVER,
        Tag("|text"),
    ],
    _Written,
]
"""One user, or a list of them."""


class Source(Section):
    name: Text = ""
    bearer_token_file: Texts | None = None
    basic_auth: BasicAuths | None = None
    client_san: Texts | None = None
    routing_keys: list[Hidden] = []
    routing_key_files: list[Text] = []
    native_keys: Boolean | None = None
    repeat_interval: Period | None = None
    alertmanager_url: Urls | None = None
    stale_after: Period | None = None


class Heartbeat(Section):
    name: Text = ""
    matchers: list[Text] = []
    within: Period | None = None
    receiver: Text = ""
    source: Text | None = None


# Defaults of integrations that are not ours (config/config.go GlobalConfig, Alertmanager 0.34).
_NOT_OURS = (
    "jira_api_url",
    *("telegram_" + name for name in ("api_url", "bot_token", "bot_token_file")),
    "webex_api_url",
    *(
        "smtp_" + name
        for name in (
            "from",
            "hello",
            "smarthost",
            "auth_username",
            "auth_password",
            "auth_password_file",
            "auth_secret",
            "auth_secret_file",
            "auth_identity",
            "require_tls",
            "tls_config",
            "force_implicit_tls",
        )
    ),
    *("slack_" + name for name in ("api_url", "api_url_file", "app_token", "app_token_file", "app_url")),
    *("opsgenie_" + name for name in ("api_url", "api_key", "api_key_file")),
    *("victorops_" + name for name in ("api_url", "api_key", "api_key_file")),
    *("wechat_" + name for name in ("api_url", "api_secret", "api_secret_file", "api_corp_id")),
    *("rocketchat_" + name for name in ("api_url", "token", "token_file", "token_id", "token_id_file")),
    *("mattermost_" + name for name in ("webhook_url", "webhook_url_file")),
)


class Global(Section):
    pagerduty_url: Url = "https://events.pagerduty.com/v2/enqueue"
    budget: Budget = Budget()
    storm: StormOrOff = Storm()
    meta_receiver: Text | None = None
    heartbeat_url: Hidden | None = None
    heartbeat_url_file: Text | None = None
    resolve_timeout: Period = 5 * MINUTE
    inhibit_hold: Length = 5 * SECOND
    http_config: dict[str, Any] | None = None

    REFUSED = dict.fromkeys(
        ("hipchat_api_url", "hipchat_auth_token"),
        "is not supported: HipChat is gone and Alertmanager dropped it, take it out",
    )
    TOLERATED = frozenset(_NOT_OURS)


class Account(Section):
    """PagerDuty itself: its webhooks, its REST API, and what is made of them."""

    webhook_secrets: list[Hidden] = []
    webhook_secret_files: list[Text] = []
    api_url: Url = "https://api.pagerduty.com"
    api_token: Hidden | None = None
    api_token_file: Text | None = None
    from_: Text = Field("", validation_alias="from")
    confirm_within: Length = 5 * MINUTE
    resend_unconfirmed: Boolean = False
    reconcile: Literal["off", "report", "fix"] = "report"
    reconcile_every: Period = 10 * MINUTE
    business_hours: Text = ""


class Config(Section):
    """The whole file."""

    global_: Global = Field(Global(), validation_alias="global")
    templates: list[Text] = []
    route: Route | None = None
    receivers: list[Receiver] = []
    inhibit_rules: list[InhibitRule] = []
    time_intervals: list[NamedInterval] = []
    mute_time_intervals: list[NamedInterval] = []
    sources: list[Source] = []
    heartbeats: list[Heartbeat] = []
    pagerduty: Account = Account.model_validate({})

    TOLERATED = frozenset({"tracing", "event_recorder"})
