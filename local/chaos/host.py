"""`python -m local.chaos.host`: the trigger host with a connector more, the ledger that is only played with."""

from __future__ import annotations

from local.chaos.ledger import register
from local.trigger_host.__main__ import main
from local.trigger_host.host import leave

if __name__ == "__main__":
    register()
    leave(main())
