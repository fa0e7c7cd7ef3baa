alter table public.chat_context_updates add column turn boolean not null default false;

comment on column public.chat_context_updates.turn is 'Whether the change asked the agent that leads to act.';
