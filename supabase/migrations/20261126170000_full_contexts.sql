-- The ledger holds a full context now and then, so that the context of an earlier revision is found from few changes.
alter table public.chat_context_updates
  add column context jsonb check (jsonb_typeof(context) = 'object'),
  add column fold_changes integer check (fold_changes >= 0),
  add column fold_bytes bigint check (fold_bytes >= 0);

comment on column public.chat_context_updates.context is
  'The full context after the change, if this entry holds it. The creation holds it in its change.';
comment on column public.chat_context_updates.fold_changes is
  'Changes of the context since the last full one, this one included: 0 if this entry holds the full context, null if the change keeps the context.';
comment on column public.chat_context_updates.fold_bytes is 'The canonical size of those changes.';

-- What each session holds now is the first full context of its ledger. Earlier revisions cannot be read.
update public.chat_context_updates as entry
set context = session.context, fold_changes = 0, fold_bytes = 0
from public.chat_sessions as session
where entry.chat_session_id = session.chat_session_id and entry.revision = session.revision;

-- A session that has not been changed since before its creation had an entry.
insert into public.chat_context_updates (
  chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at,
  context, fold_changes, fold_bytes
)
select
  chat_session_id, revision, format('journey/%s/%s', revision, gen_random_uuid()), '{}',
  encode(sha256(convert_to('{}', 'UTF8')), 'hex'), 'journey', active_agent, context_hash, updated_at, context, 0, 0
from public.chat_sessions as session
where not exists (
  select from public.chat_context_updates as entry
  where entry.chat_session_id = session.chat_session_id and entry.revision = session.revision
);

create index chat_context_updates_of_context
  on public.chat_context_updates (chat_session_id, revision) where fold_changes is not null;
create index chat_context_updates_with_full_context
  on public.chat_context_updates (chat_session_id, revision) where fold_changes = 0;

-- A context that is changed by hand is kept in full.
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
    chat_session_id, revision, idempotency_key, change, change_hash, author, active_agent, context_hash, applied_at,
    context, fold_changes, fold_bytes
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
    new.updated_at,
    case when context_changed then new.context end,
    case when context_changed then 0 end,
    case when context_changed then 0 end
  );
  return new;
end;
$$;
