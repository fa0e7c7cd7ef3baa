"""The machine and the servers of a run."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import asyncpg
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from bench.results import Machine


async def describe_machine(client: Client, *, database_url: str) -> Machine:
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    connection = await asyncpg.connect(database_url)
    try:
        postgres = str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cpus=os.cpu_count() or 0,
        load=round(os.getloadavg()[0], 2),
        python=sys.version.split()[0],
        temporalio=version("temporalio"),
        temporal_server=info.server_version,
        postgres=postgres,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
