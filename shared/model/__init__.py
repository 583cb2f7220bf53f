"""Records, ids, time, units and identity keys: plain values.

Nothing here does I/O, reads a clock or looks at the environment.
"""
