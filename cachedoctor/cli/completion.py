"""`cachedoctor completion`."""

from __future__ import annotations

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

VARIABLE = "_CACHEDOCTOR_COMPLETE"


class _Bash(BashComplete):
    """Complete `--size=small`, which bash splits into three words, by its third."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        return super().get_completions(args[:-1] if args[-1:] == ["="] else args, incomplete)


class _Whole(ShellComplete):
    """Complete `--size=small` as the one word that zsh and fish make of it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in found:
                if item.type == "plain":
                    item.value = f"{option}={item.value}"
        return found


class _Zsh(_Whole, ZshComplete): ...


class _Fish(_Whole, FishComplete): ...


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def answer() -> None:
    """Let click use these classes, not its own, to answer a shell."""
    for name, shell in SHELLS.items():
        add_completion_class(shell, name)


@click.command(name="completion", short_help="Print the completion script for bash, zsh or fish.")
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(tuple(SHELLS)))
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands, engines, models, codes and files.

    Do this once, for every new shell. bash needs the package bash-completion and must be 4.4 or
    newer, which a Mac's own `/bin/bash` is not:

    \b
      cachedoctor completion bash > ~/.local/share/bash-completion/completions/cachedoctor
      cachedoctor completion zsh > ~/.zfunc/_cachedoctor  # after fpath+=~/.zfunc in ~/.zshrc
      cachedoctor completion fish > ~/.config/fish/completions/cachedoctor.fish

    Or only for the current shell:

    \b
      eval "$(cachedoctor completion bash)"
      source <(cachedoctor completion zsh)
      cachedoctor completion fish | source
    """
    group = click.get_current_context().find_root().command
    click.echo(SHELLS[shell](group, {}, "cachedoctor", VARIABLE).source())
