-- The row-level policies call `auth.jwt()`. In a Supabase project the auth service creates it; this stack has no auth
-- service. The migrations cannot create it: they run as `postgres`, and the database image gives `postgres` no right to
-- create anything in schema `auth`.
create function auth.jwt() returns jsonb
language sql stable
as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

comment on function auth.jwt() is 'The claims of the request''s token; null if there is no token.';

-- If an auth service is added later, it can replace the function.
alter function auth.jwt() owner to supabase_auth_admin;
