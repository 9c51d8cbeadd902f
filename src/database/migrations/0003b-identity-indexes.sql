-- What lists look for at a hundred thousand users: a name in any domain, who has a role, passwords that expire soon.
create index project_named on identity.project (name);
create index user_named on identity."user" (name);
create extension if not exists pg_trgm with schema public;
create index user_name_part on identity."user" using gin (name public.gin_trgm_ops);
create index user_default_project on identity."user" (default_project_id) where default_project_id is not null;
create index group_named on identity."group" (name);
create index password_expires on identity.password (expires_at) where expires_at is not null;
create index assignment_role on identity.assignment (role_id);
