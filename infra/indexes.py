"""`infra/firestore.indexes.json`, from the table of queries that the store makes.

The format is that of the firebase CLI, which deploys it
(https://firebase.google.com/docs/reference/firestore/indexes).
"""

import json
from typing import Any

from shared.store.indexes import INDEXES, UNINDEXED, Index


def indexes_json() -> str:
    """The text of the file: an index for each query, and the fields that have none."""
    content = {
        "indexes": [_composite(index) for index in INDEXES],
        "fieldOverrides": [
            {"collectionGroup": collection, "fieldPath": field, "indexes": []}
            for collection, fields in UNINDEXED.items()
            for field in fields
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def _composite(index: Index) -> dict[str, Any]:
    equal = [{"fieldPath": field, "order": "ASCENDING"} for field in index.equal]
    ordered = [{"fieldPath": field, "order": order} for field, order in index.ordered]
    return {
        "collectionGroup": index.collection,
        "queryScope": "COLLECTION",
        "fields": equal + ordered,
    }
