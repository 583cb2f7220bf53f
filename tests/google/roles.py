"""The predefined roles, as far as a deployment may come to use them, and where each may be bound."""

_SUFFIXES = {
    "artifactregistry": "admin createOnPushWriter reader repoAdmin serviceAgent writer",
    "billing": "projectManager viewer",
    "cloudbuild": "builds.builder builds.editor builds.viewer serviceAgent",
    "cloudfunctions": "admin developer invoker serviceAgent viewer",
    "cloudscheduler": "admin jobRunner serviceAgent viewer",
    "cloudtasks": "admin enqueuer queueAdmin serviceAgent taskDeleter taskRunner viewer",
    "compute": "admin instanceAdmin instanceAdmin.v1 osLogin serviceAgent viewer",
    "datastore": "backupsAdmin importExportAdmin indexAdmin owner user viewer",
    "eventarc": "admin developer eventReceiver publisher serviceAgent viewer",
    "firebaserules": "admin system viewer",
    "firestore": "serviceAgent",
    "iam": (
        "securityAdmin securityReviewer serviceAccountAdmin serviceAccountCreator "
        "serviceAccountDeleter serviceAccountKeyAdmin serviceAccountOpenIdTokenCreator "
        "serviceAccountTokenCreator serviceAccountUser serviceAccountViewer workloadIdentityUser"
    ),
    "logging": "admin bucketWriter configWriter logWriter viewer",
    "monitoring": "admin editor metricWriter viewer",
    "pubsub": "admin editor publisher serviceAgent subscriber viewer",
    "resourcemanager": "projectIamAdmin projectMover",
    "run": "admin developer invoker serviceAgent servicesInvoker sourceDeveloper viewer",
    "secretmanager": "admin secretAccessor secretVersionAdder secretVersionManager viewer",
    "serviceusage": "serviceUsageAdmin serviceUsageConsumer serviceUsageViewer",
    "storage": (
        "admin bucketViewer folderAdmin legacyBucketOwner legacyBucketReader legacyBucketWriter "
        "legacyObjectOwner legacyObjectReader objectAdmin objectCreator objectUser objectViewer"
    ),
}
_BASIC = frozenset({"roles/owner", "roles/editor", "roles/viewer"})

ROLES = _BASIC | {
    f"roles/{service}.{suffix}"
    for service, suffixes in _SUFFIXES.items()
    for suffix in suffixes.split()
}

# Which roles a resource takes, by the service whose roles they are. A role of another service is
# refused there: what it permits could not be done to the resource.
_TAKES = {
    "bucket": "storage",
    "secret": "secretmanager",
    "repository": "artifactregistry",
    "queue": "cloudtasks",
    "service": "run",
    "account": "iam",
}


def is_bindable(role: str, kind: str) -> bool:
    """kind: `project`, or one of the resources that have a policy of their own."""
    if kind == "project":
        return role in ROLES and not role.startswith("roles/storage.legacy")
    return role in ROLES and role.startswith(f"roles/{_TAKES[kind]}.")
