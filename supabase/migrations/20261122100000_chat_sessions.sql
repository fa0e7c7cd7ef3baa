-- One row for each chat session: the record that the journey works on and that every agent of the conversation shares.
create table public.chat_sessions (
  chat_session_id uuid primary key,
  tenant_id text not null check (tenant_id <> ''),
  user_id text not null check (user_id <> ''),
  -- "C" keeps the letter ranges to ASCII whatever the database's locale is.
  active_agent text not null check (active_agent collate "C" ~ '^(guide|liaison_[a-z][a-z0-9_]*)$'),
  context jsonb not null check (jsonb_typeof(context) = 'object'),
  context_hash text,
  revision bigint not null check (revision >= 0),
  lifecycle_state text not null check (lifecycle_state = 'ACTIVE'),
  idempotency_key text not null unique,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

comment on table public.chat_sessions is
  'Chat sessions of the Coexistence Solution. Written by the journey; a change by hand is noticed and recorded.';
comment on column public.chat_sessions.context_hash is
  'Hex SHA-256 of the canonical (RFC 8785) context; null after a change by hand, until the journey has hashed it.';
comment on column public.chat_sessions.revision is
  '0 at creation, one more for every applied change. Leave it alone when editing by hand.';

-- Answers "the most recent session of this user" from its first entry, and serves the row-level policy below.
create index chat_sessions_most_recent
  on public.chat_sessions (tenant_id, user_id, updated_at desc, created_at desc, chat_session_id desc);

-- A project may grant every new table to the API roles by default: start from nothing.
alter table public.chat_sessions enable row level security;
revoke all on public.chat_sessions from public, anon, authenticated, service_role;
grant select on public.chat_sessions to authenticated;
grant select, insert, update, delete on public.chat_sessions to service_role;

-- app_metadata is set by the server only; users edit their own user_metadata, so it can never say who somebody is.
-- The sub-selects are evaluated once for a statement rather than once for a row.
create policy "Signed-in users read their own chat sessions"
  on public.chat_sessions
  for select
  to authenticated
  using (
    user_id = (select auth.jwt()) ->> 'sub'
    and tenant_id = (select auth.jwt()) -> 'app_metadata' ->> 'tenant_id'
  );
