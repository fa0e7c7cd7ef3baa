-- What a worker connects as; see the migration of this name in Supabase. The registry may be in another cluster, which
-- has a role of its own.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'journey_worker') then
    create role journey_worker nologin;
  end if;
exception
  when duplicate_object or unique_violation then null;
  when insufficient_privilege then
    raise exception 'the role journey_worker does not exist, and % may not create it', current_user
      using errcode = 'insufficient_privilege', hint = 'Have an administrator run: create role journey_worker nologin';
end
$$;

grant usage on schema state_surface to journey_worker;

revoke all on state_surface.artifacts from journey_worker;
grant select, insert on state_surface.artifacts to journey_worker;
grant update (lifecycle_state, semantic_payload, revision, updated_at) on state_surface.artifacts to journey_worker;

create policy "The journeys' worker reads every artifact"
  on state_surface.artifacts for select to journey_worker using (true);
create policy "The journeys' worker registers artifacts"
  on state_surface.artifacts for insert to journey_worker with check (true);
create policy "The journeys' worker changes every artifact"
  on state_surface.artifacts for update to journey_worker using (true) with check (true);
