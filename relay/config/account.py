"""What the file says of the PagerDuty account: the secrets of its webhooks, its REST token, what is made of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.config import schema
from relay.config.problems import Problems
from relay.config.secrets import SecretReader
from relay.config.yaml import Path
from relay.rules.confirming import NEITHER
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Account
from relay.secret import Secret


@dataclass(frozen=True, slots=True)
class AccountSecrets:
    """What the relay and PagerDuty know each other by, beyond routing keys."""

    webhook_secrets: tuple[Secret, ...] = ()
    """Of V3 webhook subscriptions; several at once for rotation."""
    api_token: Secret | None = None
    """Of the REST API."""


NO_SECRETS = AccountSecrets()


def read_account(config: schema.Config, problems: Problems, secrets: SecretReader) -> tuple[Account, AccountSecrets]:
    """Read the section `pagerduty`; what is wrong is reported."""
    spec = config.pagerduty
    signing = tuple(_webhook_secrets(spec, problems, secrets))
    token = _api_token(spec, problems, secrets)
    _check_hours(config, problems)
    _check_resending(spec, problems)
    if spec.from_ and "@" not in spec.from_:
        problems.error(("pagerduty", "from"), "must be the e-mail address of a PagerDuty user: acts count as theirs")
    account = Account(
        webhooks=bool(spec.webhook_secrets or spec.webhook_secret_files),
        api=spec.api_token is not None or spec.api_token_file is not None,
        api_url=spec.api_url.rstrip("/"),
        from_email=spec.from_,
        confirm_within=spec.confirm_within,
        resend_unconfirmed=spec.resend_unconfirmed,
        reconcile=spec.reconcile,
        reconcile_every=spec.reconcile_every,
        business_hours=spec.business_hours,
    )
    return account, AccountSecrets(signing, token)


def _webhook_secrets(spec: schema.Account, problems: Problems, secrets: SecretReader) -> Iterator[Secret]:
    here: Path = ("pagerduty", "webhook_secrets")
    for index, given in enumerate(spec.webhook_secrets):
        found = secrets.value(given, (*here, index))
        if found is not None and not found.reveal():
            problems.error((*here, index), "is empty: anybody could sign with it")
        elif found is not None:
            yield found
    for index, name in enumerate(spec.webhook_secret_files):
        found = secrets.file(name, ("pagerduty", "webhook_secret_files", index), "the webhook's signing secret")
        if found is not None:
            yield found


def _api_token(spec: schema.Account, problems: Problems, secrets: SecretReader) -> Secret | None:
    here: Path = ("pagerduty", "api_token_file")
    if spec.api_token is not None and spec.api_token_file is not None:
        problems.error(here, "at most one of api_token & api_token_file must be configured", key=True)
    if spec.api_token_file is not None:
        return secrets.file(spec.api_token_file, here, "the REST API token", token_fault)
    if spec.api_token is None:
        return None
    token = secrets.value(spec.api_token, ("pagerduty", "api_token"))
    if token is not None and (fault := token_fault(token.reveal())):
        problems.error(("pagerduty", "api_token"), fault)
        return None
    return token


def token_fault(token: str) -> str:
    """Say what is wrong with a token, without showing it; "" if nothing is."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        return "a REST API token is one line of ASCII without blanks"
    return ""


def _check_resending(spec: schema.Account, problems: Problems) -> None:
    heard = spec.webhook_secrets or spec.webhook_secret_files or spec.api_token or spec.api_token_file
    if spec.resend_unconfirmed and not (heard and spec.confirm_within):
        because = NEITHER if spec.confirm_within else "pagerduty.confirm_within is 0"
        problems.warn(("pagerduty", "resend_unconfirmed"), f"nothing is sent again: {because}", rule="no-effect")


def _check_hours(config: schema.Config, problems: Problems) -> None:
    name, intervals = config.pagerduty.business_hours, (*config.time_intervals, *config.mute_time_intervals)
    places = [(section,) for section in ("time_intervals", "mute_time_intervals")]
    if name and not problems.gone(*places) and all(one.name != name for one in intervals):
        message = f"undefined time interval {go_quote(name)}: add it to time_intervals"
        problems.error(("pagerduty", "business_hours"), message, rule="undefined-name")
