"""Collectors: what is configured, how each is, and what may be changed of it."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from shared.collecting import configuring
from shared.collecting.books import ledger_of
from shared.collecting.periods import AT_HOME_EACH, IN_CLOUD_EACH
from shared.collecting.pool import free_tier, pool_of
from shared.collecting.reports import paired
from shared.collecting.slots import FAMILY, WORK, enrolled, failing, rescheduled, retired, slot_of
from shared.commands.answers import (
    Applied,
    CollectorIs,
    CollectorState,
    PlanState,
    Quotas,
    QuotaUser,
    QuotaWindow,
    Recovers,
    WhatIf,
)
from shared.commands.errors import Refused
from shared.ha.changes import (
    BadChange,
    Change,
    Failure,
    find,
    read_change,
    read_failure,
    with_collector,
    without_collector,
)
from shared.ha.changes import what_if as hypothesis
from shared.ha.collectors import (
    COLLECTORS,
    MOST,
    NAMES,
    BadCollector,
    Caps,
    Collector,
    Collectors,
    Declared,
    checked_id,
    offset_of,
)
from shared.ha.planner import Line, Overcommitted, Plan, Pool, plan, users
from shared.ha.recovering import Recovering, recoveries
from shared.ha.schedules import BadSchedule
from shared.ha.watching import UNTICKED_AFTER, WATCHED, Watched
from shared.model.profile import PROFILE, Profile
from shared.node import Node
from shared.services.protocol import BadOptions, Service
from shared.store import changing
from shared.store.changing import current
from shared.store.protocol import Conflict, Damaged
from shared.work.jobs import Job, State

Services = Mapping[str, Service]


class DeclaredFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of collectors: all there shall be, without their secrets."""

    collectors: dict[str, Declared] = {}
    tolerate: Annotated[int, Meta(ge=0, le=MOST)] = 1
    unlimited: bool = False
    quotas: dict[str, float] = {}


# What there is


def collector_states(node: Node) -> list[CollectorState]:
    """By name."""
    config, now = config_of(node), node.clock()
    return [
        state_of(id, collector, _job(node, id), now)
        for id, collector in sorted(config.collectors.items())
    ]


def _job(node: Node, id: str) -> Job | Damaged | None:
    try:
        held = node.store.control(Job, FAMILY, id)
        if held is not None:
            slot_of(held.document)
    except Damaged as error:
        return error
    return held.document if held is not None else None


def config_of(node: Node) -> Collectors:
    return current(node.store, COLLECTORS, Collectors())


def state_of(
    id: str, collector: Collector, job: Job | Damaged | None, now: datetime
) -> CollectorState:
    """job: of its runs, if there was one."""
    if isinstance(job, Damaged):
        never = state_of(id, collector, None, now)
        return replace(never, state="failed", error=str(job), fix=_ANEW.format(id=id))
    state = _state(collector, job, now)
    before = failing(job) if job is not None else None
    error = before.error if before is not None else job.last_error if job is not None else None
    following, fix = None, _FIXES.get(state, "").format(id=id)
    try:
        slots = collector.slots
        following = None if collector.paused else slots.next(now, offset_of(id, slots))
    except BadSchedule as unreadable:  # its zone may be gone
        state, error = "failed", str(unreadable)
        fix = f"give it another: yurt collectors change {id} --schedule WHEN --zone ZONE"
    return CollectorState(
        collector=id,
        service=collector.service,
        schedule=collector.schedule,
        zone=collector.zone,
        level=collector.level,
        priority=collector.priority,
        state=state,
        slot=slot_of(job) if job is not None and job.begun else None,
        changed=job.changed if job is not None else None,
        next=following,
        new=job.progress.new if job is not None else {},
        error=error,
        fix=fix or None,
    )


def _state(collector: Collector, job: Job | None, now: datetime) -> CollectorIs:
    if collector.paused:
        return "paused"
    if job is None or (job.begun == 0 and job.due is not None and now < job.due):
        return "new"
    if job.state == "done" and job.due is not None and now >= job.due:
        return "late"
    return _OF_JOBS[job.state]


