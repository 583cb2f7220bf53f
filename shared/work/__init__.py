"""How anything long gets done: in chunks that fit a request, resumed wherever it was killed.

`jobs` is what is known of one piece of work, in one control document, and `transitions` how that
changes; `engine` runs one chunk of it (a run has in hand what `runs` says), revives what was
orphaned, and does what the owner asks for. Nothing here knows a format: what a kind of work does
comes from a `works.Work`.
"""
