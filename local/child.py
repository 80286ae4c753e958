"""`python -m local.child MODULE ARGUMENTS...`: runs a module as a program that does not outlive its parent.

The parent holds the other end of our standard input; when that closes, however the parent ended, we get a SIGTERM.
The program itself sees an empty standard input.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        while os.read(parent, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
