"""The seeded simulations: the engine among ports that fail in every way their contracts allow.

A history is one seed: `world` has its clock and decides who goes on, `ports` are the store, the
queue and the blobs with their faults, `works` what is done, `history` plays and judges it.
`fleet` is the same for collectors: ticks, runs, sweeps and their owner, on the ports of
`fleet_ports`, held to the `invariants`; `test_configuration` only changes what is configured.

`SIM_SEED=7 pytest tests/sim` replays a seed; `SIM_SEEDS=100000 SIM_FLEETS=5000
SIM_CONFIGURATIONS=500 pytest tests/sim` tries more.
"""
