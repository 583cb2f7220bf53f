"""What the free tier gives (`infra/quotas.yaml`), and what a spending of it comes to. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import yaml
from msgspec import Meta, Struct

from infra.staging import ROOT

QUOTAS = ROOT / "infra" / "quotas.yaml"

PACIFIC = ZoneInfo("America/Los_Angeles")
"""The zone in which days and months of allowances begin at midnight
(https://cloud.google.com/firestore/quotas)."""

LONGEST_MONTH = 31
"""Days."""

BYTES = {"GB": 10**9, "GiB": 2**30}
"""Of the units that are amounts of data."""

Window = Literal["day", "month", "stock"]
Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]

Spending: TypeAlias = Mapping[str, float]
"""What is used of allowances, by name, each in its unit and for one of its windows: of an
allowance by the day that of the busiest day. One that is missing is not touched."""

_NAME = re.compile(r"[a-z]+\.[a-z][a-z_]*")


class BadQuotas(Exception):
    """The file cannot be used; the text says which, and what is wrong with it."""


class Allowance(Struct, frozen=True, forbid_unknown_fields=True):
    """Something of which so much is free.

    title: what is counted. window: `day`, from midnight to midnight in the Pacific zone, `month`,
    or `stock`, which is what is kept at any time. scope: whose it is, and so who shares it.
    beyond: whether what is more is billed or refused. price: USD for each `per` units of it, of a
    stock for a month. source: where the figures are from.
    """

    title: Text
    amount: Positive
    unit: Text
    window: Window
    scope: Literal["project", "billing account"]
    beyond: Literal["billed", "refused"]
    price: Annotated[float, Meta(ge=0)]
    per: Positive
    source: Annotated[str, Meta(pattern=r"^https://")]
    note: str = ""

    @property
    def unit_price(self) -> float:
        """USD."""
        return self.price / self.per


class Charge(NamedTuple):
    """excess: units beyond what is free in one window. usd: of a month in which each day is so."""

    name: str
    excess: float
    usd: float


class Bill(NamedTuple):
    """charges: of what costs something or is refused, the dearest first. tightest: of which the
    largest share is used, and that share; empty and 0 if nothing is used."""

    usd: float
    charges: tuple[Charge, ...]
    tightest: str
    share: float


class _Quotas(Struct, frozen=True, forbid_unknown_fields=True):
    collected: date
    allowances: dict[str, Allowance]


@cache
def allowances(path: Path = QUOTAS) -> Mapping[str, Allowance]:
    """By name, in the order of the file. `BadQuotas`."""
    try:
        quotas = msgspec.convert(yaml.load(path.read_text("utf-8"), _Loader), _Quotas)  # noqa: S506
    except FileNotFoundError:
        raise BadQuotas(f"{path} is missing; it says what the free tier gives") from None
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadQuotas(f"{path}: {error}") from None
    for name in quotas.allowances:
        if not _NAME.fullmatch(name):
            raise BadQuotas(
                f"{path}: {name!r} is no name of an allowance; write one like firestore.writes"
            )
    return quotas.allowances


def shares(spending: Spending, given: Mapping[str, Allowance]) -> dict[str, float]:
    """Used of each allowance as a part of it, the largest first. `ValueError` for a name that
    `given` does not have."""
    unknown = spending.keys() - given.keys()
    if unknown:
        raise ValueError(f"no allowance is called {', '.join(sorted(unknown))}")
    found = {name: used / given[name].amount for name, used in spending.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def bill(spending: Spending, given: Mapping[str, Allowance], days: int = LONGEST_MONTH) -> Bill:
    """What a month costs that is as `spending` says. days: which it has, each of them the
    busiest; so the bill is never too small."""
    used = shares(spending, given)
    charges = [
        _charge(name, given[name], spending[name], days)
        for name in used
        if spending[name] > given[name].amount
    ]
    charges.sort(key=lambda charge: -charge.usd)
    tightest, share = next(iter(used.items()), ("", 0.0))
    usd = sum(charge.usd for charge in charges)
    return Bill(usd, tuple(charges), tightest if share else "", share)


def added(*spendings: Spending) -> dict[str, float]:
    """All of them together."""
    total: dict[str, float] = {}
    for spending in spendings:
        for name, used in spending.items():
            total[name] = total.get(name, 0.0) + used
    return total


def began(window: Window, now: datetime) -> datetime | None:
    """When the current day or month of the Pacific zone began, in UTC; None for a stock."""
    if window == "stock":
        return None
    today = now.astimezone(PACIFIC).date()
    return _midnight(today if window == "day" else today.replace(day=1))


def ends(window: Window, now: datetime) -> datetime | None:
    """When the next one begins, and all is free again; None for a stock. A day has 23 hours, or
    25, when the clocks change."""
    if window == "stock":
        return None
    today = now.astimezone(PACIFIC).date()
    if window == "day":
        return _midnight(today + timedelta(days=1))
    return _midnight((today.replace(day=1) + timedelta(days=LONGEST_MONTH)).replace(day=1))


def _midnight(day: date) -> datetime:
    # The clocks of the zone change at two o'clock, so there is one midnight each day.
    return datetime(day.year, day.month, day.day, tzinfo=PACIFIC).astimezone(UTC)


def _charge(name: str, allowance: Allowance, used: float, days: int) -> Charge:
    excess = used - allowance.amount
    times = days if allowance.window == "day" else 1
    usd = excess * allowance.unit_price * times if allowance.beyond == "billed" else 0.0
    return Charge(name, excess, usd)


class _Loader(yaml.SafeLoader):
    """YAML in which nothing is said twice: the library would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        "while reading a mapping",
                        node.start_mark,
                        f"{key.value!r} is there twice",
                        key.start_mark,
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
