-- A user finds a session again by its title.
alter table public.chat_sessions
  add column title text check (title <> '' and char_length(title) <= 200);

comment on column public.chat_sessions.title is 'What people call the session; null if nobody has named it.';

-- Every change moves its session to the top of the lists, so each index here is an entry that every change writes.
-- These two serve the lists of a tenant and of a user, the user's latest session and the row-level policy. The state
-- stands before the time: however many sessions are archived, a page of active ones reads its own entries only.
create index chat_sessions_of_tenant
  on public.chat_sessions (tenant_id, lifecycle_state, updated_at desc, created_at desc, chat_session_id desc);
create index chat_sessions_of_user
  on public.chat_sessions (tenant_id, user_id, lifecycle_state, updated_at desc, created_at desc, chat_session_id desc);
drop index public.chat_sessions_most_recent;

-- A title that is changed by hand is noticed like an agent that is.
create or replace function public.record_manual_chat_session_change() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
declare
  context_changed constant boolean := new.context is distinct from old.context;
  agent_changed constant boolean := new.active_agent is distinct from old.active_agent;
  title_changed constant boolean := new.title is distinct from old.title;
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
  if title_changed then
    change := change || jsonb_build_object('title', coalesce(new.title, ''));
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
      or new.title is distinct from old.title
      or new.user_id is distinct from old.user_id
      or new.lifecycle_state is distinct from old.lifecycle_state
    )
  )
  execute function public.record_manual_chat_session_change();
