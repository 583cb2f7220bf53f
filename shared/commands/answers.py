"""The answers of commands, as printed with `--json` and described in `schemas/`.

Members are only ever added. Times are UTC, lengths metres, speeds metres per second, levels 0 to 1,
ages seconds.
"""

from typing import Literal

from msgspec import Struct

from shared.ha.allowances import Window
from shared.ha.collectors import Level
from shared.model.access import App
from shared.model.time import Instant
from shared.work.jobs import State


class Paired(Struct, frozen=True, kw_only=True):
    """A device and its new credential, which is shown this once.

    renewed: the device was paired before; its old credential works until this one is first used.
    An app sends either username and password, or the token as bearer. setup_link: what the app
    opens to configure itself; null where there is none or a phone could not reach the url.
    encryption_key: the passphrase the app encrypts with. warning: what the owner should know.
    """

    device: str
    name: str
    app: App
    renewed: bool
    url: str
    username: str
    password: str
    token: str
    setup_link: str | None
    encryption_key: str | None
    warning: str | None


class DeviceState(Struct, frozen=True, kw_only=True):
    """A device and what was last heard of it.

    paired: it has a credential that works. age: since last_report. silent: it is paired and
    nothing came for a day. sees: ids of the devices whose positions its app is shown.
    """

    device: str
    name: str
    app: App
    paired: bool
    encrypted: bool
    created: Instant
    last_report: Instant | None
    age: float | None
    battery: float | None
    silent: bool
    sees: tuple[str, ...]


class Location(Struct, frozen=True, kw_only=True):
    """Where a device was. asked: the moment in question; age: from `time` to it."""

    device: str
    name: str
    time: Instant
    lat: float
    lon: float
    accuracy: float | None
    age: float
    asked: Instant
    altitude: float | None
    speed: float | None
    course: float | None
    battery: float | None


class OwnerProfile(Struct, frozen=True, kw_only=True):
    """saved: false while the zone is only what this machine is set to."""

    zone: str
    home_region: str | None
    units: Literal["metric", "imperial"]
    saved: bool


class NewToken(Struct, frozen=True, kw_only=True):
    """A credential that reads everything, shown this once."""

    name: str
    token: str


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token that there is. Its text is kept nowhere."""

    name: str
    created: Instant


class Unpaired(Struct, frozen=True, kw_only=True):
    """A device whose credential was taken away. What it reported is kept."""

    device: str
    name: str


class Revoked(Struct, frozen=True, kw_only=True):
    """A token that is worthless from now on."""

    name: str


class Shared(Struct, frozen=True, kw_only=True):
    """sees: ids of the devices whose positions the app of `device` is shown."""

    device: str
    name: str
    sees: tuple[str, ...]


class Queued(Struct, frozen=True, kw_only=True):
    """waiting: the commands that the device's next report will be answered with."""

    device: str
    name: str
    waiting: tuple[str, ...]


class JobState(Struct, frozen=True, kw_only=True):
    """A long piece of work, and how far it is.

    job: its id. title: of an import, what is imported. wish: what was asked of a run that goes on.
    done, total: bytes; total is null while it is not known. rate: bytes a second, so far. left,
    seconds: what it will take, and took. doing: what was being read. new, known: records by kind
    that were added, or were here already. unread: files that no source reads, by the end of their
    names. retry: when it is tried again, after an error. paced, paced_by: until when it waits since
    nothing is left of a quota for it, and why; done_by: when it will be done at that pace. stuck:
    it should go on, and nobody is at it. fix: what to do, unless all is well.
    """

    job: str
    title: str
    work: str
    state: State
    wish: Literal["pause", "cancel"] | None
    created: Instant
    changed: Instant
    done: int
    total: int | None
    rate: float | None
    left: float | None
    seconds: float
    doing: str | None
    new: dict[str, int]
    known: dict[str, int]
    unread: dict[str, int]
    error: str | None
    retry: Instant | None
    paced: Instant | None
    paced_by: str | None
    done_by: Instant | None
    stuck: bool
    fix: str | None


