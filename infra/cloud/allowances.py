"""What the free tier gives (`infra/quotas.yaml`), and what a spending of it comes to. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import yaml
from msgspec import Struct

from infra.staging import ROOT
from shared.ha.allowances import LONGEST_MONTH, Allowance

QUOTAS = ROOT / "infra" / "quotas.yaml"

Spending: TypeAlias = Mapping[str, float]
"""What is used of allowances, by name, each in its unit and for one of its windows: of an
allowance by the day that of the busiest day. One that is missing is not touched."""

_NAME = re.compile(r"[a-z]+\.[a-z][a-z_]*")


class BadQuotas(Exception):
    """The file cannot be used; the text says which, and what is wrong with it."""


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
