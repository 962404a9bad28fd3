"""The command `pagerelay`, also as `python -m relay`."""

from importlib import import_module

import click

from relay import __version__

COMMANDS = {
    "serve": "relay.cli.serve:serve",
    "config": "relay.cli.config:config",
    "route": "relay.cli.route:route",
    "test": "relay.cli.test:test",
    "rules": "relay.cli.rules:rules",
    "import": "relay.cli.importing:import_",
    "page": "relay.cli.page:page",
    "explain": "relay.cli.explain:explain",
    "pause": "relay.cli.pause:pause",
    "resume": "relay.cli.pause:resume",
    "reconcile": "relay.cli.reconcile:reconcile",
    "change": "relay.cli.change:change",
    "backup": "relay.cli.backup:backup",
    "send-test": "relay.cli.send_test:send_test",
    "pagerduty": "relay.cli.pagerduty:pagerduty",
    "sandbox": "relay.cli.sandbox:sandbox",
    "demo": "relay.cli.demo:demo",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: the relay need not load what it does not run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pagerelay")
def main() -> None:
    """Stand between Alertmanager and PagerDuty, and keep PagerDuty in step with what fires."""


if __name__ == "__main__":
    main()
