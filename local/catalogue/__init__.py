from local.catalogue.catalogue import Catalogue, Outcome
from local.catalogue.store import Store

__all__ = ["Catalogue", "Outcome", "Store"]
