"""What a source must show to speak: read from the routing YAML and the files it names, and never part of the rules."""

from pathlib import Path

import pytest

from relay.config import Loaded, load
from relay.config.senders import Credentials
from relay.errors import BadConfig
from relay.secret import Secret

KEY = "0123456789abcdef0123456789abcdef"
TAIL = f"""
route: {{receiver: team}}
receivers:
  - {{name: team, pagerduty_configs: [{{routing_key: {KEY}}}]}}
"""
LONG, OTHER = "tok-0123456789abcdef", "tok-fedcba9876543210"


def read(folder: Path, sources: str, **environ: str) -> Loaded:
    (folder / "new.token").write_text(LONG + "\n")
    (folder / "old.token").write_text(OTHER)
    (folder / "blank.token").write_text("two words of a token")
    (folder / "empty.token").write_text("\n")
    (folder / "relay.yml").write_text(f"sources:\n{sources}{TAIL}")
    return load(folder / "relay.yml", environ)


def faults(folder: Path, sources: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        read(folder, sources)
    return [str(one).removeprefix(f"{folder}/relay.yml:") for one in caught.value.problems if not one.warning]


def test_one_or_several_of_each_kind_are_read(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        f"""  - name: prod
    native_keys: true
    bearer_token_file: [new.token, old.token]
    basic_auth:
      - {{username: am, password: '${{AM_PASSWORD}}'}}
      - {{username: am, password_file: old.token}}
    client_san: [am.prod.test, '2001:DB8::0001']
  - {{name: eu, native_keys: false, basic_auth: {{username: eu, password: {LONG}}}}}
  - {{name: us, native_keys: false, client_san: spiffe://us/alertmanager}}
  - {{name: open, native_keys: false}}
""",
        AM_PASSWORD="from-the-environment",
    )

    assert loaded.credentials == {
        "prod": Credentials(
            (Secret(LONG), Secret(OTHER)),
            (("am", Secret("from-the-environment")), ("am", Secret(OTHER))),
            ("am.prod.test", "2001:db8::1"),
        ),
        "eu": Credentials((), (("eu", Secret(LONG)),), ()),
        "us": Credentials((), (), ("spiffe://us/alertmanager",)),
    }
    assert {name: source.credentials for name, source in loaded.rules.sources.items()} == {
        "prod": True,
        "eu": True,
        "us": True,
        "open": False,
    }
    assert {file.name for file in loaded.secret_files} == {"new.token", "old.token"}
    assert LONG not in repr(loaded)


FAULTS = {
    "no such file": ("{name: a, bearer_token_file: gone}", "cannot read the bearer token from gone: No such file"),
    "an empty file": ("{name: a, bearer_token_file: empty.token}", "the file is empty"),
    "blanks": ("{name: a, bearer_token_file: blank.token}", "a bearer token is one line of ASCII without blanks"),
    "an empty list": ("{name: a, bearer_token_file: []}", "is empty, so nobody could ever speak"),
    "no password": ("{name: a, basic_auth: {username: u}}", "exactly one of password and password_file is needed"),
    "two passwords": (
        "{name: a, basic_auth: {username: u, password: p, password_file: new.token}}",
        "exactly one of password and password_file is needed",
    ),
    "no user": ("{name: a, basic_auth: {password: p}}", "sources[0].basic_auth.username: a user name is not empty"),
    "a colon": (
        "{name: a, basic_auth: [{username: 'a:b', password: p}]}",
        "basic_auth[0].username: a user name is not",
    ),
    "a text": ("{name: a, basic_auth: u}", "2:27: sources[0].basic_auth: must be a mapping (`{username"),
    "a slip of the pen": ("{name: a, basic_auth: {user: u}}", 'unknown field "user"; did you mean "username"?'),
    "a nameless certificate": ("{name: a, client_san: ''}", "a name in a certificate is not empty"),
    "no environment": ("{name: a, basic_auth: {username: u, password: '${NOT_THERE}'}}", '"NOT_THERE" is not set'),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, what: str) -> None:
    source, words = FAULTS[what]

    said = faults(tmp_path, f"  - {source}\n")
    assert any(words in one for one in said), said


@pytest.mark.parametrize(
    "shown",
    [
        "bearer_token_file: new.token",
        f"basic_auth: {{username: u, password: {LONG}}}",
        "client_san: am.test",
    ],
)
def test_one_credential_never_speaks_for_two_sources(tmp_path: Path, shown: str) -> None:
    one, other = (f"  - {{name: {name}, native_keys: {name == 'a'}, {shown}}}\n" for name in "ab")

    (fault,) = faults(tmp_path, one + other)
    assert 'is a credential of source "a" as well: it could not be told who speaks' in fault
    assert LONG not in fault


def test_a_secret_that_might_be_guessed_is_warned_of(tmp_path: Path) -> None:
    loaded = read(tmp_path, "  - {name: a, basic_auth: {username: u, password: short}}\n")

    (warning,) = loaded.warnings
    assert "is shorter than 16 characters, and might be guessed" in warning.message
