-- A change is found again by the message that made it: a worker may die after it has stored a batch and before it could
-- say so. The creation has an entry too, under the key of the runs that made it.
alter table public.chat_context_updates
  add column message text,
  drop constraint chat_context_updates_revision_check,
  add constraint chat_context_updates_revision_check check (revision >= 0);

comment on column public.chat_context_updates.message is
  'The identity of the message that made the change; null for the creation and for a change that no message made.';

-- Signals cannot be answered. What became of those that were refused outlives the run that refused them.
alter table public.chat_sessions add column refusals jsonb check (jsonb_typeof(refusals) = 'object');

comment on column public.chat_sessions.refusals is
  'How many signals of the tenant were refused, and the last ten: their time, code and field.';

grant update (refusals) on public.chat_sessions to journey_worker;
