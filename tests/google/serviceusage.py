"""Service Usage v1: which APIs of the project are switched on."""

from tests.google.refusal import Refusal, error_info, invalid
from tests.google.service import Call, Json, Route, Service

# What a deployment may want, each with its title.
CATALOGUE = {
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "billingbudgets.googleapis.com": "Cloud Billing Budget API",
    "cloudbilling.googleapis.com": "Cloud Billing API",
    "cloudbuild.googleapis.com": "Cloud Build API",
    "cloudfunctions.googleapis.com": "Cloud Functions API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "cloudscheduler.googleapis.com": "Cloud Scheduler API",
    "cloudtasks.googleapis.com": "Cloud Tasks API",
    "compute.googleapis.com": "Compute Engine API",
    "eventarc.googleapis.com": "Eventarc API",
    "firebaserules.googleapis.com": "Firebase Rules API",
    "firestore.googleapis.com": "Cloud Firestore API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "logging.googleapis.com": "Cloud Logging API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "pubsub.googleapis.com": "Cloud Pub/Sub API",
    "run.googleapis.com": "Cloud Run Admin API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
    "storage-api.googleapis.com": "Google Cloud Storage JSON API",
    "storage-component.googleapis.com": "Cloud Storage",
}
# They are refused without a billing account.
BILLED = frozenset(
    f"{name}.googleapis.com"
    for name in (
        "artifactregistry",
        "cloudbuild",
        "cloudfunctions",
        "cloudscheduler",
        "cloudtasks",
        "compute",
        "run",
        "secretmanager",
    )
)
# The agent that each service makes for itself, and the role it gets on the project.
_AGENTS = {
    "artifactregistry": ("service-{}@gcp-sa-artifactregistry", "artifactregistry.serviceAgent"),
    "cloudbuild": ("{}@cloudbuild", "cloudbuild.builds.builder"),
    "cloudfunctions": ("service-{}@gcf-admin-robot", "cloudfunctions.serviceAgent"),
    "cloudscheduler": ("service-{}@gcp-sa-cloudscheduler", "cloudscheduler.serviceAgent"),
    "cloudtasks": ("service-{}@gcp-sa-cloudtasks", "cloudtasks.serviceAgent"),
    "compute": ("service-{}@compute-system", "compute.serviceAgent"),
    "eventarc": ("service-{}@gcp-sa-eventarc", "eventarc.serviceAgent"),
    "firestore": ("service-{}@gcp-sa-firestore", "firestore.serviceAgent"),
    "pubsub": ("service-{}@gcp-sa-pubsub", "pubsub.serviceAgent"),
    "run": ("service-{}@serverless-robot-prod", "run.serviceAgent"),
}
_MOST_IN_BATCH = 20
_MOST_IN_GET = 30


