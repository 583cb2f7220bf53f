"""High availability for collectors: a pool of quotas, and a plan for failures within it.

`allowances` and `schedules` say what there is of each quota and when something runs; `collectors`
what is configured; `planner` whether it fits, and how many failures besides; `changes` what if.
All of it is pure: no I/O, no clock, no environment.
"""