class Imported(Struct, frozen=True, kw_only=True):
    """What an import brought. jobs: one for each file, as `JobState`. The sums are of those that
    were done by this call: new, known and unread as there, rejects among what is new; seconds: how
    long all took.
    """

    jobs: tuple[JobState, ...]
    new: dict[str, int]
    known: dict[str, int]
    unread: dict[str, int]
    rejects: int
    seconds: float


class Recognised(Struct, frozen=True, kw_only=True):
    """What would be imported from a file or folder. size: bytes. archive: its members are counted.
    sources: files by the source that reads them. unread: files that no source reads, by the end of
    their names. problems: why something in it cannot be read.
    """

    path: str
    size: int
    archive: bool
    sources: dict[str, int]
    unread: dict[str, int]
    problems: tuple[str, ...]


class SentFile(Struct, frozen=True, kw_only=True):
    """A file and what another node made of it. moved: bytes that were sent now. job: of its import
    there. new, known: records by kind. error: why it could not be sent, or its import stopped.
    """

    path: str
    size: int
    state: Literal["unsent", "importing", "stopped", "done"]
    sha256: str | None
    moved: int
    job: str | None
    new: dict[str, int]
    known: dict[str, int]
    error: str | None


class Rejected(Struct, frozen=True, kw_only=True):
    """Something that could not be read. where: its place in what was imported. size: bytes of it;
    truncated: only the beginning is kept. kept: its bytes are still here.
    """

    id: str
    time: Instant
    source: str
    reason: str
    where: str | None
    device: str | None
    size: int
    truncated: bool
    kept: bool


class Hit(Struct, frozen=True, kw_only=True):
    """A record that says what was searched for. kind, id: which. text: some of what it says."""

    kind: str
    id: str
    time: Instant | None
    source: str
    title: str | None
    sender: str | None
    text: str | None


class Hits(Struct, frozen=True, kw_only=True):
    """What was found, newest first. cursor: where there may be more."""

    hits: tuple[Hit, ...]
    cursor: str | None


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. fix: what to do, unless all is well."""

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


CollectorIs = Literal["new", "waiting", "running", "done", "failed", "late", "paused"]


class CollectorState(Struct, frozen=True, kw_only=True):
    """A collector, and how its slots go.

    slot: the one that was begun last; changed: when something was last heard of it; next: its next
    slot, null while it is paused. new: records by kind that the last slot added. state: `late` when
    a slot and its grace are over and it was not begun; `waiting` after an error, until it is tried
    again. fix: what to do, unless all is well.
    """

    collector: str
    service: str
    schedule: str
    zone: str
    level: Level
    priority: int
    state: CollectorIs
    slot: Instant | None
    changed: Instant | None
    next: Instant | None
    new: dict[str, int]
    error: str | None
    fix: str | None


class Applied(Struct, frozen=True, kw_only=True):
    """What matching a file came to: names of collectors. without_secret: that have none."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    without_secret: list[str]


class QuotaUser(Struct, frozen=True, kw_only=True):
    """What the slots of a collector that are still to come take."""

    collector: str
    need: float


class QuotaWindow(Struct, frozen=True, kw_only=True):
    """An allowance in one of its windows, in its unit.

    capacity: what may be planned with. used: until now. forecast: of phones and questions. watch:
    of looking after collectors. protected: of slots to come. recoveries: of as many failures as are
    to be tolerated. failures_tolerated: how many would fit; null if not even no failure does.
    users: who takes most.
    """

    quota: str
    unit: str
    window: Window
    start: Instant
    end: Instant
    capacity: float
    used: float
    forecast: float
    watch: float
    protected: float
    recoveries: float
    failures_tolerated: int | None
    users: list[QuotaUser]