class ServiceUsage(Service):
    host = "serviceusage.googleapis.com"
    title = "Service Usage API"
    messages = "serviceusage"
    free = True
    always = True

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}/services"
        return [
            Route("GET", path, self._list, query="filter pageSize pageToken"),
            Route("GET", f"{path}/{{service}}", self._get),
            Route("GET", f"{path}:batchGet", self._batch_get, query="names"),
            Route(
                "POST",
                f"{path}:batchEnable",
                self._batch_enable,
                body="BatchEnableServicesRequest",
                needs="serviceusage.services.enable",
            ),
            Route(
                "POST",
                f"{path}/{{service}}:enable",
                self._enable_one,
                body="EnableServiceRequest",
                needs="serviceusage.services.enable",
            ),
            Route(
                "POST",
                f"{path}/{{service}}:disable",
                self._disable,
                body="DisableServiceRequest",
                needs="serviceusage.services.disable",
            ),
            Route("GET", "v1/operations/{operation}", self._operation),
        ]

    def picture(self) -> Json:
        return {"enabled": sorted(self.project.enabled)}

    def enable(self, *names: str) -> None:
        """They are on, with their agents."""
        for name in names:
            if name not in self.project.enabled:
                self.project.enabled.add(name)
                self._make_agent(name.removesuffix(".googleapis.com"))

    def _make_agent(self, short: str) -> None:
        policies, number = self.project.policies, self.project.number
        if short == "compute":
            policies.know(f"{number}-compute@developer.gserviceaccount.com")
        if short not in _AGENTS:
            return
        name, role = _AGENTS[short]
        suffix = ".gserviceaccount.com" if short == "cloudbuild" else ".iam.gserviceaccount.com"
        email = name.format(number) + suffix
        policies.know(email)
        policies.bind(self.project.name, f"roles/{role}", f"serviceAccount:{email}")

    def _list(self, call: Call) -> Json:
        names = sorted(self.project.enabled)
        if call.query.get("filter") == "state:DISABLED":
            names = sorted(CATALOGUE.keys() - self.project.enabled)
        return {"services": [self._shown(name) for name in names]} if names else {}

    def _get(self, call: Call) -> Json:
        self._check_known([call["service"]])
        return self._shown(call["service"])

    def _batch_get(self, call: Call) -> Json:
        names = [name.rpartition("/")[2] for name in call.repeated.get("names", [])]
        if not 1 <= len(names) <= _MOST_IN_GET:
            raise invalid(f"The number of names must be between 1 and {_MOST_IN_GET}.")
        self._check_known(names)
        return {"services": [self._shown(name) for name in names]}

    def _batch_enable(self, call: Call) -> Json:
        names: list[str] = call.body.get("serviceIds") or []
        if not 1 <= len(names) <= _MOST_IN_BATCH:
            raise invalid(f"Up to {_MOST_IN_BATCH} services can be enabled at once.")
        return self._begin(names, "BatchEnableServicesResponse")

    def _enable_one(self, call: Call) -> Json:
        return self._begin([call["service"]], "EnableServiceResponse")

    def _begin(self, names: list[str], response: str) -> Json:
        self._check_known(names)
        self._check_billing(names)

        def finish() -> Json:
            self.enable(*names)
            shown = [self._shown(name) for name in names]
            type = f"type.googleapis.com/google.api.serviceusage.v1.{response}"
            return {
                "@type": type,
                **({"services": shown} if "Batch" in response else {"service": shown[0]}),
            }

        if self.project.enabled.issuperset(names):
            return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": finish()}
        prefix = f"operations/acat.p2-{self.project.number}-"
        return self.project.operations.begin(prefix, f"{self.project.name}/services", finish)

    def _disable(self, call: Call) -> Json:
        name = call["service"]
        self._check_known([name])
        if name not in self.project.enabled:
            raise Refusal("FAILED_PRECONDITION", f"Service {name} is not enabled.")

        def finish() -> Json:
            self.project.enabled.discard(name)
            return {}

        prefix = f"operations/acat.p2-{self.project.number}-"
        return self.project.operations.begin(prefix, f"{self.project.name}/services", finish)

    def _operation(self, call: Call) -> Json:
        return self.project.operations.get(f"operations/{call['operation']}").shown()

    def _shown(self, name: str) -> Json:
        number = self.project.number
        return {
            "name": f"projects/{number}/services/{name}",
            "config": {"name": name, "title": CATALOGUE[name]},
            "state": "ENABLED" if name in self.project.enabled else "DISABLED",
            "parent": f"projects/{number}",
        }

    def _check_known(self, names: list[str]) -> None:
        unknown = ",".join(name for name in names if name not in CATALOGUE)
        if unknown:
            info = error_info(
                "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
                "serviceusage.googleapis.com",
                services=unknown,
            )
            text = f"Not found or permission denied for service(s): {unknown}."
            raise Refusal("PERMISSION_DENIED", text, [info])

    def _check_billing(self, names: list[str]) -> None:
        billed = ",".join(sorted(BILLED & {*names}))
        if self.project.billing or not billed:
            return
        number = str(self.project.number)
        violation = {
            "type": "googleapis.com/billing-enabled",
            "subject": number,
            "description": "billing-enabled",
        }
        failure = {
            "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
            "violations": [violation],
        }
        info = error_info(
            "UREQ_PROJECT_BILLING_NOT_FOUND",
            "serviceusage.googleapis.com/billing-enabled",
            project=number,
            services=billed,
        )
        text = (
            f"Billing account for project '{number}' is not found. Billing must be enabled for "
            f"activation of service(s) '{billed}' to proceed."
        )
        raise Refusal("FAILED_PRECONDITION", text, [failure, info])
