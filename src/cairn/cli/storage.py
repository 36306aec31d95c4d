"""`cairn gc|backup|restore`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from cairn.cli import options, output, words
from cairn.cli.opening import opened

ENVIRONMENT_AGE = "30d"
LOOSE_AGE = "1h"  # a run may be about to record what it has just written


@click.command()
@click.option(
    "--older-than", metavar="DURATION", help="Only what has not changed, or been used, for so long: 12h, 30d."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@options.as_json
def gc(*, older_than: str | None, dry_run: bool, as_json: bool) -> None:
    """Free space: artifacts and directories that no run refers to, and environments that have not been used.

    Without --older-than: environments not used for 30 days, everything else after an hour. Buckets are never touched.
    """
    with opened() as cairn:
        found = cairn.upkeep.collect(
            older_than=words.parse_duration(older_than or LOOSE_AGE, "--older-than"),
            environments_older_than=words.parse_duration(older_than or ENVIRONMENT_AGE, "--older-than"),
            dry_run=dry_run,
        )
        if as_json:
            output.print_json({**msgspec.to_builtins(found), "dry_run": dry_run})
            return
        for path in (*found.artifacts, *found.directories, *found.environments):
            output.say(path)
        told = "would be freed" if dry_run else "freed"
        count = len(found.artifacts) + len(found.directories) + len(found.environments)
        output.note(f"{words.size(found.bytes_freed)} in {words.plural(count, 'place')} {told}")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@options.as_json
def backup(directory: Path, *, as_json: bool) -> None:
    """Copy records, artifacts, buckets and logs to DIRECTORY, which must be empty, while runs go on.

    Secrets and environments are not copied: the ones are yours to keep, the others are built again.
    """
    from cairn import __version__

    with opened() as cairn:
        manifest = cairn.upkeep.backup(directory.absolute(), __version__)
        if as_json:
            output.print_json({**msgspec.to_builtins(manifest), "directory": str(directory.absolute())})
        else:
            output.note(f"{words.plural(manifest.rows, 'record')} and their files are in {directory}")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@options.as_json
def restore(directory: Path, *, as_json: bool) -> None:
    """Bring the backup in DIRECTORY back into this home, which must hold no runs yet."""
    from cairn.wiring import restore_home

    manifest, paused = restore_home(directory.absolute())
    if as_json:
        told = [schedule.id for schedule in paused]
        output.print_json({**msgspec.to_builtins(manifest), "paused_schedules": told})
        return
    output.note(f"{words.plural(manifest.rows, 'record')} restored, as of {words.moment(manifest.time)}")
    for schedule in paused:
        output.note(f"schedule {schedule.display_name} is paused: `cairn schedules resume {schedule.id}`")
