-- The platform's artifact registry: what exists, what made it, and where it is kept.
create table state_surface.artifacts (
  artifact_id uuid primary key,
  tenant_id text not null check (tenant_id <> ''),
  artifact_type text not null check (artifact_type <> ''),
  lifecycle_state text not null,
  produced_by jsonb not null check (jsonb_typeof(produced_by) = 'object'),
  semantic_descriptor jsonb not null check (jsonb_typeof(semantic_descriptor) = 'object'),
  semantic_payload jsonb not null check (jsonb_typeof(semantic_payload) = 'object'),
  parent_artifacts jsonb not null default '[]' check (jsonb_typeof(parent_artifacts) = 'array'),
  materializations jsonb not null default '[]' check (jsonb_typeof(materializations) = 'array'),
  revision bigint not null check (revision >= 0),
  created_at timestamptz not null,
  updated_at timestamptz not null
);

comment on table state_surface.artifacts is 'Artifacts of the platform, registered by the journeys that produce them.';
comment on column state_surface.artifacts.produced_by is 'The intent and the run that created the artifact; it stays.';
comment on column state_surface.artifacts.materializations is 'Where the artifact itself is stored.';

create index artifacts_by_type on state_surface.artifacts (tenant_id, artifact_type, updated_at);

-- Only the owner gets in. With no policy, row-level security keeps the rows shut even if somebody grants the table later.
alter table state_surface.artifacts enable row level security;
revoke all on schema state_surface from public;
revoke all on all tables in schema state_surface from public;

-- The registry may live inside a Supabase or apart from one, where the API roles do not exist.
do $$
declare
  api_role name;
begin
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
    execute format('revoke all on schema state_surface from %I', api_role);
    execute format('revoke all on all tables in schema state_surface from %I', api_role);
  end loop;
end
$$;
