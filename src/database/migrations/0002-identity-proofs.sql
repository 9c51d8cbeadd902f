-- How people and programs prove who they are: application credentials, trusts, credentials under keys that rotate, OAuth1.

create table identity.application_credential (
  id           text primary key,
  user_id      text not null references identity."user" on delete cascade,
  project_id   text not null references identity.project on delete cascade,
  name         text not null,
  description  text,
  secret_hash  text not null,
  role_ids     text[] not null,
  unrestricted boolean not null default false,
  expires_at   timestamptz,
  unique (user_id, name)
);
create index application_credential_project on identity.application_credential (project_id);

create table identity.access_rule (
  id      text primary key,
  user_id text not null references identity."user" on delete cascade,
  service text not null,
  method  text not null,
  path    text not null,
  unique (user_id, service, method, path)
);

create table identity.application_credential_access_rule (
  application_credential_id text not null references identity.application_credential on delete cascade,
  access_rule_id            text not null references identity.access_rule,
  primary key (application_credential_id, access_rule_id)
);
create index application_credential_access_rule_rule on identity.application_credential_access_rule (access_rule_id);

create table identity.trust (
  id                   text primary key,
  trustor_user_id      text not null references identity."user" on delete cascade,
  trustee_user_id      text not null references identity."user" on delete cascade,
  project_id           text references identity.project on delete cascade,
  impersonation        boolean not null,
  role_ids             text[] not null,
  expires_at           timestamptz,
  remaining_uses       int check (remaining_uses >= 0),
  redelegation_count   int not null,
  redelegated_trust_id text references identity.trust on delete cascade,
  deleted_at           timestamptz
);
create unique index trust_once on identity.trust (trustor_user_id, trustee_user_id, project_id, impersonation, expires_at)
  where deleted_at is null;
create index trust_trustee on identity.trust (trustee_user_id);
create index trust_project on identity.trust (project_id);
create index trust_redelegated on identity.trust (redelegated_trust_id);

create table identity.credential_key (
  id         text primary key,
  sealed     bytea not null,
  created_at timestamptz not null default now()
);
alter table identity.credential
  add column key_id text references identity.credential_key,
  add column totp_step bigint;
create index credential_key_used on identity.credential (key_id);

create table identity.oauth_consumer (
  id          text primary key,
  description text,
  secret      bytea not null,
  extra       jsonb not null default '{}'
);

create table identity.oauth_request_token (
  id                   text primary key,
  consumer_id          text not null references identity.oauth_consumer on delete cascade,
  requested_project_id text not null references identity.project on delete cascade,
  secret               bytea not null,
  verifier             text,
  authorizing_user_id  text references identity."user" on delete cascade,
  role_ids             text[],
  expires_at           timestamptz not null
);
create index oauth_request_token_expiry on identity.oauth_request_token (expires_at);

create table identity.oauth_access_token (
  id                  text primary key,
  consumer_id         text not null references identity.oauth_consumer on delete cascade,
  authorizing_user_id text not null references identity."user" on delete cascade,
  project_id          text not null references identity.project on delete cascade,
  role_ids            text[] not null,
  secret              bytea not null,
  expires_at          timestamptz not null
);
create index oauth_access_token_user on identity.oauth_access_token (authorizing_user_id);
