"""How often somebody looks after collectors and quotas."""

from datetime import timedelta

AT_HOME_EACH = timedelta(seconds=30)
IN_CLOUD_EACH = timedelta(minutes=10)
