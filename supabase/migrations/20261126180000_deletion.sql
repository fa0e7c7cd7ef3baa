-- A deleted session leaves its row as a tombstone: nothing brings it back, and nothing in it says whose it was or what
-- was said.
alter table public.chat_sessions
  drop constraint chat_sessions_lifecycle_state_check,
  add constraint chat_sessions_lifecycle_state_check check (lifecycle_state in ('ACTIVE', 'ARCHIVED', 'DELETED')),
  alter column user_id drop not null,
  add column deleted_by text,
  add constraint chat_sessions_deleted_check check (
    lifecycle_state <> 'DELETED' and user_id is not null and deleted_by is null
    or lifecycle_state = 'DELETED' and user_id is null and deleted_by is not null
      and context = '{}' and title is null and refusals is null and message_count = 0
  );

comment on column public.chat_sessions.deleted_by is
  'The ID of the update that deleted the session, so that its sender is answered again; null of a session that lives.';

grant update (deleted_by) on public.chat_sessions to journey_worker;
grant delete on public.chat_context_updates to journey_worker;

create policy "The journeys' worker deletes the ledgers of deleted sessions"
  on public.chat_context_updates for delete to journey_worker using (true);
