"""What `./hookline chaos` and `./hookline soak` play, and who judges it.

estate   databases, ledgers and files that change at random, and what the catalogue has to hold of them
ledger   a source with a watermark, which only the play knows; host: the trigger host that knows it, too
judge    catalogue against model; watermarks against what has landed
"""
