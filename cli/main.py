"""The `hookline` command. Exit codes: 0 ok, 1 something was refused or lost, 2 usage or configuration."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

import click

from cli.output import complain
from shared.errors import HooklineError, UsageError
from shared.settings.redact import redact

#: command -> module that defines it (a click command of the same name); loaded when it is called
COMMANDS = {
    "run": "cli.run",
    "test": "cli.test",
    "connectors": "cli.catalogs",
    "formats": "cli.catalogs",
    "check": "cli.check",
    "extract": "cli.offline",
    "transform": "cli.offline",
    "lineage": "cli.lineage",
    "plan": "cli.plan",
    "publish": "cli.publish",
    "scan": "cli.online",
    "status": "cli.online",
    "why": "cli.why",
    "rejected": "cli.rejected",
    "replay": "cli.online",
    "approve": "cli.deleting",
    "retire": "cli.deleting",
    "types": "cli.types",
    "chaos": "cli.chaos",
    "faults": "cli.faults",
    "soak": "cli.soak",
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, 1)
            raise UsageError(
                f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                fix=f"there are: {', '.join(COMMANDS)}; `./hookline --help` explains them",
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # whoever read our output has seen enough; what is still buffered must not fail when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        return result


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HOOKLINE_CONFIG",
    help="hookline.yaml to use. Default: ./hookline.yaml; without one, `run` sets up a sample.",
)
@click.pass_context
def hookline(ctx: click.Context, config: Path | None) -> None:
    """Metadata and lineage into Microsoft Purview, from what Purview does not scan.

    \b
    First steps:
      ./hookline run --once    the whole flow on this machine, with a sample database
      ./hookline run           the same, and it stays up: drop files into landing/uploads/
      ./hookline check         is my hookline.yaml right, does everything answer?

    Exit codes: 0 all is well, 1 something was refused or lost, 2 usage or configuration.
    """  # noqa: D301 - \b is click's sign for lines that stay as they are
    ctx.obj = config


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; a user's mistake is told in two lines, without a traceback."""
    try:
        hookline.main(args=arguments, prog_name="./hookline", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "./hookline"
        complain(UsageError(error.format_message(), fix=f"`{path} --help` shows how it is called"))
        sys.exit(2)
    except click.Abort:
        sys.stderr.write("stopped\n")
        sys.exit(130)
    except HooklineError as error:
        complain(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            _report()
        complain(UsageError(error.strerror or str(error), where=str(error.filename), fix="check path and permissions"))
        sys.exit(2)
    except Exception:  # noqa: BLE001 - whatever it is, its traceback is not to show a credential
        _report()
    sys.exit(0)


def _report() -> NoReturn:
    """A fault of ours, or of a driver, whose texts may quote a connection string."""
    sys.stderr.write(redact(traceback.format_exc()))
    complain(HooklineError("this ought not to happen", fix="please report it, with the lines above"))
    sys.exit(1)
