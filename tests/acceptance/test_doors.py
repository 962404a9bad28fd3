"""The doors of an installed relay: whom it lets in, what it refuses to listen on, and Alertmanager among them."""

import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.acceptance.bodies import labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import Answer, Relay, call, free_port, pagerelay, wait_for
from tests.certificates import Authority

pytestmark = pytest.mark.acceptance

TOKEN, PASSWORD = "the-bearer-token-of-prod-0001", "the-password-of-prod-000002"
USERS_PASSWORD = "the-users-password-003"
BODY = {
    "version": "4",
    "groupKey": '{}:{alertname="Down"}',
    "receiver": "relay",
    "status": "firing",
    "alerts": [{"status": "firing", "labels": {"alertname": "Down", "severity": "critical"}, "annotations": {}}],
}


def sources(scene: Scene, *credentials: dict[str, Any], **more: Any) -> Path:
    (scene.folder / "prod.token").write_text(TOKEN + "\n")
    found: dict[str, Any] = {"name": "prod", "native_keys": True}
    for one in credentials:
        found |= one
    return scene.config(top={"sources": [found]}, **more)


BEARER: dict[str, Any] = {"bearer_token_file": "prod.token"}
BASIC: dict[str, Any] = {"basic_auth": {"username": "am", "password": PASSWORD}}


def refused(scene: Scene, config: Path, *flags: str) -> str:
    """Start a relay that must not start, and return what it says."""
    storage = scene.folder / "storage"
    command = [pagerelay(), "serve", f"--config.file={config}", f"--storage.path={storage}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def serving(scene: Scene, config: Path, *flags: str, scheme: str = "http", host: str = "127.0.0.1") -> Relay:
    """Start a relay with flags of its own."""
    port = free_port()
    relay = Relay(
        scene.folder,
        config,
        arguments=[
            f"--config.file={config}",
            f"--storage.path={scene.folder / 'storage'}",
            f"--web.listen-address={host}:{port}",
            *flags,
        ],
    )
    relay.url = f"{scheme}://127.0.0.1:{port}"
    scene.programs.append(relay)
    before = relay.output().count("pagerelay listens on")
    relay.spawn()
    wait_for(lambda: relay.output().count("pagerelay listens on") > before or not relay.running, "it serves")
    assert relay.running, relay.output()
    return relay


def over_tls(
    relay: Relay, context: ssl.SSLContext, method: str, path: str, body: object = None, **headers: str
) -> Answer:
    connection = http.client.HTTPSConnection(relay.url.removeprefix("https://"), timeout=10, context=context)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.read())
    finally:
        connection.close()


def test_it_refuses_to_listen_for_anybody_at_all_and_says_what_to_do(scene: Scene) -> None:
    config = scene.stage().config()
    port = free_port()
    said = refused(scene, config, f"--web.listen-address=0.0.0.0:{port}")
    assert f"0.0.0.0:{port} is not this machine's own, and anybody who reaches it could post alerts" in said
    for remedy in (
        "--web.config.file",
        "credentials for each of `sources`",
        "127.0.0.1",
        "--web.allow-unauthenticated",
    ):
        assert remedy in said
    relay = serving(scene, config, "--web.allow-unauthenticated", host="0.0.0.0")
    assert relay.post(BODY).status == 200
    relay.stop()

    config = sources(scene, BEARER)
    relay = serving(scene, config, host="0.0.0.0")
    assert relay.post(BODY).status == 401
    scene.config()
    answer = relay.reload()
    assert (answer.status, "is not this machine's own" in answer.text) == (500, True)
    assert relay.post(BODY).status == 401  # the old one stays in force


def test_the_admin_address_has_all_doors_but_those_of_senders(scene: Scene) -> None:
    admin = free_port()
    relay = serving(scene, scene.stage().config(), f"--web.admin-listen-address=127.0.0.1:{admin}")
    other = f"http://127.0.0.1:{admin}"

    assert relay.post(BODY).status == 200
    assert relay.post([{"labels": {"alertname": "A"}}], "/api/v2/alerts").status == 200
    for path in ("/-/healthy", "/-/ready"):
        assert {call("GET", url + path).status for url in (relay.url, other)} == {200}
    for path in ("/metrics", "/api/v1/pages", "/pages", "/api/v2/silences", "/api/v1/status"):
        assert call("GET", relay.url + path).status == 404
        assert call("GET", other + path).status == 200
    assert call("POST", f"{relay.url}/-/reload").status == 404
    assert call("POST", f"{other}/-/reload").status == 200
    for path in ("/webhook", "/webhook/", "/webhook/a", "/source/a/api/v2/alerts"):
        assert call("POST", other + path, BODY).status == 404
    assert call("POST", f"{other}/api/v2/alerts", []).status == 405

    listed = subprocess.run(
        [pagerelay(), "page", "list", f"--storage.path={scene.folder / 'storage'}"], capture_output=True, check=True
    )
    assert b"Down" in listed.stdout or b"team" in listed.stdout


