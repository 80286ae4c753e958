"""SSIS end to end: a package is uploaded, and the local catalogue shows its lineage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import dtsx
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import World, stands_for, world  # noqa: F401

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "ssis"
AT = "uploads/ssis/etl01/WWI/DailyETL/"


def named(world: World, type_name: str) -> dict[str, dict[str, Any]]:
    """Attributes of the entities of a type, by qualified name."""
    return {entity.qn: entity.parts["attributes"] for entity in world.entities() if entity.type == type_name}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_the_lineage_of_a_real_package_is_in_the_catalogue(world: World) -> None:
    for name in ("DailyETLMain.dtsx", "WWI_DW_Destination_DB.conmgr", "WWI_Source_DB.conmgr"):
        world.upload(AT + name, (SAMPLES / name).read_bytes())
    world.settle()
    assert world.receipt(f"{AT}DailyETLMain.dtsx").state == "confirmed"
    assert not world.dropped()
    assert list(named(world, "ssis_package")) == ["ssisdb://etl01/WWI/DailyETL/DailyETLMain.dtsx"]
    processes = named(world, "ssis_package_process")
    assert len(processes) == 81
    flows = [attributes for attributes in processes.values() if attributes.get("columnMapping")]
    assert len(flows) == 13
    city = processes[
        "ssisdb://etl01/WWI/DailyETL/DailyETLMain.dtsx/Load City Dimension/Extract Updated City Data to Staging"
    ]
    (mapping,) = json.loads(city["columnMapping"])
    assert {end: stands_for(name) for end, name in mapping["DatasetMapping"].items()} == {
        "Source": "hookline://mssql/etl01%5CMSSQLSERVER/WideWorldImporters/Integration/GetCityUpdates#result_set",
        "Sink": "mssql://etl01/MSSQLSERVER/WideWorldImportersDW/Integration/City_Staging",
    }
    assert {"Source": "City", "Sink": "City"} in mapping["ColumnMapping"]
    assert len(mapping["ColumnMapping"]) == 12


def test_a_connection_manager_that_comes_late(world: World) -> None:
    world.upload(f"{AT}Load.dtsx", dtsx.package(dtsx.copy()))
    world.settle()
    assert world.receipt(f"{AT}Load.dtsx").state == "partly rejected"
    assert "connection manager" in world.rejected(f"{AT}Load.dtsx")[0].reason
    world.upload(f"{AT}DW.conmgr", dtsx.connection("DW"))
    world.settle()
    assert world.receipt(f"{AT}Load.dtsx").state == "confirmed"
    (flow,) = named(world, "ssis_package_process").values()
    sink = json.loads(flow["columnMapping"])[0]["DatasetMapping"]["Sink"]
    assert stands_for(sink) == "mssql://sql01/MSSQLSERVER/DW/dbo/B"


def test_what_is_for_the_packages_beside_it_is_no_mistake(world: World) -> None:
    beside = {
        "DW.conmgr": dtsx.connection("DW").encode(),
        "Project.params": dtsx.parameters_file(Server="x"),
        "prod.dtsConfig": b"<DTSConfiguration />",
        "procedures.sql": b"CREATE PROCEDURE etl.Run AS DELETE FROM dbo.B",
    }
    for name, content in beside.items():
        world.upload(AT + name, content)
    world.upload(f"{AT}Load.dtsx", dtsx.package(dtsx.sql_task("Run", "EXEC etl.Run")))
    world.settle()
    assert not [refusal for name in beside for refusal in world.rejected(AT + name)]
    assert list(named(world, "ssis_package_process")) == ["ssisdb://etl01/WWI/DailyETL/Load.dtsx/Run"]
    placeholders = [stands_for(name) for name in named(world, "hookline_placeholder")]
    assert placeholders == ["mssql://sql01/MSSQLSERVER/DW/dbo/B"]
