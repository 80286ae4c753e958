"""Every promise of docs/promises.md twice: as it is kept, and as it is broken without what keeps it.

A promise is a play in tests/support/world.py (the whole app, real storage, the local catalogue) and a switch that takes
its mechanism away. `test_promises.py` plays each with the mechanism, which has to come out well, and without, which has
to come out badly: a play that cannot fail proves nothing.
"""
