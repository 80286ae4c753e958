"""Files that are wrong in every way a seed can think of, and what becomes of them.

    python -m tests.mutated --files 10000 --seed 1

A file is a sample of a registered format (its conformance subject, golden files, sample job files), changed. The same
seed and number give the same file on every machine. What must hold: no exception, no hang, bounded memory, and an
outcome for every file and every record.
"""
