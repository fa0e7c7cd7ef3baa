-- A chat page follows its session live: Realtime delivers a changed row to those whom row-level security lets read it.
do $$
begin
  -- Without the publication Realtime is not in use; one of all tables, or of the whole schema, has this one already.
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime')
    and not exists (
      select from pg_catalog.pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'chat_sessions'
    )
  then
    alter publication supabase_realtime add table public.chat_sessions;
  end if;
end
$$;
