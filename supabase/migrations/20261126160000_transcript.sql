-- The transcript holds a session's conversation, apart from the context that its agents share. It may grow without end,
-- so nothing that a change does may depend on its length.
create table public.chat_messages (
  chat_session_id uuid not null references public.chat_sessions on delete cascade,
  message_id text not null check (message_id <> ''),
  first_revision bigint not null check (first_revision > 0),
  ordinal bigint not null check (ordinal >= 0),
  revision bigint not null check (revision >= first_revision),
  role text,
  author text,
  body jsonb not null check (jsonb_typeof(body) = 'object'),
  body_hash text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (chat_session_id, message_id)
);

comment on table public.chat_messages is 'The messages of every chat session. Only here are their bodies stored.';
comment on column public.chat_messages.first_revision is
  'The revision that added the message; with the ordinal it is the message''s place, which a replacement keeps.';
comment on column public.chat_messages.ordinal is 'The message''s place among those that its change added.';
comment on column public.chat_messages.revision is 'The revision that wrote the body.';
comment on column public.chat_messages.author is
  'Who added the message: user, an agent, a service; null if the caller did not say.';
comment on column public.chat_messages.body_hash is 'Hex SHA-256 of the canonical (RFC 8785) body.';

-- The order of the conversation, from either end and from any place.
create unique index chat_messages_in_order on public.chat_messages (chat_session_id, first_revision, ordinal);

alter table public.chat_messages enable row level security;
revoke all on public.chat_messages from public, anon, authenticated, service_role, journey_worker;
grant select on public.chat_messages to authenticated;
grant select, insert, update, delete on public.chat_messages to service_role;
grant select, insert, delete on public.chat_messages to journey_worker;
grant update (first_revision, ordinal, revision, role, author, body, body_hash, created_at, updated_at)
  on public.chat_messages to journey_worker;

-- The sub-select is itself subject to the policy on chat_sessions: whoever reads a session reads its transcript.
create policy "Signed-in users read the transcripts of their own chat sessions"
  on public.chat_messages
  for select
  to authenticated
  using (chat_session_id in (select s.chat_session_id from public.chat_sessions as s));

create policy "The journeys' worker reads every transcript"
  on public.chat_messages for select to journey_worker using (true);
create policy "The journeys' worker adds messages to every transcript"
  on public.chat_messages for insert to journey_worker with check (true);
create policy "The journeys' worker replaces messages in every transcript"
  on public.chat_messages for update to journey_worker using (true) with check (true);
create policy "The journeys' worker removes messages from every transcript"
  on public.chat_messages for delete to journey_worker using (true);

-- A constant default rewrites no row.
alter table public.chat_sessions
  add column message_count bigint not null default 0 check (message_count >= 0),
  add column turn_revision bigint not null default 0 check (turn_revision >= 0);

comment on column public.chat_sessions.message_count is 'How many messages the transcript has.';
comment on column public.chat_sessions.turn_revision is 'The last revision that asked an agent to act; 0 if none has.';

grant update (message_count, turn_revision) on public.chat_sessions to journey_worker;
