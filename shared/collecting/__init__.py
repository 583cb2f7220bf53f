"""Collectors at work: what is due becomes tasks, a task becomes a run, a run asks a service.

What is configured and whether it fits is `shared.ha`'s to say. A run is a chunk of the engine's:
the control document of a collector is a job, which begins anew with each slot and keeps its cursor.
"""
