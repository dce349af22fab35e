"""Commands that are imported only when they run, so that --help is quick."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import typer
import typer.core
import typer.main

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

Mount = tuple[str, str]
"""Its `module:name` in gateway.commands, and its line in --help."""


def group(table: Mapping[str, Mount]) -> type[typer.core.TyperGroup]:
    """A group of these commands, in this order. Each is a function, or a Typer of several."""

    class Mounted(typer.core.TyperGroup):
        def list_commands(self, ctx: "Context") -> list[str]:
            return list(table)

        def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
            if cmd_name in table and cmd_name not in self.commands:
                self.commands[cmd_name] = _build(cmd_name, table[cmd_name][0])
            return self.commands.get(cmd_name)

        def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, about) for name, (_, about) in table.items()])

    return Mounted


class _Subcommands(typer.core.TyperGroup):
    """A group whose help has the full description of each command."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.help or "") for name, each in self.commands.items()])


def _build(name: str, place: str) -> "Command":
    module, _, attribute = place.partition(":")
    target = getattr(import_module(f"gateway.commands.{module}"), attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode, target.info.cls = None, _Subcommands
        command: Command = typer.main.get_group(target)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(target)
        command = typer.main.get_command(alone)
    command.name = name
    _name_values(command)
    return command


def _name_values(command: "Command") -> None:
    """Show `--port PORT` in the help, not a Python type, where no metavar is given."""
    if isinstance(command, typer.core.TyperGroup):
        for each in command.commands.values():
            _name_values(each)
    for param in command.params:
        if isinstance(param, typer.core.TyperOption):
            if param.metavar is None and not param.is_flag:
                param.metavar = param.opts[0].lstrip("-").replace("-", "_").upper()
        elif isinstance(param, typer.core.TyperArgument):
            param.metavar = param.metavar or str(param.name).upper()
            param.display_type_rich = _no_type  # type: ignore[method-assign]


def _no_type(ctx: "Context") -> None:
    """Show no Python type after an argument's name."""
