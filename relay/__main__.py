"""The command `pagerelay`, also as `python -m relay`."""

import click

from relay import __version__
from relay.cli.config import config
from relay.cli.demo import demo
from relay.cli.explain import explain
from relay.cli.route import route
from relay.cli.sandbox import sandbox
from relay.cli.send_test import send_test
from relay.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pagerelay")
def main() -> None:
    """Stand between Alertmanager and PagerDuty, and keep PagerDuty in step with what fires."""


for command in (serve, config, route, explain, send_test, sandbox, demo):
    main.add_command(command)

if __name__ == "__main__":
    main()
