"""How all is at a glance: collectors, the plan, phones, jobs, quotas."""

from collections import Counter
from datetime import datetime, timedelta

from shared.collecting.pool import free_tier
from shared.collecting.reports import reports
from shared.commands.answers import (
    JobState,
    PhoneState,
    QuotaUse,
    StatusState,
)
from shared.commands.collectors import (
    collector_states,
    config_of,
    held_text,
    is_looked_after,
    lacks_of,
    plan_of,
    watched_of,
)
from shared.commands.jobs import job_states
from shared.ha.phones import Phone
from shared.ha.planner import Plan
from shared.node import Node

SHOWN = 5
"""Quotas, the tightest."""
LATELY = timedelta(days=7)
"""Jobs that failed or were paused longer ago are no news."""


def status(node: Node) -> StatusState:
    config, watched, now = config_of(node), watched_of(node), node.clock()
    made, collectors = plan_of(node, config), collector_states(node)
    lacks = lacks_of(node, watched, config, now) if collectors else []
    troubles = [state for state in collectors if state.state in ("failed", "late")]
    phones = phone_states(node, watched.phones)
    jobs = [state for state in job_states(node) if _is_told_of(state, now)]
    quiet = any(phone.quiet is not None for phone in phones)
    ailing = any(job.stuck or job.state == "failed" for job in jobs)
    is_watched = not collectors or is_looked_after(node, watched, now)
    return StatusState(
        well=made.holds
        and is_watched
        and not (troubles or quiet or ailing or watched.outbox.alerts)
        and not (watched.silent or watched.unticked),
        at=now,
        watched=watched.swept,
        plan=("arming" if lacks else "armed") if made.holds else "overcommitted",
        lacks=lacks,
        held=held_text(config, now),
        silent=watched.silent,
        unticked=watched.unticked,
        collectors=dict(Counter(state.state for state in collectors)),
        troubles=troubles,
        phones=phones,
        jobs=jobs,
        quotas=_quotas(made, now),
        untold=len(watched.outbox.alerts),
    )


def phone_states(node: Node, known: dict[str, Phone]) -> list[PhoneState]:
    return [
        PhoneState(
            device=id,
            name=report.name,
            last=report.last,
            battery=report.battery,
            quiet=known[id].quiet if id in known and report.last <= known[id].last else None,
        )
        for id, report in reports(node.store).items()
    ]


def _is_told_of(state: JobState, now: datetime) -> bool:
    if state.work == "seal" and state.state != "failed":
        return False
    if state.state in ("done", "cancelled"):
        return False
    return state.state in ("ready", "running") or now - state.changed < LATELY


def _quotas(made: Plan, now: datetime) -> list[QuotaUse]:
    return [
        QuotaUse(
            quota=line.dimension,
            used=line.used,
            reserved=line.need(made.wanted) - line.used,
            capacity=line.capacity,
            unit=free_tier()[line.dimension].unit,
            end=line.end,
        )
        for line in made.current(now)[:SHOWN]
    ]
