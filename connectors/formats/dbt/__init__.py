"""dbt: a project's manifest.json, read together with the catalog.json and run_results.json beside it.

    files.py      which file is what; the folder or archive around a manifest (the format `Dbt`)
    artifacts.py  the fields that are read of each artifact, and from which versions
    warehouse.py  where the project's tables lie: adapter -> platform, server, addresses as scanners name them
    project.py    a manifest on disk, one node at a time; what depends on what
    lineage.py    compiled SQL -> what a model reads, and its columns
    makes.py      nodes -> records

Artifacts and their fields: docs.getdbt.com/reference/artifacts, schemas.getdbt.com.
"""
