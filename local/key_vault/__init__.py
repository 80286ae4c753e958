"""A stand-in for Azure Key Vault and for the identity that signs in to it, for the unmodified client libraries."""
