-- Federation: people whom other identity providers vouch for, and clouds to which this one vouches for its own.

-- A user that only exists because an identity provider sent it; its name is what the provider says, and need not be unique.
alter table identity."user" add column shadow boolean not null default false;
alter table identity."user" drop constraint user_domain_id_name_key;
create unique index user_name on identity."user" (domain_id, name) where not shadow;
create index user_shadow_name on identity."user" (domain_id, name) where shadow;

-- A membership that an identity provider vouched for lasts until then; null = until somebody takes it away.
alter table identity.group_member add column expires_at timestamptz;
create index group_member_expires on identity.group_member (expires_at) where expires_at is not null;

-- Who vouches for people of another organisation, as Keystone's OS-FEDERATION has it.
create table identity.identity_provider (
  id                text primary key,
  domain_id         text not null references identity.project on delete cascade,   -- where its users live
  enabled           boolean not null default false,
  description       text,
  authorization_ttl int                     -- minutes that memberships given by the mapping outlive the token; null and 0 = not at all
);
create index identity_provider_domain on identity.identity_provider (domain_id);

-- The names (entity ids, issuers) under which a provider speaks; each belongs to one.
create table identity.identity_provider_remote_id (
  remote_id            text primary key,
  identity_provider_id text not null references identity.identity_provider on delete cascade
);
create index identity_provider_remote_id_provider on identity.identity_provider_remote_id (identity_provider_id);

-- Rules that turn what a provider says of somebody into a user, groups and projects (src/identity/control/federation/mapping.ts).
create table identity.mapping (
  id             text primary key,
  rules          jsonb not null,
  schema_version text not null
);

-- One way in: by this protocol from this provider, through this mapping. The mapping may be gone, as in Keystone; then nobody gets in.
create table identity.federation_protocol (
  identity_provider_id text not null references identity.identity_provider on delete cascade,
  id                   text not null,
  mapping_id           text not null,
  remote_id_attribute  text,
  primary key (identity_provider_id, id)
);

-- How Wisp itself talks to the provider. `origin` is fixed when the connection is made: what is meant for another address is refused.
create table identity.federation_connection (
  identity_provider_id text not null,
  protocol_id          text not null,
  type                 text not null check (type in ('openid', 'saml2')),
  origin               text not null,
  settings             jsonb not null,
  secret               bytea,               -- the client's secret at the provider, sealed as the token keys are
  primary key (identity_provider_id, protocol_id),
  foreign key (identity_provider_id, protocol_id) references identity.federation_protocol on delete cascade
);

-- Which user is meant by what a provider calls its users.
create table identity.federated_user (
  identity_provider_id text not null,
  protocol_id          text not null,
  unique_id            text not null,
  user_id              text not null references identity."user" on delete cascade,
  primary key (identity_provider_id, protocol_id, unique_id),
  foreign key (identity_provider_id, protocol_id) references identity.federation_protocol on delete cascade
);
create index federated_user_user on identity.federated_user (user_id);

-- What a federated token points to, so that it stays short: through whom its user came in, and the groups that the mapping gave them.
-- Shared by all who came by the same way into the same groups; gone with the protocol, and then their tokens are void.
create table identity.federated_context (
  id                   bigint generated always as identity primary key,
  identity_provider_id text not null,
  protocol_id          text not null,
  group_ids            text[] not null,
  digest               text not null,       -- of group_ids, sorted
  used_at              timestamptz not null default now(),
  unique (identity_provider_id, protocol_id, digest),
  foreign key (identity_provider_id, protocol_id) references identity.federation_protocol on delete cascade
);
create index federated_context_used on identity.federated_context (used_at);

-- Assertions that were used, so that none is used twice, and what they said where it is fetched by a second request (ECP).
create table identity.federation_note (
  id         text primary key,
  sealed     bytea,
  expires_at timestamptz not null
);
create index federation_note_expires on identity.federation_note (expires_at);

-- Clouds that take our word for our users (Keystone to Keystone).
create table identity.service_provider (
  id                 text primary key,
  auth_url           text not null,
  sp_url             text not null,
  description        text,
  enabled            boolean not null default false,
  relay_state_prefix text not null
);

-- The key with which this cloud signs assertions, sealed as the token keys are, and its certificate (PEM).
create table identity.saml_key (
  only_row    boolean primary key default true check (only_row),
  sealed      bytea not null,
  certificate text not null,
  created_at  timestamptz not null default now()
);
