"""`cairn completion`: the script that teaches a shell our commands, run ids and task names."""

from __future__ import annotations

import click

from cairn.cli import output
from cairn.cli.commands import cairn

SHELLS = ("bash", "zsh", "fish")
_LINES = {
    "bash": 'eval "$(cairn completion bash)"     in ~/.bashrc',
    "zsh": 'eval "$(cairn completion zsh)"      in ~/.zshrc',
    "fish": "cairn completion fish > ~/.config/fish/completions/cairn.fish",
}


@click.command(epilog="\b\n" + "\n".join(_LINES.values()))
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    # bash's own check of its version starts a shell; the script itself works from 4.4 on
    script = found(cairn, {}, "cairn", "_CAIRN_COMPLETE")
    output.say(script.source_template % script.source_vars())
