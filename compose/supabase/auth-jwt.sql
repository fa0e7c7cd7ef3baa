-- On a Supabase project `auth.jwt()` is made by the auth service, which is not part of this stack, and the database
-- image does not let `postgres`, as whom the migrations run, create anything in `auth`. The policies need it.
create function auth.jwt() returns jsonb
language sql stable
as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

comment on function auth.jwt() is 'The claims of the request''s token; null where there is no token.';

-- So that an auth service added later can put its own in place.
alter function auth.jwt() owner to supabase_auth_admin;