_OF_JOBS: Mapping[State, CollectorIs] = {
    "ready": "waiting",
    "running": "running",
    "paused": "paused",
    "cancelled": "failed",
    "failed": "failed",
    "done": "done",
}

_ANEW = "begin it anew: yurt collectors remove {id}, then add it again"
_FIXES = {
    "failed": "mend what it says; the next slot tries again",
    "late": "see that the node runs: yurt doctor",
}


# What is changed


def add(
    node: Node, services: Services, id: str, declared: Declared, secret: str | None
) -> CollectorState:
    """`Refused` if there is one of that name, or it cannot be so, or no plan would be left."""

    def added(config: Collectors) -> Collectors:
        if id in config.collectors:
            raise BadCollector(
                f"there is a collector {id!r} already; to change it: yurt collectors change {id}"
            )
        if len(config.collectors) >= MOST:
            raise BadCollector(f"there are {MOST} collectors, and no more fit")
        return with_collector(config, checked_id(id), kept)

    _check_options(services, id, declared)
    sealed = _sealed(node, secret)
    kept = Collector(**_members(declared), created=node.clock(), sealed=sealed)
    _apply(node, [added])
    _enrol(node, id, kept)
    return state_of(id, kept, None, node.clock())


def change(
    node: Node,
    services: Services,
    id: str,
    changes: Mapping[str, Any],
    options: Mapping[str, Any],
    caps: Mapping[str, Any],
    secret: str | None,
) -> None:
    """changes: members of `Declared` that are to be others. options, caps: of these."""

    def changed(config: Collectors) -> Collectors:
        held = find(config, id)
        made = replace(
            held,
            **changes,
            options={**held.options, **options},
            caps=_convert({**asdict(held.caps), **caps}, Caps, f"caps of {id}"),
        )
        made = _convert(msgspec.to_builtins(made), Collector, id)
        _check_options(services, id, made)
        return with_collector(config, id, replace(made, sealed=sealed or held.sealed))

    sealed = _sealed(node, secret)
    _reschedule(node, id, _apply(node, [changed]).collectors[id])


def remove(node: Node, id: str) -> None:
    """What it has brought stays."""

    def removed(config: Collectors) -> Collectors:
        find(config, id)
        return without_collector(config, id)

    _apply(node, [removed])
    _retire(node, id)


def pause(node: Node, id: str, *, paused: bool) -> None:
    def changed(config: Collectors) -> Collectors:
        return with_collector(config, id, replace(find(config, id), paused=paused))

    _reschedule(node, id, _apply(node, [changed]).collectors[id])


def run(node: Node, id: str) -> bool:
    """Lets one run as soon as somebody ticks, besides its schedule; whether somebody does.

    `Refused` if it may not run now, or that would take of what is kept free for others.
    """
    now = node.clock()

    def asked(config: Collectors) -> Collectors:
        if find(config, id).paused:
            raise Refused(f"{id} is paused; to go on: yurt collectors resume {id}")
        if config.is_held(id, now):
            raise Refused(f"{id} has to wait: {config.held}")
        _check_left(plan_of(node, config), config, id, now)
        return replace(config, asked={**config.asked, id: now})

    try:
        config = changing.change(node.store, COLLECTORS, Collectors(), asked)
    except BadCollector as error:
        raise Refused(str(error)) from None
    is_ticked = config.ticked is not None and now - config.ticked < UNTICKED_AFTER
    return is_ticked or is_looked_after(node, watched_of(node), now)


def _check_left(made: Plan, config: Collectors, id: str, now: datetime) -> None:
    limits = config.limits_of(id)
    takes = {**limits.vector(), **limits.daily()}
    for line in made.current(now):
        if takes.get(line.dimension, 0.0) > max(0.0, line.left(made.wanted)):
            raise Refused(
                f"what is left of {line.dimension} until {line.end:%Y-%m-%d %H:%M} UTC is kept "
                "free for slots and recoveries: see yurt plan"
            )


