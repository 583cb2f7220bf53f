"""The tests: one folder for each room of the project, mirrored.

Beside them `contract/` (one suite for every adapter of a port), `system/` (real processes), `sim/`
(seeded simulation) and `bench/` (benchmarks, run by hand). Fixtures that start servers are in
`tests.emulators`; `conftest.py` makes them known everywhere.
"""
