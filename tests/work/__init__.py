"""Tests of the engine, case by case. What may befall it is in `tests/sim`."""
