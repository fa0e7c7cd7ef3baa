-- What a worker connects as: it can do what the worker's statements do, and no more. It gets in by policies, so that
-- row-level security stays in force; a worker that found every table empty would take sessions for missing.
--
-- Roles belong to the whole cluster: this one may be there already, and another database's migration may create it at
-- the same moment. It cannot log in until somebody gives it a password, or another role that can log in.
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

grant usage on schema public to journey_worker;

revoke all on public.chat_sessions, public.chat_context_updates from journey_worker;
grant select, insert on public.chat_sessions, public.chat_context_updates to journey_worker;
grant update (context, context_hash, active_agent, revision, updated_at) on public.chat_sessions to journey_worker;
grant update (context_hash) on public.chat_context_updates to journey_worker;

create policy "The journeys' worker reads every chat session"
  on public.chat_sessions for select to journey_worker using (true);
create policy "The journeys' worker creates chat sessions"
  on public.chat_sessions for insert to journey_worker with check (true);
create policy "The journeys' worker changes every chat session"
  on public.chat_sessions for update to journey_worker using (true) with check (true);

create policy "The journeys' worker reads every ledger"
  on public.chat_context_updates for select to journey_worker using (true);
create policy "The journeys' worker writes every ledger"
  on public.chat_context_updates for insert to journey_worker with check (true);
create policy "The journeys' worker fills in hashes in every ledger"
  on public.chat_context_updates for update to journey_worker using (true) with check (true);
