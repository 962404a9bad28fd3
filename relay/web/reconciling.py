"""/api/v1/reconcile: what differs between Alertmanagers, pages and PagerDuty; compared anew by operators."""

import msgspec
from aiohttp import web

from relay.alert import SECOND
from relay.answers import DriftAnswer, ReconcileAnswer
from relay.answers.words import clock as written
from relay.errors import NotTaken
from relay.page import short_id
from relay.reconciling import Found, Reconciling, Report
from relay.web import replies
from relay.web.bodies import Bodies
from relay.web.doors import Doors
from relay.web.middleware import BadRequest, operator


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What a comparison is asked with."""

    fix: bool = False
    """Whether what is certain is put right."""


class ReconcileDoors:
    """Compares, and shows what the last comparison came to."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies

    async def last(self, _: web.Request) -> web.Response:
        """Show what the last comparison came to."""
        report = self._reconciling().last
        return replies.json(ReconcileAnswer(at=None) if report is None else _answer(report))

    async def compare(self, request: web.Request) -> web.Response:
        """Compare now; it may take minutes."""
        reconciling = self._reconciling()
        body = await self._bodies.read(request)
        try:
            asked = msgspec.json.decode(body, type=Asked) if body.strip() else Asked()
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadRequest(f'{error}: send {{"fix": true}}, {{"fix": false}} or nothing') from None
        finally:
            self._bodies.done(body)
        self._doors.log.info("comparing with PagerDuty", by=operator(), fix=asked.fix)
        return replies.json(_answer(await reconciling.reconcile(fix=asked.fix)))

    def _reconciling(self) -> Reconciling:
        reconciling = self._doors.reconciling()
        if reconciling is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        return reconciling


def _answer(report: Report) -> ReconcileAnswer:
    return ReconcileAnswer(
        at=written(report.at),
        seconds=round(report.took / SECOND, 3),
        fix=report.fix,
        failed=report.failed,
        pages=report.pages,
        open_there=report.open_there,
        not_ours=report.not_ours,
        counts=report.counts,
        drifts=tuple(map(_drift, report.found)),
        notes=report.notes,
    )


def _drift(found: Found) -> DriftAnswer:
    drift = found.drift
    return DriftAnswer(
        kind=drift.kind.value,
        title=drift.title,
        page=short_id(drift.page) if drift.page else None,
        dedup_key=drift.dedup_key,
        incident=drift.incident_url or None,
        evidence=drift.evidence,
        outcome=found.outcome,
        expected=bool(drift.expected),
        repaired=found.repaired,
    )
