"""`cachedoctor merge`."""

from __future__ import annotations

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import ci_output_options, look_options
from cachedoctor.cli.output import Output
from cachedoctor.errors import CacheDoctorError
from cachedoctor.host import Host


@click.command(name="merge", short_help="Join the parts of a verify into one answer.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=offers.files)
@look_options
@ci_output_options
def command(
    files: tuple[str, ...],
    host: Host,
    out: Output,
) -> None:
    """Put together what `verify --subset K/N --save FILE` wrote, and judge the whole.

    The answer is the one that a single `verify` gives. Run it where the cache can be read: headers
    are read again, content is not. Exit code 1 when something is wrong, or when a part is missing,
    duplicated, or from another look; 3 when the cache cannot be read.

    \b
      cachedoctor merge part*.json
      cachedoctor merge part*.json --format junit
    """
    from cachedoctor.cli import verified
    from cachedoctor.doctor import parts, scanning

    told = [parts.read(path) for path in dict.fromkeys(files)]
    wrong = parts.obstacles(told)
    if wrong:
        raise CacheDoctorError(
            "; ".join(wrong), hint="run what is missing with the same options, and merge again"
        )
    question, gathered = parts.join(told, host)
    report = scanning.answer(question, cure_notes=out.verbose or out.json, gathered=gathered)
    report = report._replace(seconds=report.seconds + max(part.seconds for part in told))
    code = verified.show(report, out)
    click.get_current_context().exit(code)
