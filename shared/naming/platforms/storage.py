"""Files: Azure Data Lake Gen2 and Gen1, Blob Storage, S3, and those that Purview has no usable types for.

Paths are container (bucket) and the file's path below it, cut at `/` or not: both give one name. A `folder` (directory)
ends in `/`, a `resource_set` holds placeholders such as {N}. Files have no columns of their own here: in Purview a
file's schema is an entity apart (tabular_schema), whose names are opaque.
Names: captured estate and entities, tayganr/purviewlab and purviewcli assetDistribution.md, Azure SDK .NET test (A).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import Level, Levels, container, dataset
from shared.naming.own import CONTAINER, DATASET
from shared.naming.platforms.base import Platform, without_port
from shared.naming.spelling import own_path

_FOLDERS = {"directory": "folder", "partitioned_file": "resource_set", "table": "file"}


class _Files(Platform):
    """A store of files: a part of a path may itself hold `/`."""

    def escape(self, part: str) -> str:
        return part  # `/` separates there as it does in the name; normalisation sees to braces

    def own_escape(self, part: str) -> str:
        return own_path(part)

    def own_levels(self) -> Levels:
        return _own_levels(self.containers[0] if self.containers else "server")


class _Azure(_Files):
    """An account's service. `dfs` and `blob` are two doors to one account: a host is spelled by the platform's own."""

    containers = ("container",)
    synonyms: ClassVar[Mapping[str, str]] = {"filesystem": "container", "bucket": "container", **_FOLDERS}
    _door: ClassVar[str]
    _other_door: ClassVar[str]

    def host(self, host: str) -> str:
        account, dot, domain = without_port(host, 443).partition(f".{self._other_door}.")
        return f"{account}.{self._door}.{domain}" if dot else account

    def fields(self, host: str) -> Mapping[str, str]:
        account, _, domain = host.partition(f".{self._door}.")
        return {"host": host, "account": f"{account}.{domain}" if domain else host}


def _azure(service: Level, container_type: str, container_attribute: str, files: str) -> Levels:
    path = "https://{host}/{0}/{path}"
    return {
        "account": container("azure_storage_account", "https://{account}"),
        "server": service,
        "container": dataset(container_type, "https://{host}/{0}", "server", container_attribute),
        "file": dataset(f"{files}_path", path),
        "folder": dataset(f"{files}_path", path + "/"),
        "resource_set": dataset(f"{files}_resource_set", path),
    }


class DataLakeGen2(_Azure):
    """abfss: the host is the account's, `acct.dfs.core.windows.net`."""

    name = "abfss"
    _door, _other_door = "dfs", "blob"
    table: ClassVar[Levels] = _azure(
        container("azure_datalake_gen2_service", "https://{host}", "account", "account"),
        "azure_datalake_gen2_filesystem",
        "datalakeService",
        "azure_datalake_gen2",
    )


class BlobStorage(_Azure):
    """wasbs: the host is the account's, `acct.blob.core.windows.net`."""

    name = "wasbs"
    _door, _other_door = "blob", "dfs"
    table: ClassVar[Levels] = _azure(
        container("azure_blob_service", "https://{host}", "account", "account"),
        "azure_blob_container",
        "blobService",
        "azure_blob",
    )


class DataLakeGen1(_Files):
    """adl: the host is the store's, `store.azuredatalakestore.net`; there are no containers."""

    name = "adl"
    synonyms: ClassVar[Mapping[str, str]] = {"account": "server", **_FOLDERS}
    table: ClassVar[Levels] = {
        "server": container("azure_datalake_gen1_account", "adl://{host}"),
        "file": dataset("azure_datalake_gen1_path", "adl://{host}/{path}"),
        "folder": dataset("azure_datalake_gen1_path", "adl://{host}/{path}/"),
        "resource_set": dataset("azure_datalake_gen1_resource_set", "adl://{host}/{path}"),
    }

    def host(self, host: str) -> str:
        return without_port(host, 443)


class S3(_Files):
    """s3: bucket and key; Amazon's needs no host.

    Another provider's (MinIO, Ceph) has one, and own types, because its buckets may be called as Amazon's are.
    """

    name = "s3"
    containers = ("bucket",)
    only_host = "s3.amazonaws.com"
    synonyms: ClassVar[Mapping[str, str]] = {"container": "bucket", **_FOLDERS}
    table: ClassVar[Levels] = {
        "bucket": dataset("aws_s3_v2_bucket", "s3://{0}"),
        "file": dataset("aws_s3_v2_object", "s3://{0}/{path}", "bucket", "container"),
        "folder": dataset(
            "aws_s3_v2_directory", "s3://{0}/{path}/", "bucket", "container", required={"objectPrefix": "{name}"}
        ),
        "resource_set": dataset("aws_s3_v2_resource_set", "s3://{0}/{path}"),
    }

    def host(self, host: str) -> str:
        return self.only_host if ".amazonaws.com" in f".{host}" else host or self.only_host

    def levels(self, host: str) -> Levels:
        return self.table if host == self.only_host else _own_levels("bucket")


def _own_levels(outer: str) -> Levels:
    """Files under our own types: hung on their bucket or server, not on a folder that nobody lists."""
    place = {"platform": "{platform}", "host": "{host}"}
    root = "hookline://{platform}/{host}"
    levels: dict[str, Level | None] = {"server": container(CONTAINER, root, required={"type": "server", **place})}
    if outer == "server":
        path, parent = root + "/{path}", ""
    else:
        path, parent = root + "/{0}/{path}", outer
        levels[outer] = container(CONTAINER, root + "/{0}", required={"type": outer, **place})
    for kind in ("file", "folder", "resource_set"):
        levels[kind] = dataset(
            DATASET,
            f"{path}#{kind}",
            parent,
            "container" if parent else "",
            required={"type": kind, **place},
            columns="hookline_column",
            column_template="{table}#{column}",
            data_type="data_type",
            definition="definition",
        )
    return levels


class CloudStorage(_Files):
    """gs: bucket and object; gcp_storage_* are defined, their names are not known (own types)."""

    name = "gs"
    containers = ("bucket",)
    only_host = "storage.googleapis.com"
    synonyms: ClassVar[Mapping[str, str]] = {"container": "bucket", **_FOLDERS}

    def levels(self, host: str) -> Levels:  # noqa: ARG002
        return _own_levels("bucket")


class FileSystem(_Files):
    """file: the host is the machine's, `localhost` where none is told."""

    name = "file"
    only_host = "localhost"
    synonyms: ClassVar[Mapping[str, str]] = _FOLDERS

    def levels(self, host: str) -> Levels:  # noqa: ARG002
        return _own_levels("server")


class Hdfs(FileSystem):
    """hdfs: the host is the name node. hdfs_path is defined, its names in Purview are not known (own types)."""

    name = "hdfs"


class Dbfs(FileSystem):
    """dbfs: the host is the workspace. Mounts are what they point to, which only the workspace knows (own types)."""

    name = "dbfs"
    only_host = "databricks"
