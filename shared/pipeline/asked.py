"""A name as people write it, against the names of assets."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from shared.errors import UsageError

#: how like two names have to be
ALIKE = 0.6
_TYPED = re.compile(r"([A-Za-z_][A-Za-z0-9_ ]*)/([^/]*://.*)", re.DOTALL)


class Asked:
    """What is looked for. Letters of both cases are the same.

    `orders`, `public.orders`: in that order, the last one a part of the asset's own name. A qualified name, or
    `TYPE/QUALIFIED-NAME`: just that asset, or one below it.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        if not self.text:
            raise UsageError("say which asset", fix="a part of its name will do, or its qualified name")
        typed = _TYPED.fullmatch(self.text)
        self.type_name = typed[1] if typed else ""
        name = typed[2] if typed else self.text
        self.exact = name.casefold() if "://" in name else ""
        self.steps = [step for step in re.split(r"[./]" if not self.exact else r"/", name.casefold()) if step]
        self.leaf = self.steps[-1] if self.steps else self.text.casefold()

    def takes(self, type_name: str, qualified_name: str) -> bool:
        if self.type_name and type_name != self.type_name:
            return False
        name = qualified_name.casefold()
        if self.exact:
            return name == self.exact
        if self.leaf not in name:
            return False
        steps = re.split(r"[/.#@]+", name)
        at = 0
        for step in self.steps[:-1]:
            try:
                at = steps.index(step, at) + 1
            except ValueError:
                return self.text.casefold() in name
        return any(self.leaf in step for step in steps[at:]) or self.text.casefold() in name

    def likeness(self, qualified_name: str) -> float:
        """0 to 1, of the asset's own name."""
        own = qualified_name.casefold().rstrip("/").rpartition("/")[2]
        compared = SequenceMatcher(None, own, self.leaf, autojunk=False)
        if compared.real_quick_ratio() < ALIKE or compared.quick_ratio() < ALIKE:
            return 0.0
        return compared.ratio()