class PlanState(Struct, frozen=True, kw_only=True):
    """Whether the quotas hold what is protected, and how many failures besides.

    state: `overcommitted` unless `tolerate` failures fit; `armed` if the plan is a promise, since
    all has run as it is configured now and somebody looks after it; `arming` while `lacks` says
    what is missing for that; `holds` of one that is only supposed. failures_tolerated: how many
    collectors may fail in one window, whichever they are; null if not even none fits. protected:
    how many there are. held: who has to wait now, and why. windows: the tightest first.
    """

    state: Literal["armed", "arming", "holds", "overcommitted"]
    lacks: list[str]
    held: str | None
    generation: int
    made: Instant
    tolerate: int
    failures_tolerated: int | None
    protected: int
    windows: list[QuotaWindow]


class Recovers(Struct, frozen=True, kw_only=True):
    """What would be done about a collector that fails.

    missed: its first slot that is not done. noticed: when that is seen, at the latest. restarts:
    when it is begun again until it works, at the latest, besides its own slots. short: the quota
    that does not hold that, and until: how long; null if all do.
    """

    collector: str
    missed: Instant
    noticed: Instant
    restarts: list[Instant]
    short: str | None
    until: Instant | None


class WhatIf(Struct, frozen=True, kw_only=True):
    """What would come of a change that was not made, and of failures. refused: why the change would
    not be allowed. recoveries: of those that fail, in the order in which they are begun again."""

    before: PlanState | None
    after: PlanState
    refused: str | None
    recoveries: list[Recovers]


class PhoneState(Struct, frozen=True, kw_only=True):
    """A phone. last: report. battery: 0 to 1, then. quiet: since when it should have been heard of;
    null if it is as usual."""

    device: str
    name: str
    last: Instant
    battery: float | None
    quiet: Instant | None


class QuotaUse(Struct, frozen=True, kw_only=True):
    """How much of an allowance is used, and reserved until its window ends, of what there is."""

    quota: str
    used: float
    reserved: float
    capacity: float
    unit: str
    end: Instant


class ChannelState(Struct, frozen=True, kw_only=True):
    """Somebody who is told of alerts. untold: alerts that this channel did not take yet. failing:
    since when it takes none, and why; again: when it is tried next."""

    channel: str
    kind: str
    untold: int
    failing: Instant | None
    error: str | None
    again: Instant | None


class AlertsState(Struct, frozen=True, kw_only=True):
    """Who is told of alerts. ping: whether a URL is asked for after each look at the collectors."""

    channels: list[ChannelState]
    ping: bool


class Tested(Struct, frozen=True, kw_only=True):
    """A test alert on a channel. error: why it was not taken; null if it was."""

    channel: str
    error: str | None


class Quotas(Struct, frozen=True, kw_only=True):
    """What is planned with. tolerate: failures that must fit besides. unlimited: whether no quota
    is. quotas: those that are not as the free tier has them."""

    tolerate: int
    unlimited: bool
    quotas: dict[str, float]


class StatusState(Struct, frozen=True, kw_only=True):
    """How all is at a glance.

    well: whether nothing below needs anybody. watched: when somebody looked last; null if nobody
    ever did. plan, lacks, held: as in the plan. silent: since when most collectors are not heard
    of; unticked: since when nobody looks which slots are due. collectors: how many there are of
    each state; troubles: those that are not well. phones: those that are watched. jobs: that have
    not ended well. quotas: the tightest of the windows that go on. untold: alerts that were not
    delivered yet.
    """

    well: bool
    at: Instant
    watched: Instant | None
    plan: Literal["armed", "arming", "overcommitted"]
    lacks: list[str]
    held: str | None
    silent: Instant | None
    unticked: Instant | None
    collectors: dict[str, int]
    troubles: list[CollectorState]
    phones: list[PhoneState]
    jobs: list[JobState]
    quotas: list[QuotaUse]
    untold: int


ANSWERS = (
    Paired,
    DeviceState,
    Location,
    OwnerProfile,
    NewToken,
    TokenInfo,
    Unpaired,
    Revoked,
    Shared,
    Queued,
    JobState,
    Imported,
    Recognised,
    SentFile,
    Rejected,
    Hit,
    Hits,
    Check,
    CollectorState,
    Applied,
    PlanState,
    Quotas,
    WhatIf,
    StatusState,
    AlertsState,
    Tested,
)
"""Every answer that a command prints, for the generator of `schemas/`."""
