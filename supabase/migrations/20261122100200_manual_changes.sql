-- A running journey keeps the session in memory. Somebody who edits the row by hand does not think of `revision`, so the
-- database raises it: the journey's next write then finds another revision than it expects, and reloads.
--
-- Invoker's rights are enough, since whoever may update a session may also write its ledger.
create function public.record_manual_chat_session_change() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
declare
  context_changed constant boolean := new.context is distinct from old.context;
  agent_changed constant boolean := new.active_agent is distinct from old.active_agent;
  change constant jsonb := jsonb_build_object(
    'context', case when context_changed then new.context end,
    'append', null,
    'active_agent', case when agent_changed then new.active_agent end,
    'merge_strategy', case when context_changed then 'replace' else 'merge' end
  );
begin
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

comment on function public.record_manual_chat_session_change() is
  'Raises the revision of a chat session that was changed by hand, and writes the change to the ledger.';

-- A trigger needs no execute privilege to fire, and nobody has any business calling this.
revoke all on function public.record_manual_chat_session_change() from public, anon, authenticated, service_role;

-- The journey raises the revision itself, so its own writes never meet the condition.
create trigger record_manual_change
  before update on public.chat_sessions
  for each row
  when (
    new.revision = old.revision
    and (new.context is distinct from old.context or new.active_agent is distinct from old.active_agent)
  )
  execute function public.record_manual_chat_session_change();
