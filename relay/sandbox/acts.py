"""What a person does on an incident's page: plain forms, each answered with the page as it is then."""

from collections.abc import Callable, Mapping

from aiohttp import web

from relay.sandbox.account import User
from relay.sandbox.incident import Incident
from relay.sandbox.incidents import NotPossible
from relay.sandbox.state import Sandbox

Form = Mapping[str, object]


def perform(sandbox: Sandbox, incident: Incident, act: str, form: Form) -> None:
    """Do what a form says, as the person it names.

    Raises HTTPNotFound for an act that there is not, HTTPBadRequest for a form that lacks something, HTTPConflict for
    what the incident's state does not allow.
    """
    if act not in ACTS:
        raise web.HTTPNotFound(text=f"There is no such act. There are: {', '.join(ACTS)}.")
    try:
        ACTS[act](sandbox, incident, _person(sandbox, form, "user"), form)
    except NotPossible as refused:
        raise web.HTTPConflict(text=f"{refused}.") from None


def _acknowledge(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    sandbox.incidents.acknowledge(incident, user)


def _unacknowledge(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    sandbox.incidents.unacknowledge(incident, user)


def _resolve(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    sandbox.incidents.resolve(incident, user, _text(form, "resolution"))


def _reassign(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    sandbox.incidents.reassign(incident, [_person(sandbox, form, "to")], user)


def _note(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    content = _text(form, "content")
    if not content:
        raise web.HTTPBadRequest(text="A note needs words in the field content.")
    sandbox.incidents.annotate(incident, content, user)


def _reopen(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    sandbox.incidents.reopen(incident, user)


def _merge(sandbox: Sandbox, incident: Incident, user: User, form: Form) -> None:
    target = sandbox.incidents.named(_text(form, "into"))
    if target is None or target is incident:
        raise web.HTTPBadRequest(text="The field into must be the number of another incident.")
    sandbox.incidents.merge(target, [incident], user)


ACTS: dict[str, Callable[[Sandbox, Incident, User, Form], None]] = {
    "acknowledge": _acknowledge,
    "unacknowledge": _unacknowledge,
    "resolve": _resolve,
    "reassign": _reassign,
    "note": _note,
    "reopen": _reopen,
    "merge": _merge,
}


def _person(sandbox: Sandbox, form: Form, field: str) -> User:
    user = sandbox.account.user(_text(form, field))
    if user is None:
        names = ", ".join(user.email for user in sandbox.account.users)
        raise web.HTTPBadRequest(text=f"The field {field} must be one of {names}.")
    return user


def _text(form: Form, field: str) -> str:
    value = form.get(field)
    return value.strip() if isinstance(value, str) else ""
