"""The kind of work `collect`: one slot of one collector."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.ha.collectors import Collector, Collectors, Limits
from shared.imports.rejecting import reject_of
from shared.model.profile import Profile
from shared.model.records import AnyRecord
from shared.model.steps import STEP_RECORDS, Step
from shared.sealing import BadMasterKey, CannotUnseal, MasterKey
from shared.services.protocol import Asked, BadOptions, CannotBeAsked, NotLetIn, Service
from shared.work.works import CannotGoOn, Part


def step_of(limits: Limits) -> int:
    """How many records a step shall have, so that one more cannot make a run exceed its caps."""
    return min(STEP_RECORDS, max(1, limits.writes // 4))


class CollectWork:
    """config, profile: as they are now. master_key: what secrets are opened with. services: by
    name."""

    def __init__(
        self,
        config: Callable[[], Collectors],
        profile: Callable[[], Profile],
        master_key: Callable[[], MasterKey],
        services: Mapping[str, Service],
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._profile = profile
        self._master_key = master_key
        self._services = services
        self._clock = clock

    def versions(self) -> Mapping[str, int]:
        return {name: service.VERSION for name, service in self._services.items()}

    def parts(
        self,
        job: str,  # noqa: ARG002 - the port's signature
        spec: Mapping[str, Any],
        cursor: str | None,
    ) -> Iterator[Part]:
        id = str(spec["collector"])
        config = self._config()
        collector = config.collectors.get(id)
        if collector is None:
            raise CannotGoOn(f"there is no collector {id} any more")
        service = self._services.get(collector.service)
        if service is None:
            raise CannotGoOn(f"this version of Yurt does not know the service {collector.service}")
        try:
            most = step_of(config.granted(id))
            for step in service.steps(self._asked(id, collector, service, cursor, most)):
                yield self._part(id, service, step)
        except (BadOptions, NotLetIn, CannotBeAsked) as error:
            raise CannotGoOn(str(error)) from error

    def _asked(
        self, id: str, collector: Collector, service: Service, cursor: str | None, most: int
    ) -> Asked:
        return Asked(
            collector=id,
            options=service.checked(collector.options),
            secret=self._secret(id, collector),
            cursor=cursor,
            now=self._clock(),
            profile=self._profile(),
            most=most,
        )

    def _secret(self, id: str, collector: Collector) -> str | None:
        if collector.sealed is None:
            return None
        try:
            return self._master_key().unseal(collector.sealed).decode()
        except (BadMasterKey, CannotUnseal) as error:
            raise CannotGoOn(
                f"the secret of {id} cannot be opened with this node's master key; restore the key "
                f"it was sealed with, or give the secret anew: yurt collectors change {id} --secret"
            ) from error

    def _part(self, id: str, service: Service, step: Step) -> Part:
        records, raws = list[AnyRecord](step.records), dict(step.raws)
        for bad in step.bad:
            reject, raw = reject_of(
                bad,
                source=service.NAME,
                version=service.VERSION,
                path=id,
                export=id,
                now=self._clock(),
            )
            records.append(reject)
            raws[str(reject.raw)] = raw
        return Part(step.cursor, step.done, step.done, records, raws)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        """It leaves nothing behind."""
