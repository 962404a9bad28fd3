"""Secrets of the routing file: from files, from the environment, and what stands in for those that are broken."""

from pathlib import Path

import pytest

from relay.config import Before, load
from relay.errors import BadConfig
from relay.secret import Key
from tests.unit.configuring import KEY, OTHER_KEY, loaded, paging, write


def only_key(keys: object) -> str:
    (key,) = keys.values()  # type: ignore[attr-defined]
    assert isinstance(key, Key)
    return key.routing_key.reveal()


def errors_of(file: Path, environ: dict[str, str]) -> list[str]:
    with pytest.raises(BadConfig) as bad:
        load(file, environ)
    return [f"{one.line}:{one.column}: {one.path}: {one.message}" for one in bad.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(paging("routing_key: '${PD_KEY}'"), KEY, id="routing_key"),
        pytest.param(
            paging("routing_key: KEY, http_config: {proxy_url: '${PD_KEY}'}"),
            "http://user:pw@proxy:3128",
            id="proxy_url",
        ),
        pytest.param(
            "global: {heartbeat_url: '${PD_KEY}'}\n" + paging("routing_key: KEY"), "https://hc.example/x", id="pulse"
        ),
    ],
)
def test_a_hidden_field_may_name_an_environment_variable(tmp_path: Path, text: str, value: str) -> None:
    found = load(write(tmp_path, text.replace("PD_KEY", "PD_K")), {"PD_K": f"{value}\n"})

    (key,) = found.keys.values()
    told = {key.routing_key, key.proxy_url, found.heartbeat_url}
    assert value in {secret.reveal() for secret in told if secret is not None}


@pytest.mark.parametrize(("environ", "state"), [({}, "not set"), ({"PD_K": "  "}, "empty")])
def test_a_variable_that_holds_nothing_is_an_error_with_its_place(
    tmp_path: Path, environ: dict[str, str], state: str
) -> None:
    file = write(tmp_path, paging("routing_key: '${PD_K}'"))

    assert errors_of(file, environ) == [
        '5:19: receivers[0].pagerduty_configs[0].routing_key: the environment variable "PD_K" is '
        f"{state}: set it where the relay is started, or write the secret to a file and name that"
    ]


def test_what_stands_in_a_variable_is_checked_and_never_shown(tmp_path: Path) -> None:
    file = write(tmp_path, paging("routing_key: '${PD_K}'"))

    (error,) = errors_of(file, {"PD_K": "geheim"})

    assert "not a routing key: 6 characters" in error
    assert "geheim" not in error


def test_nothing_else_is_expanded(tmp_path: Path) -> None:
    text = paging("routing_key: KEY, description: 'costs ${PD_K}', client: '${PD_K}'")
    found = load(write(tmp_path, text), {"PD_K": "geheim"})

    texts = found.rules.receivers["r"].targets[0].texts
    assert (texts.description, texts.client) == ("costs ${PD_K}", "${PD_K}")


def test_a_variable_in_the_midst_of_a_value_is_no_variable(tmp_path: Path) -> None:
    (error,) = errors_of(write(tmp_path, paging("routing_key: 'x${PD_K}'")), {"PD_K": KEY})

    assert "not a routing key: 8 characters" in error


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://x", "global.heartbeat_url: not an http:// or https:// URL without a user and password in it"),
        (
            "https://a:geheim@x/y",
            "global.heartbeat_url: not an http:// or https:// URL without a user and password in it",
        ),
    ],
)
def test_a_heartbeat_url_must_be_one_and_is_not_shown(tmp_path: Path, url: str, message: str) -> None:
    (error,) = errors_of(write(tmp_path, f"global: {{heartbeat_url: '{url}'}}\n" + paging("routing_key: KEY")), {})

    assert message in error
    assert "geheim" not in error


def test_a_heartbeat_url_comes_from_a_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "pulse.secret").write_text("https://hc.example/4d7f\n")
    text = "global: {heartbeat_url_file: pulse.secret}\n" + paging("routing_key: KEY")

    found = loaded(tmp_path, text)

    assert found.heartbeat_url is not None
    assert found.heartbeat_url.reveal() == "https://hc.example/4d7f"
    assert found.secret_files == (tmp_path / "pulse.secret",)
    assert "4d7f" not in repr(found)


@pytest.mark.parametrize(
    "now", [pytest.param(None, id="vanished"), pytest.param("", id="empty"), pytest.param("half a k", id="broken")]
)
def test_a_secret_that_cannot_be_used_any_more_stays_what_it_was(tmp_path: Path, now: str | None) -> None:
    text = paging("routing_key_file: pd")
    (tmp_path / "pd").write_text(KEY)
    first = loaded(tmp_path, text)
    if now is None:
        (tmp_path / "pd").unlink()
    else:
        (tmp_path / "pd").write_text(now)

    again = load(tmp_path / "relay.yml", {}, before=Before(first.text, first.templates, first.secrets))

    assert only_key(again.keys) == KEY
    (why,) = again.stale
    assert why.startswith("pd: ")
    with pytest.raises(BadConfig):
        load(tmp_path / "relay.yml", {})


def test_a_secret_that_changed_is_taken_with_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "pd").write_text(KEY)
    first = loaded(tmp_path, paging("routing_key_file: pd"))
    (tmp_path / "pd").write_text(f"{OTHER_KEY}\n")
    (tmp_path / "relay.yml").write_text("route: [broken")

    again = load(tmp_path / "relay.yml", {}, before=Before(first.text, first.templates, first.secrets))

    assert only_key(again.keys) == OTHER_KEY
    assert (again.stale, again.text) == ((), first.text)


@pytest.mark.parametrize(
    ("meta", "rest", "message"),
    [
        ("s", "", '1:25: global.meta_receiver: undefined receiver "s" used as meta_receiver; add it to receivers'),
        ("rr", "", 'undefined receiver "rr" used as meta_receiver; did you mean "r"?'),
        (
            "n",
            "- name: n\n",
            'receiver "n" has no pagerduty_configs: nobody would hear of the relay\'s own trouble; give',
        ),
    ],
)
def test_a_meta_receiver_must_page_somebody(tmp_path: Path, meta: str, rest: str, message: str) -> None:
    text = f"global: {{meta_receiver: {meta}}}\n" + paging("routing_key: KEY", rest=rest)

    (error,) = errors_of(write(tmp_path, text), {})

    assert message in error
