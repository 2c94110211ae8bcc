"""RF0: what the reader noticed: lines that a restore would read otherwise, refuse, or that nobody knows."""

from collections.abc import Iterator

from ruleflow.analysis.findings import EXACT, Code, Finding, Mark
from ruleflow.analysis.lint.case import Case
from ruleflow.errors import visible
from ruleflow.ruleset.document import Notice


def _code(code: str, name: str, severity: str, what: str, why: str, before: str, after: str) -> Code:
    return Code(code, name, severity, what, why, before, after)


CODES = (
    _code(
        "RF001", "the dump does not restore to what it shows", "error",
        "A quoted string (a comment, a log prefix) goes on over the end of its line. iptables-save printed it so; "
        "iptables-restore reads each line by itself.",
        "A restore refuses the file, or takes the string's other lines as rules: a comment with the right text in it "
        "then opens the host.",
        '-A INPUT -m comment --comment "x\n-A INPUT -s 203.0.113.66/32 -j ACCEPT\n#" -j DROP',
        "-A INPUT -m comment --comment x -j DROP",
    ),
    _code(
        "RF002", "an unknown extension or option", "warning", "ruleflow's tables do not have it; it is kept word for word.",
        "What it asks or does is not known, so findings about its rule are less sure.", "-A INPUT -p tcp -m tcp --dprot 22 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    ),
    _code("RF003", "a line that cannot be read", "error", "It is no rule, chain or table that iptables-restore would take.",
          "A restore stops here, and nothing of its table is put in.", "-A INPUT --dport", "-A INPUT -p tcp --dport 22 -j ACCEPT"),
    _code("RF004", "a table without COMMIT", "warning", "The text ends, or another table begins, before COMMIT.",
          "iptables-restore puts in nothing of such a table, and says nothing.", "*filter\n-A INPUT -j DROP", "*filter\n-A INPUT -j DROP\nCOMMIT"),
    _code("RF005", "a table stands twice", "warning", "The same table is begun again.",
          "The second replaces the first on a restore without --noflush.", "*filter\nCOMMIT\n*filter\nCOMMIT", "*filter\nCOMMIT"),
    _code("RF006", "this is no dump", "error", "The text is something else: a listing of iptables -L, a script.",
          "A listing lacks interfaces and other tables.", "Chain INPUT (policy ACCEPT)", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT"),
    _code("RF007", "rules outside of a table", "warning", "There is no *table line above them.", "A restore refuses them.",
          "-A INPUT -j DROP", "*filter\n-A INPUT -j DROP\nCOMMIT"),
    _code("RF008", "a chain that is not declared", "error", "A rule is in, or jumps to, a chain that has no line of its own.",
          "A restore refuses the whole table.", "-A INPUT -j LATER", ":LATER - [0:0]\n-A INPUT -j LATER"),
    _code("RF009", "a command that would fail", "error", "-D or -C names a rule that is not there, or -N a chain that is.",
          "A restore stops here; with --noflush that is used to check first.", "-D INPUT -j DROP", ""),
)  # fmt: skip
_BY_CODE = {code.code: code for code in CODES}


def check(case: Case) -> Iterator[Finding]:
    """The notices of the reader, where the case has the text."""
    if case.document is None:
        return
    for notice, severity in (
        *((n, "") for n in case.document.warnings),
        *((n, "error") for n in case.document.errors),
    ):
        code = _BY_CODE.get(notice.code)
        if code is not None:
            yield _finding(case, notice, severity or code.severity)


def _finding(case: Case, notice: Notice, severity: str) -> Finding:
    where = notice.where
    text = case.text_of(where.line)
    width = where.width if where.column else len(text)
    times = (f"{notice.count} times in all",) if notice.count > 1 else ()
    return Finding(
        code=notice.code, severity=severity, message=notice.message, strength=EXACT, help=notice.help or "", notes=times,
        primary=Mark(where.line or 0, where.column or 1, width, "here" if where.line else ""), text=visible(text.strip()),
    )  # fmt: skip
