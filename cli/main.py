"""The `hookline` command. Exit codes: 0 ok, 1 something was refused or lost, 2 usage or configuration."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from cli.output import complain
from shared.errors import HooklineError

#: command -> module that defines it (a click command of the same name, `-` as `_`); loaded when it is called
COMMANDS = {
    "run": "cli.run",
    "test": "cli.test",
    "connectors": "cli.catalogs",
    "formats": "cli.catalogs",
    "check": "cli.check",
    "extract": "cli.offline",
    "transform": "cli.offline",
    "plan": "cli.plan",
    "publish": "cli.publish",
    "scan": "cli.online",
    "status": "cli.online",
    "rejected": "cli.online",
    "types": "cli.types",
}


class Lazy(click.Group):
    """Loads the module of a command when it is called, so that `--help` of one does not import the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HOOKLINE_CONFIG",
    help="hookline.yaml to use (default: ./hookline.yaml; without one, the sample that `run` sets up).",
)
@click.pass_context
def hookline(ctx: click.Context, config: Path | None) -> None:
    r"""Metadata and lineage into Microsoft Purview, from what Purview does not scan.

    \b
    First steps:  ./hookline run --once     the whole flow on this machine, with a sample database
                  ./hookline run            the same, and it stays up; drop files into landing/uploads/
                  ./hookline check          is my hookline.yaml right, does everything answer?
    """
    ctx.obj = config


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; an expected error is told in three lines, without a traceback."""
    try:
        hookline.main(args=arguments, prog_name="./hookline", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        complain("stopped")
        sys.exit(130)
    except HooklineError as error:
        complain(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
