"""`pagerelay pagerduty`: ask PagerDuty's REST API, and act over it."""

import click

from relay.cli.incidents import incidents
from relay.cli.keys import keys
from relay.cli.oncalls import oncalls
from relay.cli.schedules import schedules
from relay.cli.services import services
from relay.cli.trial import trial


@click.group()
def pagerduty() -> None:
    """Ask PagerDuty's REST API, and act over it: incidents, who is on call, services, routing keys.

    The token comes from a file or from the environment: --token-file, PAGERELAY_PAGERDUTY_TOKEN, or what the routing
    file names in `pagerduty.api_token_file`. Acts count as the user that `pagerduty.from` or --from names. No command
    is needed for paging: the relay delivers without a token.
    """


for command in (incidents, oncalls, schedules, services, keys, trial):
    pagerduty.add_command(command)
