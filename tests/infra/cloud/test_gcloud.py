"""What of gcloud takes too long."""

import subprocess
from collections.abc import Sequence

import pytest

from infra.cloud.api import Unreachable
from infra.cloud.gcloud import Gcloud, Ran
from infra.cloud.remedies import may_pass


def slow(command: Sequence[str], within: float) -> Ran:
    raise subprocess.TimeoutExpired(list(command), within)


@pytest.mark.parametrize("ask", [Gcloud.check, Gcloud.token])
def test_a_gcloud_that_is_silent_is_a_network_that_may_come_back(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(Unreachable, match="gcloud gave no answer within 60 seconds") as failure:
        ask(Gcloud(slow))
    assert may_pass(failure.value)
