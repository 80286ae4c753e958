"""Masking of credentials in text that leaves the process: logs, error texts, receipts.

The first defence is `Secret`, which never shows its value; this is the second, for texts that somebody else wrote: the
message of a driver, a URL, a connection string. It rather masks too much than too little.
"""

from __future__ import annotations

import re

MASK = "***"
#: shorter values are not looked for in texts: masking every `app` or `1234` would make them unreadable
SHORTEST_KNOWN = 6
MOST_KNOWN = 2_000

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|(?<![a-z])pass|account_?key|shared_?access_?key(?!name)|shared_?access_?signature"
    r"|client_?secret|secret(?:_?(?:access_?)?key)?|api_?key|private_?key|(?:access|refresh|id|session|security)_?token"
    r"|(?<![a-z])token|(?<![a-z])sig)"
)
_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@host; outside http a password may well contain a slash
    (
        re.compile(r"(?i)((?<![a-z])(?!https?:)[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]{0,200}:)[^\s'\"]{1,500}@"),
        rf"\1{MASK}@",
    ),
    (re.compile(r"(?i)(https?://[^\s:/@'\"]{0,200}:)[^\s/'\"]{1,500}@"), rf"\1{MASK}@"),
    # password=..., AccountKey=...; in `a=b;c=d` the value goes up to the semicolon and may hold spaces
    (
        re.compile(rf"(?i)({_NAMES}\s*=\s*)(?:{_QUOTED}|{{[^}}\n]{{0,500}}}}|[^;&\n]{{1,500}}(?=;)|[^\s;&]+)"),
        rf"\1{MASK}",
    ),
    # "password": "..." as JSON or as a Python dict shows it
    (re.compile(rf"(?i)(['\"][\w.-]{{0,40}}{_NAMES}['\"]\s*:\s*[bur]?)(?:{_QUOTED})"), rf'\1"{MASK}"'),
    # ALTER USER x IDENTIFIED BY ..., WITH PASSWORD '...'
    (re.compile(rf"(?i)(\bidentified\s+by\s+(?:values\s+)?)(?:{_QUOTED}|\S+)"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bpassword\s+)(?:'(?:[^']|'')*')"), rf"\1{MASK}"),
    # HTTP
    (
        re.compile(r"(?i)(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer|sharedkey|negotiate)\s+)[^\s'\",]+"),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)(\bbearer\s+)[a-z0-9._~+/=-]{20,}"), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{10,4000}\.[\w-]{4,8000}\.[\w-]*"), MASK),
    (re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|\Z)"), MASK),
)

#: every text that a rule changes holds a word that `_innocent` asks for, or one of these along with a `=` or a `:`
_SIGNS = ("://", "authorization", "pass", "pwd", "key", "secret", "token", "sig")
#: where letters beyond ASCII stand, the rules' own notion of upper and lower case decides (it takes U+017F for an s)
_ANY_SIGN = re.compile("(?i)" + "|".join((*_SIGNS, "identified", "bearer", "eyj", "-----begin")))

_known: dict[str, None] = {}
_known_pattern: re.Pattern[str] | None = None


def remember(value: str) -> None:
    """Have `redact` mask this value wherever it stands as a word. `Secret` calls it; short values are left out."""
    global _known_pattern  # noqa: PLW0603  the process knows its secrets, not one object of it
    if len(value) < SHORTEST_KNOWN or value in _known:
        return
    if len(_known) >= MOST_KNOWN:
        _known.pop(next(iter(_known)))
    _known[value] = None
    longest_first = sorted(_known.copy(), key=len, reverse=True)
    _known_pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def redact(text: str) -> str:
    """The text with credentials replaced by `***`. Never raises; a second call changes nothing."""
    if _known_pattern is not None:
        text = _known_pattern.sub(MASK, text)
    if _innocent(text):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _innocent(text: str) -> bool:
    """Whether no rule can apply: most texts hold none of the signs, and the rules cost ten times as much as this."""
    if not text.isascii():
        return _ANY_SIGN.search(text) is None
    lower = text.lower()
    if "identified" in lower or "password" in lower or "bearer" in lower or "eyj" in lower or "-----begin" in lower:
        return False
    if "=" not in lower and ":" not in lower:
        return True
    return not any(sign in lower for sign in _SIGNS)
