"""A real Alertmanager fires, and PagerDuty is kept in step: what is open there is what fires, one incident each."""

import signal

import pytest

from tests.acceptance.bodies import labels
from tests.acceptance.conftest import KEYS, Scene, base_key
from tests.acceptance.programs import Relay, call, stays, wait_for

pytestmark = pytest.mark.acceptance

DOWN, SLOW, FULL = labels("Down"), labels("Slow", severity="warning"), labels("Full", severity="page")
DOWN_B = labels("Down", "b")


def heard(relay: Relay) -> float:
    """Say how many webhooks the relay has answered with 200."""
    return relay.metric("pagerelay_webhook_requests_total", code="200")


def test_fire_update_repeat_resolve(scene: Scene) -> None:
    """A page opens, is updated once when a second alert joins, is left alone by repeats, and closes at the last."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay, repeat_interval="1s")
    down = base_key("Down")

    alertmanager.fire(DOWN, summary="the machine room is on fire")
    page = scene.shows(down)[down]
    assert (page["severity"], page["urgency"], page["triggers"]) == ("critical", "high", 1)
    assert "Down: the machine room is on fire" in page["summary"]

    alertmanager.fire(DOWN_B, summary="the machine room is on fire")
    wait_for(lambda: scene.sandbox.open()[down]["triggers"] == 2, "the second instance is shown in the page")
    assert "2 firing" in scene.sandbox.open()[down]["summary"]

    before = heard(relay)
    wait_for(lambda: heard(relay) >= before + 3, "Alertmanager repeats the group three times")
    assert scene.told(down) == ["triggered", "triggered again"]

    alertmanager.resolve(DOWN)
    wait_for(lambda: scene.sandbox.open()[down]["triggers"] == 3, "the page says that one of the two resolved")
    assert "1 of 2 firing" in scene.sandbox.open()[down]["summary"]

    alertmanager.resolve(DOWN_B)
    scene.shows()
    assert scene.told(down) == ["triggered", "triggered again", "triggered again", "resolved"]
    assert len(scene.incidents(down)) == 1
    assert scene.sandbox.past()[0]["log_entries"][-1]["what"] == "resolved"

    alertmanager.fire(DOWN, summary="again")
    scene.shows(down)
    assert len(scene.incidents(down)) == 2


def test_a_page_that_is_heard_of_is_refreshed_once_its_repeat_interval_is_over(scene: Scene) -> None:
    """Repeats alone send nothing before the relay's repeat_interval, and one refresh after it, to the same incident."""
    relay = scene.stage().relay(scene.config(repeat_interval="5s"))
    alertmanager = scene.alertmanager(relay, repeat_interval="1s")
    down = base_key("Down")

    alertmanager.fire(DOWN)
    scene.shows(down)
    stays(lambda: scene.told(down) == ["triggered"], "nothing is sent within repeat_interval", 4.5)
    ticks = iter(range(1_000))

    def refreshed() -> bool:
        # What was heard is written with the next commit, so let there be one.
        alertmanager.fire(labels(f"Tick{next(ticks)}", severity="info"))
        stays(lambda: True, "a moment passes", 1)
        return scene.told(down)[:2] == ["triggered", "triggered again"]

    wait_for(refreshed, "a refresh", 60)
    assert scene.sandbox.open()[down]["triggers"] >= 2
    assert len(scene.incidents(down)) == 1


def test_reload(scene: Scene) -> None:
    """A good file counts from then on, a bad one is refused with every error; neither touches an open page."""
    config = scene.stage().config()
    relay = scene.relay(config)
    alertmanager = scene.alertmanager(relay)
    good = config.read_text()
    down, slow, full = base_key("Down"), base_key("Slow"), base_key("Full")
    alertmanager.fire(DOWN, SLOW)
    assert scene.shows(down, slow)[slow]["severity"] == "warning"

    config.write_text(good.replace("receiver: team", "reciever: team\n  group_intervall: 1s"))
    refused = relay.reload()
    assert refused.status == 500
    assert 'unknown field "reciever"' in refused.text
    assert 'unknown field "group_intervall"' in refused.text
    assert relay.metric("pagerelay_config_last_reload_successful") == 0

    relay.signal(signal.SIGHUP)
    wait_for(lambda: relay.output().count("configuration not reloaded") >= 4, "SIGHUP finds the same two errors")
    alertmanager.fire(FULL)
    assert scene.shows(down, slow, full)[full]["severity"] == "error"

    scene.config(severity={"page": "critical", "default": "info"})
    relay.signal(signal.SIGHUP)
    wait_for(lambda: relay.metric("pagerelay_config_last_reload_successful") == 1, "SIGHUP loads the good file")
    alertmanager.fire(labels("Odd", severity="odd"))
    assert scene.shows(down, slow, full, base_key("Odd"))[base_key("Odd")]["severity"] == "info"

    scene.config()
    assert relay.reload().status == 200
    alertmanager.resolve(DOWN, SLOW, FULL, labels("Odd", severity="odd"))
    scene.shows()
    assert {key: len(scene.incidents(key)) for key in (down, slow, full)} == {down: 1, slow: 1, full: 1}


