"""What a check found, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from holdfast_protocol.codec import compact_json

from .common import console


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do where it is not well."""

    level: Level
    subject: str
    text: str
    advice: str = ""


_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def print_findings(findings: Sequence[Finding]) -> None:
    """One line each, on stdout."""
    out = console()
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=_STYLES[finding.level])
        line.append(f"{finding.subject:<12}", style="bold")
        line.append(" ".join(finding.text.split()), style="default")
        if finding.advice:
            line.append(f" → {finding.advice}", style="default")
        out.print(line, soft_wrap=True)


def findings_json(findings: Sequence[Finding]) -> str:
    """All of them as one line of JSON."""
    told = [
        {"level": str(f.level), "subject": f.subject, "text": f.text, "advice": f.advice}
        for f in findings
    ]
    ok = all(finding.level is not Level.FAIL for finding in findings)
    return compact_json({"ok": ok, "findings": told}).decode()
