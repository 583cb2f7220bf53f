"""All that a node is made of, in the order in which it comes to be."""

import secrets as randomness
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.cloud import bridge, policies
from infra.cloud.accounts import ServiceAccounts
from infra.cloud.bridge import Home
from infra.cloud.bucket import Bucket, StorageAccount
from infra.cloud.budget import Budget
from infra.cloud.database import Database, Exemptions, Indexes, IndexesAreBuilt, Rules
from infra.cloud.deployment import Deployment, member
from infra.cloud.functions import Callers, Function, Strays
from infra.cloud.policies import Grant, Roles, below
from infra.cloud.preflight import Project
from infra.cloud.queue import Queue
from infra.cloud.repository import Repository
from infra.cloud.schedule import Jobs
from infra.cloud.secrets import OldVersions, OtherSecrets, Secret, secret_name
from infra.cloud.services import SERVICES, EnabledServices
from infra.cloud.steps import Step
from infra.declarations import Below, Declaration, declarations
from infra.staging import BUILD, ROOT, Staged, stage
from shared.sealing import KEY_BYTES

_WORKER = "work"
"""The function that tasks of the queue call."""

_SOURCES = (
    "sources of functions only",
    'resource.name.startsWith("projects/_/buckets/gcf-v2-")',
)
"""What the account that builds may read: it runs what packages bring along, so not the owner's
data. The platform keeps the sources in buckets whose names begin so."""


def _new_key() -> str:
    return randomness.token_hex(KEY_BYTES)