def test_two_alertmanagers_without_gossip(scene: Scene) -> None:
    """Replicas that do not know of each other send everything twice; nobody is paged twice."""
    relay = scene.stage().relay()
    pair = [scene.alertmanager(relay, name=name, repeat_interval="1s") for name in ("am-one", "am-two")]
    down, slow = base_key("Down"), base_key("Slow")

    for alertmanager in pair:
        alertmanager.fire(DOWN, SLOW)
    scene.shows(down, slow)
    before = heard(relay)
    wait_for(lambda: heard(relay) >= before + 8, "both repeat both groups")
    assert scene.told(down) == scene.told(slow) == ["triggered"]

    for alertmanager in pair:
        alertmanager.resolve(DOWN)
    scene.shows(slow)
    for alertmanager in pair:
        alertmanager.resolve(SLOW)
    scene.shows()
    assert scene.told(down) == scene.told(slow) == ["triggered", "resolved"]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_the_relay_is_away_for_a_while(scene: Scene, how: str) -> None:
    """What fires and what resolves while no relay runs is right once one does."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay)
    down, slow, full = base_key("Down"), base_key("Slow"), base_key("Full")
    alertmanager.fire(DOWN, SLOW)
    scene.shows(down, slow)
    scene.settled(relay)

    if how == "killed":
        relay.kill()
    else:
        assert relay.stop() == 0
    alertmanager.fire(FULL, DOWN_B)
    alertmanager.resolve(SLOW)
    wait_for(lambda: "connection refused" in alertmanager.output(), "Alertmanager finds nobody")
    assert set(scene.sandbox.open()) == {down, slow}

    relay.start()
    scene.shows(down, full)
    wait_for(lambda: "2 firing" in scene.sandbox.open()[down]["summary"], "the page shows both instances")
    assert scene.told(slow) == ["triggered", "resolved"]
    assert [len(scene.incidents(key)) for key in (down, slow, full)] == [1, 1, 1]


def test_pagerduty_answers_503_then_recovers(scene: Scene) -> None:
    """While PagerDuty fails, what is wanted is kept; what came and went meanwhile is never sent."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay)
    down, slow, full = base_key("Down"), base_key("Slow"), base_key("Full")
    alertmanager.fire(SLOW)
    scene.shows(slow)

    scene.sandbox.fault(status=503)
    alertmanager.fire(DOWN, FULL)
    wait_for(lambda: relay.metric("pagerelay_delivery_failures_total", reason="serverError") >= 3, "attempts that fail")
    alertmanager.resolve(SLOW, FULL)
    wait_for(lambda: relay.metric("pagerelay_decisions_total", verdict="resolves") >= 2, "the resolves are accepted")
    assert set(scene.sandbox.open()) == {slow}

    scene.sandbox.well()
    # PagerDuty may have taken the trigger of Full that it answered with 503, so it gets a resolve, in vain.
    scene.excused.add("dropped")
    scene.shows(down)
    wait_for(lambda: scene.told(full) == ["dropped"], "the resolve of what may be open")
    assert scene.told(down) == ["triggered"]
    assert scene.told(slow) == ["triggered", "resolved"]


