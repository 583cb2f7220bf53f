"""What the platform counts of the quotas."""