def test_alertmanagers_show_who_they_are_each_in_its_own_way(scene: Scene) -> None:
    """Replicas of one source: one with a password, one with a token, both taken at once as for a rotation."""
    relay = serving(scene, sources(scene.stage(), BASIC, BEARER))
    assert relay.post(BODY).status == 401
    ways: dict[str, dict[str, Any]] = {
        "basic": {"basic_auth": {"username": "am", "password": PASSWORD}},
        "bearer": {"authorization": {"type": "Bearer", "credentials_file": "prod.token"}},
    }
    alertmanagers = [scene.alertmanager(relay, name=name, http_config=config) for name, config in ways.items()]
    scene.planted |= {scene.folder / f"{name}.yml" for name in ways}

    for number, alertmanager in enumerate(alertmanagers):
        alertmanager.fire(labels(f"Slow{number}", severity="page"))
    scene.shows(base_key("Slow0"), base_key("Slow1"))
    for number, alertmanager in enumerate(alertmanagers):
        alertmanager.resolve(labels(f"Slow{number}", severity="page"))
    scene.shows()
    assert relay.metric("pagerelay_webhook_requests_total", source="prod", code="200") >= 4


def test_alertmanager_comes_with_a_certificate_over_tls_and_users_look(scene: Scene) -> None:
    scene.stage()
    authority = Authority(scene.folder / "tls")
    cert, key = authority.sign("relay", "IP:127.0.0.1")
    mine, my_key = authority.sign("prod", "DNS:am.prod.test")
    users = bcrypt.hashpw(USERS_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    web = scene.folder / "web.yml"
    web.write_text(
        f"tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n  client_ca_file: {authority.cert}\n"
        f"  client_auth_type: VerifyClientCertIfGiven\nbasic_auth_users:\n  anna: {users}\n"
    )
    web.chmod(0o600)
    config = sources(scene, {"client_san": "am.prod.test"})
    relay = serving(scene, config, f"--web.config.file={web}", scheme="https")
    trusting = ssl.create_default_context(cafile=authority.cert)
    anna = "Basic " + b64encode(f"anna:{USERS_PASSWORD}".encode()).decode()

    assert over_tls(relay, trusting, "POST", "/webhook", BODY).status == 401
    assert over_tls(relay, trusting, "GET", "/metrics").status == 401
    assert over_tls(relay, trusting, "GET", "/-/ready").status == 200

    tls = {"ca_file": str(authority.cert), "cert_file": str(mine), "key_file": str(my_key)}
    alertmanager = scene.alertmanager(relay, http_config={"tls_config": tls})
    alertmanager.fire(labels("Slow", severity="page"))
    scene.shows(base_key("Slow"))
    shown = over_tls(relay, trusting, "GET", "/metrics", Authorization=anna)
    assert (shown.status, 'pagerelay_webhook_requests_total{code="200",source="prod"}' in shown.text) == (200, True)

    # The commands of the relay's own user need neither certificate nor password.
    ask = [pagerelay(), "page", "list", f"--storage.path={scene.folder / 'storage'}"]
    assert b"team" in subprocess.run(ask, capture_output=True, check=True).stdout

    fresh, fresh_key = authority.sign("relay-renewed", "IP:127.0.0.1")
    before = _serial(relay, trusting)
    os.replace(fresh, cert)
    os.replace(fresh_key, key)
    wait_for(lambda: _serial(relay, trusting) != before, "the renewed certificate is shown")
    alertmanager.resolve(labels("Slow", severity="page"))
    scene.shows()


def _serial(relay: Relay, context: ssl.SSLContext) -> str:
    port = int(relay.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        shown = secure.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])


def test_a_thousand_slow_clients_keep_no_page_waiting_and_are_gone_in_time(scene: Scene) -> None:
    relay = scene.stage().relay()
    port = int(relay.url.rpartition(":")[2])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4_096), hard))
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(1_000)]
        for number, one in enumerate(slow):
            one.sendall(head if number % 2 else head + b"\r\n{")
        took = []
        for number in range(5):
            body = json.loads(json.dumps(BODY).replace("Down", f"Down{number}"))
            began = time.monotonic()
            assert relay.post(body).status == 200
            took.append(time.monotonic() - began)
        assert max(took) < 1, took
        wait_for(lambda: len(scene.sandbox.open()) == 5, "all five page")
        late = "pagerelay_connections_dropped_total"
        wait_for(lambda: relay.metric(late, reason="headers") == 500, "those slow with their headers are hung up on")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_with_few_files_it_serves_and_pages_while_many_connect(scene: Scene) -> None:
    relay = scene.stage().relay(start=False)
    relay.command = ["prlimit", "--nofile=64:64", *relay.command]
    relay.start()
    port = int(relay.url.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)).sendall(
                b"POST /webhook HTTP/1.1\r\n"
            )
        assert relay.post(BODY).status == 200
        scene.shows(base_key("Down"))
        assert relay.ready()
    assert "Too many open files" not in relay.output()


def test_a_broken_web_configuration_keeps_it_from_starting_and_not_from_running(scene: Scene) -> None:
    config = scene.stage().config()
    web = scene.folder / "web.yml"
    web.write_text("basic_auth_user: {}\n")
    said = refused(scene, config, f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{free_port()}")
    assert f'{web}:1:1: basic_auth_user: unknown field "basic_auth_user"; did you mean "basic_auth_users"?' in said

    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    relay = serving(scene, config, f"--web.config.file={web}")
    web.write_text("http_server_config: {headers: {X-Frame-Options: maybe}}\n")
    wait_for(lambda: relay.metric("pagerelay_self_page", reason="web_config") == 1, "it pages about itself")
    assert relay.post(BODY).status == 200
    web.write_text("http_server_config: {headers: {X-Frame-Options: sameorigin}}\n")
    wait_for(lambda: relay.metric("pagerelay_self_page", reason="web_config") == 0, "it is well again")
    relay.signal(signal.SIGTERM)
    assert relay.ended() == 0