@dataclass(frozen=True)
class CloudNode:
    """What is deployed. number, billing_account: the project's; what they are is not known as long
    as nobody looked, and no plan shows them."""

    deployment: Deployment
    declared: Mapping[str, Declaration]
    staged: Mapping[str, Staged]
    number: str = "NUMBER"
    billing_account: str | None = "billingAccounts/ID"
    bridge: Home = "none"
    new_key: Callable[[], str] = _new_key

    def steps(self) -> list[Step]:
        return [*self._platform(), *self._functions(), *self._at_last()]

    def _platform(self) -> Iterable[Step]:
        deployment = self.deployment
        also = (bridge.NEEDS,) if self.bridge == "vm" else ()
        yield EnabledServices(deployment, [*SERVICES, *also])
        yield Database(deployment)
        # Where it is, the node is from then on. So the database is first: if it is elsewhere
        # already, its owner may still choose.
        yield Bucket(deployment, self.number)
        yield Indexes(deployment)
        yield Exemptions(deployment)
        yield Rules(deployment)
        yield ServiceAccounts(deployment, self._purposes())
        yield StorageAccount(deployment)
        for variable, given in self._secrets().items():
            yield Secret(deployment, secret_name(variable), None if given else self.new_key)
        yield Repository(deployment)
        yield Queue(deployment, self._at_once())
        yield from self._roles()

    def _secrets(self) -> dict[str, bool]:
        """Of each variable that holds a secret, whether its owner gives it."""
        made = {variable: False for d in self.declared.values() for variable in d.secrets}
        given = {variable: True for d in self.declared.values() for variable in d.given_secrets}
        return dict(sorted({**made, **given}.items()))

    def _at_once(self) -> int:
        """How many calls of the queue are answered at once."""
        work = self.declared.get(_WORKER)
        return work.max_instances * work.concurrency if work else 1

    def _roles(self) -> Iterable[Step]:
        deployment, declared = self.deployment, self.declared
        roles = {name: d.roles for name, d in declared.items()}
        yield Roles(
            deployment,
            "roles in the project",
            policies.of_project(deployment.project),
            self._project_grants(),
            stays="Cloud Storage may still publish events in the project, as others may need",
        )
        yield Roles(
            deployment,
            "roles on the bucket",
            policies.of_bucket(deployment.bucket),
            [*self._bucket_grants(), *self._bridge_grants()],
        )
        yield Roles(
            deployment,
            "roles on the task queue",
            policies.of_queue(deployment.queue),
            self._grants({name: r.queue for name, r in roles.items()}),
        )
        yield Roles(
            deployment,
            "roles on the caller's account",
            policies.of_account(deployment.project, deployment.caller),
            self._grants({name: r.caller for name, r in roles.items()}),
        )
        for variable in self._secrets():
            secret = secret_name(variable)
            readers = [name for name, d in declared.items() if variable in d.all_secrets]
            yield Roles(
                deployment,
                f"roles on {secret}",
                policies.of_secret(f"projects/{deployment.project}/secrets/{secret}"),
                self._grants(dict.fromkeys(readers, ("roles/secretmanager.secretAccessor",))),
            )
        builder = Grant("roles/artifactregistry.writer", member(deployment.builder))
        yield Roles(
            deployment,
            "roles on the image repository",
            policies.of_repository(deployment.repository),
            [builder],
        )

    def _project_grants(self) -> Iterable[Grant]:
        yield from self._grants({name: d.roles.project for name, d in self.declared.items()})
        builder = member(self.deployment.builder)
        yield Grant("roles/logging.logWriter", builder)
        yield Grant("roles/storage.objectViewer", builder, _SOURCES)
        if any(d.event for d in self.declared.values()):
            # As https://cloud.google.com/eventarc/docs/all-roles-permissions asks for it.
            yield Grant("roles/eventarc.eventReceiver", member(self.deployment.caller))
            storage = f"service-{self.number}@gs-project-accounts.iam.gserviceaccount.com"
            yield Grant("roles/pubsub.publisher", member(storage))

    def _grants(self, roles: Mapping[str, Sequence[str]]) -> Iterable[Grant]:
        for function, named in roles.items():
            for role in named:
                yield Grant(role, member(self.deployment.account(function)))

    def _bucket_grants(self) -> Iterable[Grant]:
        bucket = self.deployment.bucket
        for function, declared in self.declared.items():
            account = member(self.deployment.account(function))
            for role in declared.roles.bucket:
                if isinstance(role, Below):
                    yield Grant(role.role, account, below(bucket, role.below))
                else:
                    yield Grant(role, account)

    def _bridge_grants(self) -> Iterable[Grant]:
        return bridge.grants(self.deployment) if self.bridge == "vm" else ()

    def _purposes(self) -> dict[str, str]:
        deployment = self.deployment
        functions = {deployment.account(name): f"the function {name}" for name in self.declared}
        also = {deployment.bridge: "runs the XMPP bridge"} if self.bridge == "vm" else {}
        return {
            **functions,
            deployment.caller: "calls private functions",
            deployment.builder: "builds the functions",
            **also,
        }

    def _functions(self) -> Iterable[Step]:
        deployment = self.deployment
        yield Strays(deployment, self.number, self.declared)
        for name, declared in self.declared.items():
            yield Function(deployment, self.number, self.staged[name], declared)
        for name, declared in self.declared.items():
            who = "allUsers" if declared.exposure == "public" else member(deployment.caller)
            yield Callers(deployment, name, [Grant("roles/run.invoker", who)])

    def _at_last(self) -> Iterable[Step]:
        names = [secret_name(variable) for variable in self._secrets()]
        for name in names:
            yield OldVersions(self.deployment, name)
        yield OtherSecrets(self.deployment, names)
        yield Jobs(self.deployment, self.number, self.declared)
        if self.billing_account is not None:
            yield Budget(self.deployment, self.number, self.billing_account)
        if self.bridge == "vm":
            packed = bridge.bundle()
            yield bridge.Files(self.deployment, packed)
            yield bridge.Machine(self.deployment, packed)
            yield bridge.OldFiles(self.deployment, packed)
        else:
            yield bridge.NoMachine(self.deployment)
        yield IndexesAreBuilt(self.deployment)


def cloud_node(
    deployment: Deployment,
    project: Project | None = None,
    *,
    root: Path = ROOT,
    build: Path = BUILD,
    home: Home = "none",
) -> CloudNode:
    """The node of a checkout, staged below `build`. project: once it was looked at. home: of the
    XMPP bridge.

    `BadDeclaration` or `CannotStage` when the checkout cannot be deployed.
    """
    declared = declarations(root)
    staged = {name: stage(name, build, root=root) for name in declared}
    if project is None:
        return CloudNode(deployment, declared, staged, bridge=home)
    return CloudNode(
        deployment, declared, staged, project.number, project.billing_account, bridge=home
    )
