"""Masking of credentials in JSON that others post.

In its texts, and whatever lies under a key that says it is a password, a key or a token (`DB_PASSWORD`,
`spark.hadoop.fs.s3a.secret.key`). SQL in it keeps its lineage.
"""

from __future__ import annotations

import re
from typing import Any

from shared.settings.redact import MASK, redact
from shared.settings.redact_sql import redact_code

_KEY = re.compile(
    r"(?i)pass_?word|passwd|passphrase|\bpwd|_pwd|secret|credential|private[._-]?key|access[._-]?key|account[._-]?key"
    r"|api[._-]?key|(?:auth|access|refresh|id|session|security|sas|bearer)[._-]?token|(?:^|[._-])token$|connection[._-]?string"
    r"|authorization"
)
#: keys of SQL: of the facet `sql`, and as producers call it
_SQL = frozenset({"query", "sql", "statement"})


def redact_json(value: Any, key: str = "") -> Any:
    """A copy of decoded JSON with credentials replaced by `***`; `key`: what it lies under.

    Raises RecursionError for what is nested too deep.
    """
    if isinstance(value, str):
        if _KEY.search(key):
            return MASK if value else value
        return redact_code(value) if key.lower() in _SQL else redact(value)
    if isinstance(value, list):
        return [redact_json(item, key) for item in value]
    if isinstance(value, dict):
        return {name: redact_json(item, name) for name, item in value.items()}
    return value
