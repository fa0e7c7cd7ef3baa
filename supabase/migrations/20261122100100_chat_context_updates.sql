-- The ledger: one row for each change that was applied to a session. Its two keys are what makes a change count once.
create table public.chat_context_updates (
  chat_session_id uuid not null references public.chat_sessions on delete cascade,
  revision bigint not null check (revision > 0),
  idempotency_key text not null,
  change jsonb not null check (jsonb_typeof(change) = 'object'),
  change_hash text not null,
  author text,
  active_agent text not null check (active_agent collate "C" ~ '^(guide|liaison_[a-z][a-z0-9_]*)$'),
  context_hash text,
  applied_at timestamptz not null,
  primary key (chat_session_id, revision),
  unique (chat_session_id, idempotency_key)
);

comment on table public.chat_context_updates is 'Every change that was applied to a chat session, in order of revision.';
comment on column public.chat_context_updates.author is
  'Who made the change: user, an agent, a service, or manual for a change by hand; null where the caller did not say.';
comment on column public.chat_context_updates.active_agent is 'The active agent after the change.';
comment on column public.chat_context_updates.context_hash is
  'Hex SHA-256 of the canonical context after the change; null for a change by hand.';

alter table public.chat_context_updates enable row level security;
revoke all on public.chat_context_updates from public, anon, authenticated, service_role;
grant select on public.chat_context_updates to authenticated;
grant select, insert, update, delete on public.chat_context_updates to service_role;

-- The sub-select is itself subject to the policy on chat_sessions: whoever reads a session reads its ledger.
create policy "Signed-in users read the ledger of their own chat sessions"
  on public.chat_context_updates
  for select
  to authenticated
  using (chat_session_id in (select s.chat_session_id from public.chat_sessions as s));
