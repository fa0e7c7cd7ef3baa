"""The State Surface in Postgres: schema `state_surface`, table `artifacts`."""

from typing import Final
from uuid import UUID

from pydantic_core import from_json

from journeys.errors import DatabaseUnavailable
from journeys.i_json import MAX_SAFE_INTEGER
from journeys.state_surface import SurfaceArtifact
from stores.postgres import Pool, connection_to, json_text, parse_row

STORE: Final = "the State Surface"
"""The store's name in messages."""

RIGHTS: Final = {"state_surface.artifacts": ("select", "insert", "update")}
"""The rights that the statements here need; the role `journey_worker` has them."""

# An equal revision is written only if its content differs, so that a retry creates no new row version. An artifact of
# another tenant is not written to.
_ADVANCES: Final = """
  artifacts.tenant_id = {new}.tenant_id
  and (
    artifacts.revision < {new}.revision
    or artifacts.revision = {new}.revision
    and (
      artifacts.semantic_descriptor is distinct from {new}.semantic_descriptor
      or artifacts.semantic_payload is distinct from {new}.semantic_payload
    )
  )
"""

_REGISTER: Final = f"""
with registered as (
  insert into state_surface.artifacts (
    artifact_id, tenant_id, artifact_type, lifecycle_state, produced_by, semantic_descriptor, semantic_payload,
    parent_artifacts, materializations, revision, created_at, updated_at
  )
  values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8::jsonb, $9::jsonb, $10, $11, $12)
  on conflict (artifact_id) do update
  set lifecycle_state = excluded.lifecycle_state, semantic_descriptor = excluded.semantic_descriptor,
    semantic_payload = excluded.semantic_payload, revision = excluded.revision, updated_at = excluded.updated_at
  where {_ADVANCES.format(new="excluded")}
  returning tenant_id, revision
)
select tenant_id, revision from registered
union all
select tenant_id, revision from state_surface.artifacts
where artifact_id = $1 and not exists (select from registered)
"""

_UPDATE: Final = f"""
with updated as (
  update state_surface.artifacts
  set lifecycle_state = new.lifecycle_state, semantic_descriptor = new.semantic_descriptor,
    semantic_payload = new.semantic_payload, revision = new.revision, updated_at = new.updated_at
  from (
    select
      $2::text as tenant_id, $3::text as lifecycle_state, $4::jsonb as semantic_descriptor, $5::bigint as revision,
      $6::timestamptz as updated_at, $7::jsonb as semantic_payload
  ) as new
  where artifact_id = $1 and {_ADVANCES.format(new="new")}
  returning artifacts.tenant_id, artifacts.revision
)
select tenant_id, revision from updated
union all
select tenant_id, revision from state_surface.artifacts where artifact_id = $1 and not exists (select from updated)
"""

# PostgreSQL does not write a large payload again if the statement does not name it.
_UPDATE_WITHOUT_PAYLOAD: Final = """
update state_surface.artifacts
set lifecycle_state = $3, semantic_descriptor = $4::jsonb, revision = $5, updated_at = $6
where artifact_id = $1 and tenant_id = $2 and revision = $7
returning tenant_id, revision
"""

_GET: Final = "select * from state_surface.artifacts where artifact_id = $1 and tenant_id = $2"


class StateSurfacePostgres:
    """The table of artifacts, on a pool of connections.

    Every method raises the errors of `stores.postgres.translate_errors`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, artifact: SurfaceArtifact) -> int:
        """Register an artifact, or bring a registered one up to this revision.

        Returns:
            The artifact's revision afterwards; a later one if the artifact was ahead.

        Raises:
            DatabaseUnavailable: Another tenant's artifact has this ID, or the artifact's revision is out of bounds.
        """
        # None if another transaction created the row during the statement; only the next statement can see it.
        held: int | None = None
        while held is None:
            held = await self._write(
                artifact,
                _REGISTER,
                UUID(artifact.artifact_id),
                artifact.tenant_id,
                artifact.artifact_type,
                artifact.lifecycle_state,
                json_text(artifact.produced_by),
                json_text(artifact.semantic_descriptor),
                json_text(artifact.semantic_payload),
                json_text(artifact.parent_artifacts),
                json_text(artifact.materializations),
                artifact.revision,
                artifact.created_at,
                artifact.updated_at,
            )
        return held

    async def update(self, artifact: SurfaceArtifact, *, payload_since: int | None = None) -> int | None:
        """Bring an artifact up to this revision.

        Args:
            artifact: The artifact at the new revision.
            payload_since: The payload has been the same since this revision. If the table holds exactly this revision,
                the payload is not sent; otherwise the whole artifact is sent.

        Returns:
            The artifact's revision afterwards, a later one if the artifact was ahead; None if it is not registered.

        Raises:
            DatabaseUnavailable: Another tenant's artifact has this ID, or the artifact's revision is out of bounds.
        """
        common = (
            UUID(artifact.artifact_id),
            artifact.tenant_id,
            artifact.lifecycle_state,
            json_text(artifact.semantic_descriptor),
            artifact.revision,
            artifact.updated_at,
        )
        if payload_since is not None:
            held = await self._write(artifact, _UPDATE_WITHOUT_PAYLOAD, *common, payload_since)
            if held is not None:
                return held
        return await self._write(artifact, _UPDATE, *common, json_text(artifact.semantic_payload))

    async def _write(self, artifact: SurfaceArtifact, statement: str, *parameters: object) -> int | None:
        async with connection_to(STORE, self._pool, may_refuse=False) as connection:
            row = await connection.fetchrow(statement, *parameters)
        if row is None:
            return None
        if row["tenant_id"] != artifact.tenant_id:
            raise DatabaseUnavailable(
                f"{STORE} has an artifact of another tenant under the ID {artifact.artifact_id} and leaves it alone; "
                "nothing is acknowledged until somebody removes that artifact"
            )
        revision: int = row["revision"]
        if revision >= MAX_SAFE_INTEGER:
            raise DatabaseUnavailable(
                f"{STORE} has the artifact {artifact.artifact_id} at a revision that no session can go on above; "
                "nothing is acknowledged until somebody corrects its column revision"
            )
        return revision

    async def get(self, artifact_id: str, tenant_id: str) -> SurfaceArtifact | None:
        """Read an artifact of this tenant; None if the tenant has none with this ID."""
        async with connection_to(STORE, self._pool) as connection:
            row = await connection.fetchrow(_GET, UUID(artifact_id), tenant_id)
        if row is None:
            return None
        return parse_row(
            STORE,
            SurfaceArtifact,
            {
                name: str(value) if name == "artifact_id" else from_json(value) if name in _JSON_COLUMNS else value
                for name, value in row.items()
            },
        )


_JSON_COLUMNS: Final = frozenset(
    {"produced_by", "semantic_descriptor", "semantic_payload", "parent_artifacts", "materializations"}
)