def apply(node: Node, services: Services, text: str, name: str) -> Applied:
    """Makes what is configured match a file, all of it or nothing. Secrets are kept by name."""
    try:
        wanted = msgspec.convert(tomllib.loads(text), DeclaredFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Refused(f"{name} cannot be used: {error}") from None
    for id, declared in wanted.collectors.items():
        _check_options(services, id, declared)
    _check_quotas(wanted.quotas)
    now, before = node.clock(), Collectors()

    def applied(config: Collectors) -> Collectors:
        nonlocal before
        before = config
        made = replace(
            _with_no_other(config, wanted.collectors),
            tolerate=wanted.tolerate,
            unlimited=_may_be_unlimited(node, wanted.unlimited),
            quotas=wanted.quotas,
        )
        for id, declared in wanted.collectors.items():
            held = config.collectors.get(id)
            kept = Collector(
                **_members(declared),
                created=held.created if held else now,
                sealed=held.sealed if held else None,
                generation=held.generation if held else 0,
            )
            made = with_collector(made, checked_id(id), kept)
        return made

    found = _apply(node, [applied], anew=True)
    after = found.collectors
    there = before.collectors
    for id in sorted(there.keys() - after.keys()):
        _retire(node, id)
    for id, collector in after.items():
        if id not in there:
            _enrol(node, id, collector)
        elif collector != there[id]:
            _reschedule(node, id, collector)
    return Applied(
        added=sorted(after.keys() - there.keys()),
        changed=sorted(id for id in after.keys() & there.keys() if after[id] != there[id]),
        removed=sorted(there.keys() - after.keys()),
        without_secret=sorted(id for id, collector in after.items() if collector.sealed is None),
    )


def _with_no_other(config: Collectors, ids: Collection[str]) -> Collectors:
    for id in sorted(config.collectors.keys() - ids):
        config = without_collector(config, id)
    return config


def set_quotas(
    node: Node, quotas: Mapping[str, float], tolerate: int | None, unlimited: bool | None
) -> Quotas:
    """quotas: allowances that are other ones from now on. None: as it is. `Refused` if what is
    there would have no plan any more."""
    _check_quotas(quotas)

    def changed(config: Collectors) -> Collectors:
        free = {name: allowance.amount for name, allowance in free_tier().items()}
        made = {**config.quotas, **quotas} if unlimited is not False else dict(quotas)
        return replace(
            config,
            tolerate=config.tolerate if tolerate is None else tolerate,
            unlimited=config.unlimited if unlimited is None else _may_be_unlimited(node, unlimited),
            quotas={name: amount for name, amount in made.items() if amount != free[name]},
        )

    return quotas_of(_apply(node, [changed]))


def _check_quotas(quotas: Mapping[str, float]) -> None:
    unknown = sorted(quotas.keys() - free_tier().keys())
    if unknown:
        raise Refused(f"no allowance is called {', '.join(unknown)}; there is {_LISTED}")
    for name, amount in quotas.items():
        if not 0 < amount < _MOST_OF_ANY:  # no number is not either
            raise Refused(
                f"{name} is to be a number above 0, and not {amount:g}; to plan with no quota, at "
                "home: yurt collectors quotas --unlimited"
            )


_MOST_OF_ANY = 1e15


def quotas_of(config: Collectors) -> Quotas:
    return Quotas(tolerate=config.tolerate, unlimited=config.unlimited, quotas=config.quotas)


def _may_be_unlimited(node: Node, unlimited: bool) -> bool:
    if unlimited and node.settings.firestore is not None:
        raise Refused(
            "in the cloud more than the free tier gives is billed; say which allowance may be "
            "larger: yurt collectors quotas firestore.writes=40000"
        )
    return unlimited


_LISTED = ", ".join(NAMES)


def _enrol(node: Node, id: str, collector: Collector) -> None:
    """So that it is missed even if its first slot never comes. One of that name that was there
    before has read elsewhere, and commits no more."""
    while True:
        job, over = _found(node, id)
        if _written(node, id, over, enrolled(id, collector, job, node.clock())):
            return


def _retire(node: Node, id: str) -> None:
    """Nobody looks after one that was removed, and what still runs of it brings nothing more."""
    while True:
        job, over = _found(node, id)
        if over is None:
            return
        made = job or Job(work=WORK, title=id, created=node.clock(), changed=node.clock())
        if _written(node, id, over, retired(made)):
            return


def _found(node: Node, id: str) -> tuple[Job | None, str | None]:
    """The job of a collector and its version; of one that cannot be read the version."""
    try:
        held = node.store.control(Job, FAMILY, id)
    except Damaged as error:
        return None, error.version
    return (held.document, held.version) if held is not None else (None, None)


def _reschedule(node: Node, id: str, collector: Collector) -> None:
    held = node.store.control(Job, FAMILY, id)
    if held is None or held.document.is_held(node.clock()):
        return  # its run knows better when it ends
    # If a run began meanwhile, it knows better, too.
    _written(node, id, held.version, rescheduled(id, collector, held.document, node.clock()))


def _written(node: Node, id: str, over: str | None, job: Job) -> bool:
    try:
        node.store.commit(FAMILY, id, over, lambda _: job)
    except Conflict:
        return False
    return True


def _members(declared: Declared) -> dict[str, Any]:
    return {name: getattr(declared, name) for name in Declared.__struct_fields__}


def _sealed(node: Node, secret: str | None) -> str | None:
    return None if secret is None else node.sealing_key().seal(secret.encode())


def _convert(value: Any, type: Any, about: str) -> Any:
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise BadCollector(f"{about}: {error}") from None


def _check_options(services: Services, id: str, declared: Declared) -> None:
    service = services.get(declared.service)
    if service is None:
        raise Refused(
            f"{id}: there is no service {declared.service!r}; there is {', '.join(services)}"
        )
    try:
        service.checked(declared.options)
    except BadOptions as error:
        raise Refused(f"{id}: {error}") from None


def _apply(node: Node, changes: Sequence[Change], *, anew: bool = False) -> Collectors:
    """What is configured afterwards. `Refused`. anew: nothing of what was is kept."""
    try:
        found = configuring.apply(node.store, changes, lambda: pool(node), node.clock, anew=anew)
    except Overcommitted as refused:
        raise Refused(overcommitted_text(refused)) from refused
    except (BadChange, BadCollector, BadSchedule) as error:
        raise Refused(str(error)) from error
    node.configured.forget()
    return found.changed


# The plan

_MISSED = 3.5
"""Times the pause between two looks, after which nobody looks any more."""


def pool(node: Node) -> Pool:
    ledger = ledger_of(node.store) if node.settings.firestore is not None else None
    return pool_of(paired(node.store), ledger, node.clock())


def plan_of(node: Node, config: Collectors) -> Plan:
    return plan(config, pool(node), node.clock())


def plan_state(node: Node) -> PlanState:
    config, now = config_of(node), node.clock()
    made = _plan_state(plan_of(node, config), config, now)
    lacks = lacks_of(node, watched_of(node), config, now)
    if made.state == "holds":
        made = replace(made, state="arming" if lacks else "armed")
    return replace(made, lacks=lacks)


def watched_of(node: Node) -> Watched:
    return current(node.store, WATCHED, Watched())


def is_looked_after(node: Node, watched: Watched, now: datetime) -> bool:
    within = max(_MISSED * sweeps_each(node), timedelta(minutes=3))
    return watched.swept is not None and now - watched.swept <= within


def lacks_of(node: Node, watched: Watched, config: Collectors, now: datetime) -> list[str]:
    """What is missing for the plan to be a promise."""
    if not is_looked_after(node, watched, now):
        since = f" since {watched.swept:%Y-%m-%d %H:%M} UTC" if watched.swept else ""
        return [f"nobody looks after the collectors{since}: does the node run?"]
    arming = watched.arming
    if arming is None or arming.generation != config.generation:
        return ["what was changed is looked at within the next minutes"]
    return list(arming.lacks)


def what_if(node: Node, texts: Sequence[str]) -> WhatIf:
    """What would come of changes, which are not made, and of failures. `Refused` for words that say
    neither."""
    config, now = config_of(node), node.clock()
    zone = current(node.store, PROFILE, Profile()).tzinfo()
    try:
        failures = [failure for text in texts if (failure := read_failure(text)) is not None]
        changes = [read_change(text, free_tier()) for text in texts if read_failure(text) is None]
        found = hypothesis(config, changes, pool(node), now)
        recovering = [
            _recovers(each)
            for at, ids in _together(failures, now.astimezone(zone))
            for each in recoveries(found.changed, found.after, ids, at, sweeps_each(node))
        ]
    except (BadChange, BadCollector, BadSchedule) as error:
        raise Refused(str(error)) from error
    return WhatIf(
        before=_plan_state(found.before, config, now) if found.before is not None else None,
        after=_plan_state(found.after, found.changed, now),
        refused=overcommitted_text(found.refused) if found.refused is not None else None,
        recoveries=recovering,
    )


def sweeps_each(node: Node) -> timedelta:
    """How often somebody looks after collectors."""
    return AT_HOME_EACH if node.settings.firestore is None else IN_CLOUD_EACH


def _together(failures: Sequence[Failure], now: datetime) -> list[tuple[datetime, list[str]]]:
    """Those that fail at one time. now: in the zone of the owner, whose clock they name."""
    found = dict[datetime, list[str]]()
    for failure in failures:
        at = now
        if failure.clock is not None:
            hour, minute = failure.clock
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            at = at if at >= now else at + timedelta(days=1)
        found.setdefault(at.astimezone(UTC), []).append(failure.collector)
    return sorted(found.items())


def _recovers(each: Recovering) -> Recovers:
    return Recovers(
        collector=each.collector,
        missed=each.missed,
        noticed=each.noticed,
        restarts=list(each.restarts),
        short=each.short,
        until=each.lasting,
    )


def held_text(config: Collectors, now: datetime) -> str | None:
    """Who has to wait now, and why."""
    return str(config.held) if config.held is not None and now < config.held.until else None


def _plan_state(made: Plan, config: Collectors, now: datetime) -> PlanState:
    return PlanState(
        state=made.state,
        lacks=[],
        held=held_text(config, now),
        generation=made.generation,
        made=made.made,
        tolerate=made.tolerate,
        failures_tolerated=made.failures_tolerated,
        protected=made.protected,
        windows=[_window(line, made, config) for line in made.lines],
    )


def _window(line: Line, made: Plan, config: Collectors) -> QuotaWindow:
    return QuotaWindow(
        quota=line.dimension,
        unit=free_tier()[line.dimension].unit,
        window=line.window,
        start=line.start,
        end=line.end,
        capacity=line.capacity,
        used=line.used,
        forecast=line.forecast,
        watch=line.watch,
        protected=line.protected,
        recoveries=line.need(made.wanted) - line.base,
        failures_tolerated=line.tolerated,
        users=[QuotaUser(collector=id, need=need) for id, need in users(line, config)],
    )


_CAPS_OF: Mapping[str, str] = {
    "firestore.reads": "reads",
    "firestore.writes": "writes",
    "firestore.stored": "megabytes",
    "run.requests": "chunks",
    "run.vcpu_seconds": "seconds",
    "run.gib_seconds": "seconds",
    "tasks.operations": "chunks",
    "storage.class_a": "object_writes",
    "storage.class_b": "object_reads",
    "storage.stored": "object_megabytes",
}
"""What to cap to spare an allowance."""


def overcommitted_text(error: Overcommitted) -> str:
    """Which quota, in which window, the need and what there is, who takes it, what would do."""
    line, allowance = error.line, free_tier()[error.dimension]
    when = {
        "day": f"on the day that begins {line.start:%Y-%m-%d %H:%M} UTC",
        "month": f"in the month from {line.start:%Y-%m-%d}",
        "stock": "of what is kept",
    }[error.window]
    takes = ", ".join(f"{r.collector} {r.need:g}" for r in line.recoveries[:3])
    tolerated = (
        "not even runs without a failure would fit"
        if error.failures_tolerated is None
        else f"at most {error.failures_tolerated} failures would be tolerable"
    )
    return (
        f"that would leave no plan: {error.need:,.6g} {allowance.unit} of {error.dimension} are "
        f"needed {when}, and {error.have:,.6g} may be planned with; {tolerated} (the dearest "
        f"recoveries: {takes or 'none'}). A lower cap ({_CAPS_OF[error.dimension]}), less often, "
        "best-effort, or another collector less: try it with yurt what-if"
    )
