-- A worker that was paused may wake up and decide messages that another worker has decided, and answered, long since.
-- So each batch leaves its time, and one that finds a later batch decides nothing.
alter table public.chat_sessions add column decided_at timestamptz;

comment on column public.chat_sessions.decided_at is
  'When the latest batch of messages that has changed the session was begun, by Temporal''s clock.';

grant update (decided_at) on public.chat_sessions to journey_worker;
