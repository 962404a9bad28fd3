"""Every address of the stand-in's REST API on one screen."""

from aiohttp import web

from relay.sandbox import rest_account as account
from relay.sandbox import rest_incidents as incidents
from relay.sandbox import rest_webhooks as webhooks
from relay.sandbox.courier import Courier
from relay.sandbox.rest import Door, RestDoor
from relay.sandbox.state import Sandbox


def table(sandbox: Sandbox, courier: Courier) -> list[web.RouteDef]:
    """Return the routes; each call is checked by RestDoor before its door is opened."""
    rest = RestDoor(sandbox)

    def get(path: str, door: Door) -> web.RouteDef:
        return web.get(path, rest.handler(door))

    def put(path: str, door: Door) -> web.RouteDef:
        return web.put(path, rest.handler(door))

    def post(path: str, door: Door, status: int = 201) -> web.RouteDef:
        return web.post(path, rest.handler(door, status))

    def delete(path: str, door: Door) -> web.RouteDef:
        return web.delete(path, rest.handler(door, 204))

    return [
        get("/abilities", account.list_abilities),
        get("/users", account.list_users),
        get("/users/me", account.show_me),
        get("/users/{id}", account.show_user),
        get("/incidents", incidents.list_incidents),
        put("/incidents", incidents.change_incidents),
        get("/incidents/{id}", incidents.show_incident),
        put("/incidents/{id}", incidents.change_incident),
        get("/incidents/{id}/alerts", incidents.list_alerts),
        get("/incidents/{id}/notes", incidents.list_notes),
        post("/incidents/{id}/notes", incidents.add_note, 200),
        put("/incidents/{id}/merge", incidents.merge_incidents),
        get("/incidents/{id}/log_entries", incidents.list_log_entries),
        get("/services", account.list_services),
        post("/services", account.add_service),
        get("/services/{id}", account.show_service),
        put("/services/{id}", account.change_service),
        post("/services/{id}/integrations", account.add_integration),
        get("/services/{id}/integrations/{integration}", account.show_integration),
        get("/oncalls", account.list_oncalls),
        get("/escalation_policies", account.list_policies),
        get("/escalation_policies/{id}", account.show_policy),
        get("/schedules", account.list_schedules),
        get("/schedules/{id}", account.show_schedule),
        get("/schedules/{id}/overrides", account.list_overrides),
        post("/schedules/{id}/overrides", account.add_overrides),
        get("/maintenance_windows", account.list_windows),
        post("/maintenance_windows", account.add_window),
        delete("/maintenance_windows/{id}", account.remove_window),
        get("/webhook_subscriptions", webhooks.list_subscriptions),
        post("/webhook_subscriptions", webhooks.add_subscription),
        get("/webhook_subscriptions/{id}", webhooks.show_subscription),
        delete("/webhook_subscriptions/{id}", webhooks.remove_subscription),
        post("/webhook_subscriptions/{id}/enable", webhooks.enable_subscription, 200),
        post("/webhook_subscriptions/{id}/ping", webhooks.ping_subscription(courier.ping), 202),
    ]
