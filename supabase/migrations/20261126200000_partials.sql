-- The text so far of messages that agents are writing. It may be lost, so the table is not logged.
create unlogged table public.chat_partials (
  chat_session_id uuid not null references public.chat_sessions on delete cascade,
  message_id text not null check (message_id <> ''),
  text text not null,
  written_at timestamptz not null,
  primary key (chat_session_id, message_id)
);

comment on table public.chat_partials is
  'Messages that agents are writing, one row each. A row goes with the answer, or two minutes after it was written.';

alter table public.chat_partials enable row level security;
revoke all on public.chat_partials from public, anon, authenticated, service_role, journey_worker;
grant select, insert, update, delete on public.chat_partials to service_role;
grant select, insert, update, delete on public.chat_partials to journey_worker;

create policy "The journeys' worker reads every partial message"
  on public.chat_partials for select to journey_worker using (true);
create policy "The journeys' worker adds partial messages"
  on public.chat_partials for insert to journey_worker with check (true);
create policy "The journeys' worker overwrites partial messages"
  on public.chat_partials for update to journey_worker using (true) with check (true);
create policy "The journeys' worker removes partial messages"
  on public.chat_partials for delete to journey_worker using (true);
