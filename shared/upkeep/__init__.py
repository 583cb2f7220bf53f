"""Work that nobody asked for, and that keeps a node small and quick.

`sweeping` is what is looked after now and then; `sealing` packs old reports, as a job.
"""
