-- A hand on the owner or the lifecycle state is noticed like one on the context: until the revision moves, a running
-- journey goes on serving the owner that it has in memory. A hand on the tenant or the ID is refused: both stand in the
-- workflow's ID, the keys and the State Surface, and no journey could follow.
create or replace function public.record_manual_chat_session_change() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
declare
  context_changed constant boolean := new.context is distinct from old.context;
  agent_changed constant boolean := new.active_agent is distinct from old.active_agent;
  owner_changed constant boolean := new.user_id is distinct from old.user_id;
  state_changed constant boolean := new.lifecycle_state is distinct from old.lifecycle_state;
  change jsonb := '{}';
begin
  if context_changed or agent_changed then
    change := jsonb_build_object(
      'context', case when context_changed then new.context end,
      'append', null,
      'active_agent', case when agent_changed then new.active_agent end,
      'merge_strategy', case when context_changed then 'replace' else 'merge' end
    );
  end if;
  if owner_changed then
    change := change || jsonb_build_object('new_user_id', new.user_id);
  end if;
  if state_changed then
    change := change || jsonb_build_object('lifecycle_state', new.lifecycle_state);
  end if;

  new.revision := old.revision + 1;
  new.updated_at := greatest(clock_timestamp(), old.updated_at);
  if context_changed then
    -- Canonical hashing is not done in SQL; the journey fills this in when it loads the session.
    new.context_hash := null;
  end if;

  insert into public.chat_context_updates (
    chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at
  ) values (
    new.chat_session_id,
    new.revision,
    -- The random part keeps it from ever meeting a key that a caller chose.
    format('manual/%s/%s', new.revision, gen_random_uuid()),
    change,
    encode(sha256(convert_to(change::text, 'UTF8')), 'hex'),
    'manual',
    new.active_agent,
    new.context_hash,
    new.updated_at
  );
  return new;
end;
$$;

drop trigger record_manual_change on public.chat_sessions;

-- The journey raises the revision itself, so its own writes never meet the condition.
create trigger record_manual_change
  before update on public.chat_sessions
  for each row
  when (
    new.revision = old.revision
    and (
      new.context is distinct from old.context
      or new.active_agent is distinct from old.active_agent
      or new.user_id is distinct from old.user_id
      or new.lifecycle_state is distinct from old.lifecycle_state
    )
  )
  execute function public.record_manual_chat_session_change();

create or replace function public.refuse_chat_session_identity_change() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
begin
  raise exception 'tenant_id and chat_session_id of a chat session cannot be changed'
    using errcode = 'restrict_violation', hint = 'Create another session instead.';
end;
$$;

comment on function public.refuse_chat_session_identity_change() is
  'Refuses an update of a chat session that changes its tenant or its ID.';

revoke all on function public.refuse_chat_session_identity_change() from public, anon, authenticated, service_role;

create trigger refuse_identity_change
  before update on public.chat_sessions
  for each row
  when (new.tenant_id is distinct from old.tenant_id or new.chat_session_id is distinct from old.chat_session_id)
  execute function public.refuse_chat_session_identity_change();
