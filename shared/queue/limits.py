"""What every queue takes: an adapter refuses the rest before anything is stored or sent."""

import re
from datetime import datetime

import msgspec

from shared.queue.protocol import BODY_LIMIT, FARTHEST, NAME_LIMIT, Task

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def encoded_body(task: Task, now: datetime) -> bytes:
    """The task's body as JSON. `ValueError` if something about the task is beyond the limits."""
    for what, text in (("name", task.name), ("work", task.work)):
        if not _NAME.fullmatch(text) or len(text) > NAME_LIMIT:
            raise ValueError(
                f"{text!r} is no {what} of a task: 1 to {NAME_LIMIT} letters, digits, - and _"
            )
    if task.after is not None and task.after - now > FARTHEST:
        raise ValueError(f"{task.name} is due in more than {FARTHEST.days} days")
    body = msgspec.json.encode(task.body)
    if len(body) > BODY_LIMIT:
        raise ValueError(f"the body of {task.name} has {len(body)} bytes, above {BODY_LIMIT}")
    return body
