"""What `verify` and `merge` print after every byte was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cachedoctor.cli.output import Output
    from cachedoctor.doctor.scanning import Report


def show(report: Report, out: Output, *, online: bool = False) -> int:
    """Answer in the requested format, and return the exit code.

    If the look was `online`, nobody is told to use `--online`.
    """
    from cachedoctor import engines
    from cachedoctor.cli import console
    from cachedoctor.doctor import contents
    from cachedoctor.findings import Severity
    from cachedoctor.report import verify_text

    host, names, paths = report.host, report.engines, report.question.paths
    if out.json:
        from cachedoctor.report import record

        listed = sorted(contents.verdicts(report.entries, report.contents))
        tally = verify_text.Tally(listed)
        body = {
            **record.scan_json(report),
            "files": verify_text.files_json(listed),
            "unanswered": dict(report.unanswered),
        }
        click.echo(record.dumps(body))
    else:
        tally = verify_text.Tally(*contents.counted(report.entries, report.contents))
        if out.format != "text":
            from cachedoctor.report import ci

            click.echo(ci.render(out.format, "verify", ci.of_report(report), folder=host.cwd))
        elif out.shown:
            console.say(verify_text.verify_lines(report, tally, verbose=out.verbose))
    if not out.quiet and tally.files() and not tally.files("proven") and not tally.wrong:
        ask = "" if online else f"; `{host.command('verify', *names, *paths, '--online')}`"
        console.warn(
            (f"nothing could be checked: there is nothing to check these files against{ask}",)
        )
    errors = any(finding.severity is Severity.ERROR for finding in report.findings)
    asked = names or () if paths else names or engines.names()
    if out.verbose:
        console.moved_times()
    return console.code_for(host, asked, 1 if tally.wrong or errors else 0)
