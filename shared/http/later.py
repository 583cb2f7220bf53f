"""An answer that is sent when something has become durable, without a thread waiting for it."""

from collections.abc import Callable
from typing import NamedTuple

from werkzeug.wrappers import Response

from shared.store.protocol import Settle


class Later(NamedTuple):
    """begin: starts the work; it calls `settle` exactly once, from any thread, with None when the
    work is durable or with what went wrong, and raises if it cannot even start.

    done: the answer then. failed: makes the answer to an error.
    """

    begin: Callable[[Settle], None]
    done: Response
    failed: Callable[[Exception], Response]
