"""Which collection a person means."""

from __future__ import annotations

import pytest

from shared.delivery.catalog import Collection
from shared.delivery.collections import Collections, find, path_of, root_of
from shared.errors import SettingsError

ALL = [
    Collection("contoso", "Contoso", ""),
    Collection("aaaaaa", "Finance", "contoso"),
    Collection("bbbbbb", "Sales", "aaaaaa"),
    Collection("cccccc", "Marketing", "contoso"),
    Collection("dddddd", "Sales", "cccccc"),
    Collection("eeeeee", "EU", "bbbbbb"),
    Collection("ffffff", "finance", "cccccc"),
]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("bbbbbb", "bbbbbb"),
        ("Finance/Sales", "bbbbbb"),
        ("Marketing/Sales", "dddddd"),
        ("/Finance/Sales/", "bbbbbb"),
        ("Finance / Sales", "bbbbbb"),
        ("Contoso/Finance/Sales", "bbbbbb"),
        ("contoso/Finance/Sales/EU", "eeeeee"),
        ("EU", "eeeeee"),
        ("eu", "eeeeee"),
        ("marketing/sales", "dddddd"),
        ("Finance", "aaaaaa"),
        ("Marketing/finance", "ffffff"),
        ("contoso", "contoso"),
        ("Contoso", "contoso"),
    ],
)
def test_what_is_meant(wanted: str, name: str) -> None:
    assert find(wanted, ALL, "purview.collection").name == name


@pytest.mark.parametrize(
    ("wanted", "says", "fix"),
    [
        ("Sales", "could be 2 collections: Finance/Sales (bbbbbb), Marketing/Sales (dddddd)", "write the path"),
        ("Finance/Sale", "there is no collection 'Finance/Sale'", "Finance/Sales"),
        ("zzzzzz", "there is no collection 'zzzzzz'", "there are: Contoso"),
    ],
)
def test_what_cannot_be_meant(wanted: str, says: str, fix: str) -> None:
    with pytest.raises(SettingsError) as error:
        find(wanted, ALL, "instances.crm.collection")
    assert says in error.value.what
    assert fix in error.value.fix
    assert error.value.where == "instances.crm.collection"


def test_nothing_is_visible() -> None:
    with pytest.raises(SettingsError) as error:
        find("Finance", [], "purview.collection")
    assert "none that the app may see" in error.value.fix
    assert root_of([]) is None


def test_only_a_part_is_visible() -> None:
    """Who has no role on the root does not see it."""
    visible = ALL[1:]
    assert root_of(visible) is None
    assert path_of(ALL[2], visible) == "Finance/Sales"
    assert find("Finance/Sales", ALL, "").name == "bbbbbb"


def test_a_ring_ends() -> None:
    ring = [Collection("a", "A", "b"), Collection("b", "B", "a")]
    assert path_of(ring[0], ring)


class Account:
    def __init__(self) -> None:
        self.asked = 0
        self.known = list(ALL)

    def collections(self) -> list[Collection]:
        self.asked += 1
        return list(self.known)


def test_the_list_is_asked_for_now_and_then() -> None:
    clock, account = [1000.0], Account()
    held = Collections(lambda: account, clock=lambda: clock[0])  # type: ignore[arg-type, return-value]
    for _ in range(5):
        assert held.find("EU", "").name == "eeeeee"
    assert held.root() == "contoso"
    assert account.asked == 1
    clock[0] += 1000
    held.find("EU", "")
    assert account.asked == 2


def test_a_collection_that_was_just_made_is_found() -> None:
    account = Account()
    held = Collections(lambda: account, clock=lambda: 1000.0)  # type: ignore[arg-type, return-value]
    held.all()
    account.known.append(Collection("gggggg", "New", "contoso"))
    assert held.find("New", "").name == "gggggg"
    with pytest.raises(SettingsError):
        held.find("Nowhere", "")
