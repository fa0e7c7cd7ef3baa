-- A title or a message changes the descriptor of an artifact and not its payload, which may be large.
grant update (semantic_descriptor) on state_surface.artifacts to journey_worker;

-- A session's messages have a table of their own. New artifacts are registered with it.
update state_surface.artifacts
set materializations = materializations || jsonb_build_array(
  jsonb_build_object('store', 'supabase', 'table', 'public.chat_messages', 'chat_session_id', artifact_id)
)
where artifact_type = 'chat_session';
