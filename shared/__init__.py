"""The library. The functions are thin; what they do is decided and done here.

Arrows point down: `model` is the ground floor; `sources`, `archives` and `formats` see only that,
and are pure. `store`, `blobs`, `queue`, `search` and `counters` are ports, whose adapters see their
protocol and what is below it. `work` drives anything long through them, `imports` and `upkeep` are
what it drives. `node` is the one place that opens an adapter, from `settings`; `workshop` gives it
the engine. `commands` and `http` are what people and programs ask for.
"""