def test_pagerduty_throttles(scene: Scene) -> None:
    """A 429 with Retry-After is honoured, and everything arrives once in the end."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay)
    names = [f"Storm{number}" for number in range(12)]
    scene.sandbox.fault(status=429, retry_after=2, count=3)
    scene.excused.add("throttled")

    alertmanager.fire(*(labels(name) for name in names))
    scene.shows(*(base_key(name) for name in names))
    refused = {line["dedup_key"]: line["at"] for line in scene.sandbox.requests() if line["status"] == 429}
    taken = {line["dedup_key"]: line["at"] for line in scene.sandbox.requests() if line["status"] == 202}
    assert (len(refused), len(taken)) == (3, len(names))
    assert all(taken[key] - refused[key] >= 2 for key in refused)

    alertmanager.resolve(*(labels(name) for name in names))
    scene.shows()
    assert all(scene.told(base_key(name)) == ["triggered", "resolved"] for name in names)


def test_more_alerts_than_the_budget_allows_wait_and_criticals_go_first(scene: Scene) -> None:
    """The relay stays within the budget by itself: PagerDuty never has to throttle it."""
    config = scene.stage(rate=30).config(
        top={
            "receivers": [
                {
                    "name": "team",
                    "pagerduty_configs": [{"routing_key_file": "team.key", "budget": {"events": 30, "within": "60s"}}],
                }
            ]
        }
    )
    relay = scene.relay(config)
    alertmanager = scene.alertmanager(relay)
    mild = [f"Mild{number:02}" for number in range(40)]
    grave = [f"Grave{number:02}" for number in range(8)]

    alertmanager.fire(*(labels(name, severity="warning") for name in mild))
    wait_for(lambda: relay.metric("pagerelay_decisions_total", verdict="opens") == len(mild), "all warnings are taken")
    alertmanager.fire(*(labels(name) for name in grave))

    wait_for(lambda: {base_key(name) for name in grave} <= set(scene.sandbox.open()), "every critical is shown", 10)
    assert scene.sandbox.results().count("triggered") < 30
    assert "throttled" not in scene.sandbox.results()


def test_a_wrong_key_is_mended_by_a_reload(scene: Scene) -> None:
    """A key PagerDuty does not know loses nothing: the page goes out once the right key is loaded."""
    config = scene.stage().config()
    key = scene.folder / "team.key"
    key.write_text("7e57ca4a41ab1e0000000000000000ff\n")
    relay = scene.relay(config)
    alertmanager = scene.alertmanager(relay)
    down = base_key("Down")
    scene.excused.add("unknown key")

    alertmanager.fire(DOWN)
    wait_for(lambda: "unknown key" in scene.sandbox.results(), "PagerDuty refuses the key")
    failed = "pagerelay_delivery_failures_total"
    wait_for(lambda: relay.metric(failed, reason="configuration", receiver="team") >= 1, "it is counted by a reason")
    (page,) = relay.pages()
    assert "Invalid routing key" in page["last_error"]

    key.write_text(KEYS["team"] + "\n")
    assert relay.reload().status == 200
    scene.shows(down)
    alertmanager.resolve(DOWN)
    scene.shows()
    assert scene.told(down) == ["triggered", "resolved"]


def test_a_rise_to_critical_opens_a_linked_page(scene: Scene) -> None:
    """PagerDuty notifies nobody when a low-urgency incident worsens, so a new one opens and then the old one closes."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay)
    low, high = base_key("Slow"), base_key("Slow") + "/2"
    worse = labels("Slow", "b", severity="critical")

    alertmanager.fire(SLOW)
    assert scene.shows(low)[low]["urgency"] == "low"

    alertmanager.fire(worse)
    assert scene.shows(high)[high]["urgency"] == "high"
    order = [(line["dedup_key"], line["result"]) for line in scene.sandbox.requests()]
    assert order == [(low, "triggered"), (high, "triggered"), (low, "resolved")]

    alertmanager.resolve(worse)
    wait_for(lambda: len(scene.told(high)) == 2, "the page says that the worse one resolved")
    assert scene.sandbox.open()[high]["severity"] == "critical"

    alertmanager.resolve(SLOW)
    scene.shows()
    assert scene.told(high)[-1] == "resolved"


def test_alerts_cut_off_by_max_alerts_have_a_page_of_their_own(scene: Scene) -> None:
    """Nobody learns of an alert that Alertmanager cuts off, so the relay pages about the cutting, until it ends."""
    relay = scene.stage().relay()
    alertmanager = scene.alertmanager(relay, max_alerts=2, group_wait="1s", repeat_interval="1s")
    group = base_key("Down")
    many = [labels("Down", instance) for instance in "abcd"]

    alertmanager.fire(*many)
    wait_for(lambda: len(scene.sandbox.open()) == 2, "the group's page and the one about the cutting")
    (other,) = [alert for key, alert in scene.sandbox.open().items() if key != group]
    assert "2 alerts of group" in other["summary"]
    assert "`max_alerts`" in other["summary"]
    assert other["severity"] == "critical"

    alertmanager.resolve(*many[2:])
    wait_for(lambda: set(scene.sandbox.open()) == {group}, "the next complete body closes it")
    assert relay.metric("pagerelay_alerts_truncated_upstream_total") >= 2
    assert len(scene.incidents(other["dedup_key"])) == 1


def test_a_named_source_has_pages_of_its_own(scene: Scene) -> None:
    """Two Alertmanagers that are no replicas are two sources: the same alert in both is two pages."""
    relay = scene.stage().relay()
    native = scene.alertmanager(relay, name="native")
    named = scene.alertmanager(relay, "/webhook/eu", name="named")
    native.fire(DOWN)
    named.fire(DOWN)

    scene.shows(base_key("Down"), base_key("Down", source="eu"))

    named.resolve(DOWN)
    scene.shows(base_key("Down"))
    assert call("GET", f"{relay.url}/api/v1/status").status == 200
