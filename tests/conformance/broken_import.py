"""A connector that loads its driver when it is imported."""

import sqlglot

__all__ = ["sqlglot"]
