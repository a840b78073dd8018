"""`replog completion`: a script that lets a shell complete commands and options.

SHELL. The script holds every word: completing starts no Python, and costs no time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from replog.cli.bench import What
from replog.cli.options import Format


class Shell(StrEnum):
    """Shells that can be taught; the value is the word on the command line."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="your shell")],
) -> None:
    """Print a script that completes commands and options in your shell.

    \b
    replog completion bash > ~/.local/share/bash-completion/completions/replog
    replog completion zsh > ~/.zfunc/_replog      with: fpath+=~/.zfunc; autoload -Uz compinit
    replog completion fish > ~/.config/fish/completions/replog.fish
    eval "$(replog completion bash)"              for this shell only
    """
    words = _words()
    match shell:
        case Shell.BASH:
            print(_bash(words))
        case Shell.ZSH:
            print(_zsh(words))
        case Shell.FISH:
            print(_fish(words))


def _words() -> dict[str, list[str]]:
    """Return what may follow each command: its options, and the words of its choices."""
    import typer.main

    from replog.cli.main import app

    choices = {"bench": " ".join(What), "completion": " ".join(Shell)}
    words: dict[str, list[str]] = {}
    for name, command in typer.main.get_group(app).commands.items():
        options = {"--help"} | {
            spelling
            for parameter in command.params
            if not getattr(parameter, "hidden", False)
            for spelling in (*parameter.opts, *parameter.secondary_opts)
            if spelling.startswith("-")
        }
        words[name] = [*choices.get(name, "").split(), *sorted(options)]
    return words


def _bash(words: dict[str, list[str]]) -> str:
    cases = "\n".join(f"    {name}) known='{' '.join(of)}' ;;" for name, of in words.items())
    return f"""\
_replog() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD - 1]}}" known=''
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then known='{" ".join(words)} --help --version'; fi
  case "$before" in -o | --output) known='{" ".join(Format)}' ;; esac
  COMPREPLY=($(compgen -W "$known" -- "$word"))
}}
complete -o default -F _replog replog"""


def _zsh(words: dict[str, list[str]]) -> str:
    cases = "\n".join(f"    {name}) known=({' '.join(of)}) ;;" for name, of in words.items())
    return f"""\
#compdef replog
_replog() {{
  local -a known
  case "${{words[2]}}" in
{cases}
  esac
  if (( CURRENT == 2 )); then known=({" ".join(words)} --help --version); fi
  case "${{words[CURRENT - 1]}}" in -o | --output) known=({" ".join(Format)}) ;; esac
  compadd -- $known
  if (( CURRENT > 2 )); then _files; fi
}}
if [ "$funcstack[1]" = _replog ]; then _replog "$@"; else compdef _replog replog; fi"""


def _fish(words: dict[str, list[str]]) -> str:
    lines = [
        f"complete -c replog -n __fish_use_subcommand -f -a '{' '.join(words)} --help --version'"
    ]
    for name, of in words.items():
        lines.append(
            f"complete -c replog -n '__fish_seen_subcommand_from {name}' -a '{' '.join(of)}'"
        )
    lines.append(f"complete -c replog -s o -l output -x -a '{' '.join(Format)}'")
    return "\n".join(lines)
