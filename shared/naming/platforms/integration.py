"""Systems that move data: SQL Server Integration Services.

Types ssis_package (an Asset, no end of lineage) and ssis_package_process (a Process with columnMapping, which requires
its `parent`): typedefs as microsoft/Purview-Custom-Connector-Solution-Accelerator has captured them (A). Name: captured
prefix `ssisdb://fabrikamsqlsrv1.database.windows.net/LoadFabrikamDW/LoadFabrikamDW/`, tayganr/purviewcli
assetDistribution.md (A); what follows the project is by analogy: the package's name and the path of the task in it (C).
"""

from __future__ import annotations

from typing import ClassVar

from shared.naming.level import Level, Levels, container
from shared.naming.platforms.base import Platform


class Ssis(Platform):
    """The host is the server of the SSIS catalog. Paths: folder, project, package, and within it the task's path.

    Server, folder and project have no entities of their own.
    """

    name = "ssis"
    containers = ("folder", "project", "package")
    table: ClassVar[Levels] = {
        "server": None,
        "folder": None,
        "project": None,
        "package": container("ssis_package", "ssisdb://{host}/{0}/{1}/{2}"),
        "task": Level(
            type_name="ssis_package_process",
            template="ssisdb://{host}/{0}/{1}/{2}/{path}",
            parent="package",
            parent_attribute="parent",
        ),
    }

    def own_levels(self) -> Levels:
        """None: packages and tasks are processes of ours then, because only a process of ours can be the parent."""
        return {}
