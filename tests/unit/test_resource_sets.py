"""What a file of many is called in Purview: the documented patterns, and the order of the candidates."""

from __future__ import annotations

import pytest

from shared.naming import Naming
from shared.naming.resource_sets import candidates
from shared.records import Address

GUID = "e3b0c442-98fc-1c14-9afb-f4c8996fb924"


def lake(path: str, type: str = "file") -> Address:
    return Address("abfss", "acct.dfs.core.windows.net", ("raw", *path.split("/")), type)


def paths(address: Address) -> list[str]:
    return [f"{a.type} {'/'.join(a.path[1:])}" for a in candidates(address)]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        # learn.microsoft.com/purview/concept-resource-sets
        ("machinesets/23/foo.parquet", "machinesets/{N}/foo.parquet"),
        ("weblogs/en_au/23.json", "weblogs/{LOC}/{N}.json"),
        ("weblogs/de_Ch/23434.json", "weblogs/{LOC}/{N}.json"),
        ("data1.csv", "data{N}.csv"),
        (f"parts/2024-05-17/1-2-3-4/{GUID}.csv", "parts/{Year}-{Month}-{Day}/{N}-{N}-{N}-{N}/{GUID}.csv"),
        ("in/2024/05/17/x.csv", "in/{Year}/{Month}/{Day}/x.csv"),
        # a captured estate (tayganr/purviewcli)
        ("data/7/QueriesByState_2020-10-01_1-2-3.tsv", "data/{N}/QueriesByState_{Year}-{Month}-{Day}_{N}-{N}-{N}.tsv"),
        # the expressions themselves
        ("a/2024-05-17T10-20-30Z.json", "a/{Year}-{Month}-{Day}T{Hour}-{Minute}-{Second}Z.json"),
        ("a/20240517T10.json", "a/{Year}{Month}{Day}T{Hour}.json"),
        ("deadbeef01/x.csv", "{HEX}/x.csv"),
        ("country=DE/day=3/x.csv", "country=DE/day={Day}/x.csv"),
        ("orders_v1.2_7.csv", "orders_v1.2_{N}.csv"),
        ("b2b_1.csv", "b2b_{N}.csv"),
    ],
)
def test_what_varies_is_replaced(path: str, pattern: str) -> None:
    assert paths(lake(path))[0] == f"resource_set {pattern}"


@pytest.mark.parametrize("path", ["lots_of_cols.csv", "a/report2024.xlsx", "v2/orders.csv", "a/b/c.json"])
def test_what_does_not_vary_stays_what_it_is(path: str) -> None:
    assert paths(lake(path))[0] == f"file {path}"


def test_files_of_spark() -> None:
    assert paths(lake(f"orders/year=2024/month=05/part-00000-{GUID}-c000.snappy.parquet")) == [
        "resource_set orders/year={Year}/month={Month}/{SparkPartitions}",
        "resource_set orders/year={N}/month={N}/{SparkPartitions}",
        "resource_set orders/{SparkPartitions}",
        f"file orders/year=2024/month=05/part-00000-{GUID}-c000.snappy.parquet",
        "folder orders",
        "file orders",
    ]
    assert paths(lake("orders/part-00017"))[0] == "resource_set orders/{SparkPartitions}"


def test_folders() -> None:
    """A plain one is what it says, unless the catalogue knows better; one of a partition is a part of a table."""
    assert paths(lake("orders")) == ["file orders", "resource_set orders/{SparkPartitions}", "folder orders"]
    assert paths(lake("orders", "folder"))[0] == "folder orders"
    assert paths(lake("orders/year=2024"))[:3] == [
        "resource_set orders/year={Year}/{SparkPartitions}",
        "resource_set orders/year={N}/{SparkPartitions}",
        "resource_set orders/{SparkPartitions}",
    ]


def test_a_pattern_that_somebody_wrote_is_one() -> None:
    assert paths(lake("in/{Year}/{N}.csv"))[0] == "resource_set in/{Year}/{N}.csv"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (lake("a/1.csv"), "azure_datalake_gen2_resource_set https://acct.dfs.core.windows.net/raw/a/{N}.csv"),
        (
            Address("wasbs", "acct.blob.core.windows.net", ("raw", "a/1.csv"), "file"),
            "azure_blob_resource_set https://acct.blob.core.windows.net/raw/a/{N}.csv",
        ),
        (Address("s3", "", ("b", "a", "1.csv"), "file"), "aws_s3_v2_resource_set s3://b/a/{N}.csv"),
        (
            Address("gs", "", ("b", "a", "1.csv"), "file"),
            "hookline_dataset hookline://gs/storage.googleapis.com/b/a/%7BN%7D.csv#resource_set",
        ),
    ],
)
def test_their_names(address: Address, name: str) -> None:
    found = Naming().name(candidates(address)[0])
    assert f"{found.type_name} {found.qualified_name}" == name


@pytest.mark.parametrize(
    "address",
    [
        Address("postgresql", "h", ("db", "public", "t1")),
        Address("abfss", "acct.dfs.core.windows.net", ("raw1",), "container"),
        Address("file", "host", ("data", "1.csv"), "file"),
        Address("hdfs", "node", ("data", "1.csv"), "file"),
        Address("nobody", "knows", ("1.csv",), "file"),
    ],
)
def test_nothing_else_is_touched(address: Address) -> None:
    assert candidates(address) == (address,)
