-- A session can be put away, and taken out again.
alter table public.chat_sessions
  drop constraint chat_sessions_lifecycle_state_check,
  add constraint chat_sessions_lifecycle_state_check check (lifecycle_state in ('ACTIVE', 'ARCHIVED'));

-- The journey itself changes title, state and owner.
grant update (title, lifecycle_state, user_id) on public.chat_sessions to journey_worker;
