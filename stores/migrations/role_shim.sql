-- What a Supabase database has and a plain PostgreSQL lacks, as far as the migrations need it. It only ever adds what is
-- missing, so that it can run before every migration and never changes anything that somebody else set up.

-- Roles belong to the whole cluster, beyond the reach of a lock in one database: another database's migration may create
-- one at the same moment, and either's will do.
do $$
declare
  missing record;
begin
  for missing in
    select wanted.*
    from (
      values
        ('anon', 'nologin noinherit'),
        ('authenticated', 'nologin noinherit'),
        ('service_role', 'nologin noinherit bypassrls'),
        ('authenticator', 'login noinherit')
    ) as wanted (name, options)
    where not exists (select from pg_catalog.pg_roles where rolname = wanted.name)
  loop
    begin
      execute format('create role %I %s', missing.name, missing.options);
    exception
      when duplicate_object or unique_violation then null;
    end;
  end loop;

  for missing in
    select wanted.name
    from (values ('anon'), ('authenticated'), ('service_role')) as wanted (name)
    where not exists (
      select from pg_catalog.pg_auth_members
      where roleid = wanted.name::regrole and member = 'authenticator'::regrole
    )
  loop
    begin
      execute format('grant %I to authenticator', missing.name);
    exception
      when unique_violation then null;
    end;
  end loop;
end
$$;

do $$
begin
  if to_regnamespace('extensions') is null then
    create schema extensions;
    grant usage on schema extensions to anon, authenticated, service_role;
  end if;

  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to anon, authenticated, service_role;
  end if;

  if to_regprocedure('auth.jwt()') is null then
    -- The claims of the caller's token, as PostgREST and Realtime hand them to the database.
    create function auth.jwt() returns jsonb
    language sql
    stable
    set search_path = ''
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  end if;

  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid
    language sql
    stable
    set search_path = ''
    return (auth.jwt() ->> 'sub')::uuid;
  end if;

  if to_regprocedure('auth.role()') is null then
    create function auth.role() returns text
    language sql
    stable
    set search_path = ''
    return auth.jwt() ->> 'role';
  end if;

  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
end
$$;
