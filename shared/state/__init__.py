"""What the app remembers between two calls: tables of small blobs. Any of them may be deleted at any time."""

from shared.state.blob_table import NEW, BlobTable, Conflict, Lease

__all__ = ["NEW", "BlobTable", "Conflict", "Lease"]
