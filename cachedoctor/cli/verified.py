"""What `verify` and `merge` say of a look in which every byte was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cachedoctor.cli.output import Output
    from cachedoctor.doctor.scanning import Report


def show(report: Report, out: Output) -> int:
    """Answer in the form that was asked for, and return the exit code."""
    from cachedoctor import engines
    from cachedoctor.cli import console
    from cachedoctor.doctor import contents
    from cachedoctor.report import verify_text

    files = contents.verdicts(report.entries, report.contents)
    if out.json:
        from cachedoctor.report import record

        listed = sorted(files)
        tally = verify_text.Tally(listed)
        body = {
            **record.scan_json(report),
            "files": verify_text.files_json(listed),
            "unanswered": dict(report.unanswered),
        }
        click.echo(record.dumps(body))
    else:
        tally = verify_text.Tally(files)
        if out.format != "text":
            from cachedoctor.report import ci

            click.echo(ci.render(out.format, "verify", ci.of_report(report)))
        elif out.shown:
            console.say(verify_text.verify_lines(report, tally, verbose=out.verbose))
    errors = any(finding.severity == "error" for finding in report.findings)
    names = report.question.engines
    asked = names or () if report.question.paths else names or engines.names()
    if out.verbose:
        console.moved_times()
    return console.code_for(report.host, asked, 1 if tally.wrong or errors else 0)
