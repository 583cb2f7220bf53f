"""What the platform itself counts: how much of each allowance it says was used.

`protocol` is the port; `cloudmonitoring` is its adapter for a cloud node. A home node has none,
since nobody counts what it does. `metrics` is the pure part: which metrics tell of an allowance,
what is asked of each, and what the answers come to; `yurt deploy --cost` asks by it, too.
"""
