-- THE schema: everything that Wisp remembers, in service order. One PostgreSQL schema per service, so that a decision that touches
-- several services is one transaction. migrations/ are the steps that led here; a test holds the two equal.
--
-- Conventions: ids are text (identity: 32 hex digits as Keystone's, else UUIDs), so that a malformed id is simply not found.
-- `generation` counts what control wants of a host; `revision` counts changes that clients see. Times are timestamptz.

create extension if not exists btree_gist;
create extension if not exists pg_trgm with schema public;

-- ─── wisp: the program's own bookkeeping ───────────────────────────────────────────────────────────────────────────────────────
create schema wisp;

create table wisp.migration (
  name       text primary key,
  checksum   text not null,
  applied_at timestamptz not null default now()
);

-- Facts about this cloud as a whole: its id, when it was first started.
create table wisp.fact (
  name  text primary key,
  value jsonb not null
);

-- ─── work: how a wish is carried through crashes ───────────────────────────────────────────────────────────────────────────────
create schema work;

-- The only queue. A key says "look at this object again"; taken with `for update skip locked` under a lease, fenced by (owner, tries).
create table work.due (
  kind        text not null,
  key         text not null,
  at          timestamptz not null default now(),
  lease_until timestamptz,
  owner       text,
  tries       bigint not null default 0,   -- rises at every take and every poke: the fence
  failures    int not null default 0,      -- unknown errors in a row: the backoff, and what the operator's list shows
  last_error  text,
  since       timestamptz not null default now(),
  primary key (kind, key)
);
create index due_at on work.due (at);

-- ─── wire: what control tells hosts, and what hosts tell control ───────────────────────────────────────────────────────────────
create schema wire;

create table wire.host (
  id          text primary key,
  name        text not null unique,
  secret_hash bytea not null,               -- sha256 of the bearer secret that the host got when it joined
  rev         bigint not null default 0,    -- this host's revision: raised under this row's lock, so order = commit order
  machine_id  text,                         -- of the machine that said hello; another machine with the same name is refused
  boot_id     text,
  hello       jsonb not null default '{}',  -- capabilities and inventory as the agent reported them
  joined_at   timestamptz not null default now(),
  seen_at     timestamptz                   -- renewed in one statement for all hosts connected to a controller
);

create table wire.join_token (
  hash       bytea primary key,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at    timestamptz,
  host_id    text references wire.host on delete set null
);

-- What a host shall make true. Whole documents; body null = it shall be gone (kept until the host has reported it gone).
create table wire.document (
  host_id    text not null references wire.host on delete cascade,
  kind       text not null,
  id         text not null,
  rev        bigint not null,
  generation bigint not null,
  body       jsonb,
  request_id text,                          -- of the request that led to it, for the host's log
  primary key (host_id, kind, id)
);
create index document_rev on wire.document (host_id, rev);
create index document_id on wire.document (kind, id);

-- What a host reported; written only through the wire, by that host.
create table wire.observed (
  host_id    text not null references wire.host on delete cascade,
  kind       text not null,
  id         text not null,
  generation bigint not null,
  state      jsonb not null,
  at         timestamptz not null default now(),
  primary key (host_id, kind, id)
);
create index observed_id on wire.observed (kind, id);

-- The few questions to a host and their answers. Any controller may ask, and any may receive the answer; lost in a crash, then asked again.
create unlogged table wire.question (
  id          text primary key,
  host_id     text not null,
  question    jsonb not null,
  deadline    timestamptz not null,
  status      int,                          -- of the answer, as in HTTP; null = not answered yet
  answer      jsonb,
  answered_at timestamptz
);
create index question_host on wire.question (host_id) where answered_at is null;

-- ─── identity (Keystone) ───────────────────────────────────────────────────────────────────────────────────────────────────────
create schema identity;

-- A domain is a project that acts as one (is_domain), as in Keystone: then domain_id is null and parent_id too.
create table identity.project (
  id          text primary key,
  name        text not null,
  domain_id   text references identity.project,
  parent_id   text references identity.project,
  is_domain   boolean not null default false,
  enabled     boolean not null default true,
  description text not null default '',
  tags        text[] not null default '{}',
  options     jsonb not null default '{}',
  extra       jsonb not null default '{}',
  created_at  timestamptz not null default now(),
  lives       bigint not null default 0,    -- how often it was disabled: tokens bear the number, so those from before stay void
  check (is_domain = (domain_id is null))
);
create unique index project_name on identity.project (domain_id, name) where not is_domain;
create unique index domain_name on identity.project (name) where is_domain;
create index project_parent on identity.project (parent_id);
create index project_named on identity.project (name);

create table identity."user" (
  id                 text primary key,
  domain_id          text not null references identity.project,
  name               text not null,
  enabled            boolean not null default true,
  description        text,
  email              text,
  default_project_id text,
  options            jsonb not null default '{}',
  extra              jsonb not null default '{}',
  created_at         timestamptz not null default now(),
  last_active_at     timestamptz,
  failed_auth_count  int not null default 0,
  failed_auth_at     timestamptz,
  tokens_valid_from  timestamptz not null default 'epoch',   -- tokens issued before are void: password changed, user disabled
  shadow             boolean not null default false          -- exists only because an identity provider sent it; then its name need not be unique
);
create unique index user_name on identity."user" (domain_id, name) where not shadow;
create index user_shadow_name on identity."user" (domain_id, name) where shadow;
create index user_named on identity."user" (name);
create index user_name_part on identity."user" using gin (name public.gin_trgm_ops);   -- for name__contains
create index user_default_project on identity."user" (default_project_id) where default_project_id is not null;

-- The newest row is the password; older ones are its history.
create table identity.password (
  id           bigint generated always as identity primary key,
  user_id      text not null references identity."user" on delete cascade,
  hash         text not null,               -- PHC string, argon2id; or one of Keystone's (bcrypt, scrypt, pbkdf2) until the next sign-in
  created_at   timestamptz not null default now(),
  expires_at   timestamptz,
  self_service boolean not null default false   -- set by the user; minimum_password_age holds only for these
);
create index password_user on identity.password (user_id, id desc);
create index password_expires on identity.password (expires_at) where expires_at is not null;

create table identity."group" (
  id          text primary key,
  domain_id   text not null references identity.project,
  name        text not null,
  description text not null default '',
  extra       jsonb not null default '{}',
  unique (domain_id, name)
);
create index group_named on identity."group" (name);

create table identity.group_member (
  group_id   text not null references identity."group" on delete cascade,
  user_id    text not null references identity."user" on delete cascade,
  expires_at timestamptz,                   -- of a membership that an identity provider vouched for; null = until somebody takes it away
  primary key (group_id, user_id)
);
create index group_member_user on identity.group_member (user_id);
create index group_member_expires on identity.group_member (expires_at) where expires_at is not null;

create table identity.role (
  id          text primary key,
  name        text not null,
  domain_id   text references identity.project,
  description text,
  options     jsonb not null default '{}',
  extra       jsonb not null default '{}'
);
create unique index role_name on identity.role (coalesce(domain_id, ''), name);

create table identity.implied_role (
  prior_role_id   text not null references identity.role on delete cascade,
  implied_role_id text not null references identity.role on delete cascade,
  primary key (prior_role_id, implied_role_id)
);

create table identity.assignment (
  actor_type  text not null check (actor_type in ('user', 'group')),
  actor_id    text not null,
  target_type text not null check (target_type in ('project', 'domain', 'system')),
  target_id   text not null,                -- 'all' for the system
  role_id     text not null references identity.role on delete cascade,
  inherited   boolean not null default false,
  primary key (actor_id, target_id, role_id, inherited, actor_type, target_type)
);
create index assignment_target on identity.assignment (target_type, target_id);
create index assignment_role on identity.assignment (role_id);

create table identity.region (
  id               text primary key,
  parent_region_id text references identity.region,
  description      text not null default '',
  extra            jsonb not null default '{}'
);

create table identity.service (
  id          text primary key,
  type        text not null,
  name        text,
  description text,
  enabled     boolean not null default true,
  extra       jsonb not null default '{}'
);

-- `url` may carry $(public_url)s, replaced by the address at which the client reached us.
create table identity.endpoint (
  id         text primary key,
  service_id text not null references identity.service on delete cascade,
  region_id  text references identity.region,
  interface  text not null check (interface in ('public', 'internal', 'admin')),
  url        text not null,
  enabled    boolean not null default true,
  extra      jsonb not null default '{}'
);

-- Keys that seal tokens, themselves sealed by the key file of the data directory. The newest seals, all of them open.
create table identity.token_key (
  id         text primary key,
  sealed     bytea not null,
  created_at timestamptz not null default now()
);

-- One revoked token (audit_id) or a whole chain of them (chain). Forgotten when no token that it voids could still be valid.
create table identity.revocation (
  audit_id   text primary key,
  chain      boolean not null default false,
  revision   bigint not null,               -- epoch.revocations after this one: controllers read only what is newer than what they know
  revoked_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index revocation_revision on identity.revocation (revision);

-- `value` rises with every change that can alter what a token may do; controllers keep what they know of users and roles in memory until
-- it does. `revocations` rises with each revoked token. Raised under this row's lock, so order = commit order.
create table identity.epoch (
  only_row    boolean primary key default true check (only_row),
  value       bigint not null default 1,
  revocations bigint not null default 0
);
insert into identity.epoch default values;

-- Keys that seal the blobs of credentials, themselves sealed by the key file of the data directory; the newest seals.
create table identity.credential_key (
  id         text primary key,
  sealed     bytea not null,
  created_at timestamptz not null default now()
);

-- What users keep at Keystone for other services (EC2 keys and the like), and the secrets of one-time passwords.
create table identity.credential (
  id         text primary key,
  user_id    text not null references identity."user" on delete cascade,
  project_id text,
  type       text not null,
  blob       bytea not null,
  extra      jsonb not null default '{}',
  key_id     text references identity.credential_key,   -- null: sealed by the key file itself, as it was before there were keys
  totp_step  bigint                         -- the last step of time whose passcode was used: none is good twice
);
create index credential_user on identity.credential (user_id);
create index credential_key_used on identity.credential (key_id);

-- Some of a user's roles in one project, for a program to use; those of them that the user still has.
create table identity.application_credential (
  id           text primary key,
  user_id      text not null references identity."user" on delete cascade,
  project_id   text not null references identity.project on delete cascade,
  name         text not null,
  description  text,
  secret_hash  text not null,               -- as a password's
  role_ids     text[] not null,
  unrestricted boolean not null default false,   -- whether it may make and delete others
  expires_at   timestamptz,
  unique (user_id, name)
);
create index application_credential_project on identity.application_credential (project_id);

-- The requests that application credentials may make; one that has none may make all.
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

-- The trustor lends roles in a project to the trustee, who may lend them on while redelegation_count allows. As long as the first trustor
-- has them, and no trust on the way is gone.
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

-- OAuth1: programs (consumers) ask for a token, a user authorizes it with some roles, and the program exchanges it. Secrets are sealed.
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
  verifier             text,                -- this and the next two: once it is authorized
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

-- Policy documents that operators store for other services (a v3 API of old; nothing here reads them).
create table identity.policy (
  id    text primary key,
  type  text not null,
  blob  text not null,
  extra jsonb not null default '{}'
);

-- Endpoint filters (OS-EP-FILTER): a project with any endpoint of its own here, by itself or by a group, sees no others in its catalog.
create table identity.endpoint_group (
  id          text primary key,
  name        text not null,
  description text,
  filters     jsonb not null                -- {service_id?, region_id?, interface?, enabled?}: an endpoint that equals all of them belongs to it
);

create table identity.project_endpoint (
  project_id  text not null references identity.project on delete cascade,
  endpoint_id text not null references identity.endpoint on delete cascade,
  primary key (project_id, endpoint_id)
);
create index project_endpoint_endpoint on identity.project_endpoint (endpoint_id);

create table identity.project_endpoint_group (
  project_id        text not null references identity.project on delete cascade,
  endpoint_group_id text not null references identity.endpoint_group on delete cascade,
  primary key (project_id, endpoint_group_id)
);
create index project_endpoint_group_group on identity.project_endpoint_group (endpoint_group_id);

-- Which policy document is for which endpoint (OS-ENDPOINT-POLICY): named itself, by its service, or by its service in a region.
create table identity.policy_association (
  policy_id   text not null references identity.policy on delete cascade,
  endpoint_id text references identity.endpoint on delete cascade,
  service_id  text references identity.service on delete cascade,
  region_id   text references identity.region on delete cascade,
  check ((endpoint_id is null) <> (service_id is null) and (region_id is null or service_id is not null)),
  unique nulls not distinct (endpoint_id, service_id, region_id)
);
create index policy_association_policy on identity.policy_association (policy_id);

-- Unified limits: what everybody may have of a service's resource (registered_limit), and what one project or domain may have instead.
create table identity.registered_limit (
  id            text primary key,
  service_id    text not null references identity.service on delete cascade,
  region_id     text references identity.region on delete cascade,
  resource_name text not null,
  default_limit int not null check (default_limit >= -1),
  description   text,
  unique nulls not distinct (service_id, region_id, resource_name)
);

create table identity."limit" (
  id                  text primary key,
  registered_limit_id text not null references identity.registered_limit on delete cascade,
  project_id          text references identity.project on delete cascade,
  domain_id           text references identity.project on delete cascade,
  resource_limit      int not null check (resource_limit >= -1),
  description         text,
  check ((project_id is null) <> (domain_id is null)),
  unique nulls not distinct (registered_limit_id, project_id, domain_id)
);
create index limit_project on identity."limit" (project_id);
create index limit_domain on identity."limit" (domain_id);

-- Users and groups that come from a domain's directory (LDAP), and as what they are known here. public_id is made of the other three, so that
-- it is the same in every cloud that has this directory under this domain's id.
create table identity.id_mapping (
  public_id   text primary key,
  domain_id   text not null references identity.project on delete cascade,
  entity_type text not null check (entity_type in ('user', 'group')),
  local_id    text not null,
  unique (domain_id, entity_type, local_id)
);

-- How much each project has of what services count, raised and lowered in the transactions that make and delete things: no count to repair,
-- and a check costs the same with ten things and ten thousand. Whoever changes a row holds its lock until commit, so none is counted twice.
create table identity.usage (
  project_id text not null,
  service    text not null,                 -- the type of the service, as in the catalog
  resource   text not null,
  used       bigint not null default 0,     -- no check (>= 0): it would refuse the row that an upsert proposes, before that is added up
  primary key (project_id, service, resource)
);

-- A row that counts for one in its project's quota: what service and resource, the trigger says.
create function identity.count_row() returns trigger language plpgsql as $$
begin
  insert into identity.usage as u (project_id, service, resource, used)
  select project_id, tg_argv[0], tg_argv[1], sum(amount)
  from (values (new.project_id, 1), (old.project_id, -1)) as changes(project_id, amount)
  where project_id is not null
  group by project_id having sum(amount) <> 0
  order by project_id
  on conflict (project_id, service, resource) do update set used = u.used + excluded.used;
  return null;
end
$$;

-- The limits that services keep by APIs of their own (Nova's quota sets, Neutron's quotas), resources under the names of unified limits.
create table identity.quota (
  service    text not null,
  project_id text not null,                 -- 'default' = every project that has none of its own
  user_id    text not null default '',      -- '' = the project as a whole
  resource   text not null,
  hard_limit int not null,
  primary key (project_id, service, resource, user_id)
);

-- What is set for one domain where it differs from the cloud: where its users come from, above all. A sensitive value is only in `sealed`.
create table identity.domain_config (
  domain_id text not null references identity.project on delete cascade,
  "group"   text not null,
  "option"  text not null,
  value     jsonb,
  sealed    bytea,
  check ((value is null) <> (sealed is null)),
  primary key (domain_id, "group", "option")
);

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

-- ─── image (Glance) ────────────────────────────────────────────────────────────────────────────────────────────────────────────
create schema image;

create table image.image (
  id               text primary key,
  owner            text not null,
  name             text,
  status           text not null default 'queued' check (
    status in ('queued', 'saving', 'uploading', 'importing', 'active', 'deactivated', 'killed')),
  visibility       text not null default 'shared' check (visibility in ('public', 'private', 'shared', 'community')),
  container_format text,
  disk_format      text,
  min_disk         int not null default 0,
  min_ram          int not null default 0,
  protected        boolean not null default false,
  os_hidden        boolean not null default false,
  size             bigint,
  virtual_size     bigint,
  checksum         text,                    -- md5, as clients expect
  os_hash_algo     text,
  os_hash_value    text,
  tags             text[] not null default '{}',
  properties       jsonb not null default '{}',
  locations        jsonb not null default '[]', -- where the data is: [{store, data | url, metadata}]; `data` names a row of image.data
  upload           text,                    -- the upload under way
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now()
);
create index image_owner on image.image (owner);
create index image_created on image.image (created_at, id);
create index image_locations on image.image using gin (locations jsonb_path_ops);

-- Bits in a store, under the key `id`. Images with the same bits in the same store share them; when the last one goes, so do they.
create table image.data (
  id            text primary key,
  store         text not null,
  size          bigint not null,
  os_hash_algo  text not null,
  os_hash_value text not null,
  created_at    timestamptz not null default now()
);
create index data_content on image.data (os_hash_value);

create table image.member (
  image_id   text not null references image.image on delete cascade,
  member_id  text not null,
  status     text not null default 'pending' check (status in ('pending', 'accepted', 'rejected')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (image_id, member_id)
);
create index member_id on image.member (member_id);

-- Bits that no image names (yet, or any more), by their key in the store; work on the key 'image-data' removes them.
create table image.leftover (
  upload     text primary key,
  since      timestamptz not null default now(), -- renewed while they are being written; 'epoch' = to be removed
  store      text not null default 'file'
);

-- What administrators want in the caches of hosts before a server asks for it; hosts have a document 'image' for each.
create table image.prefetch (
  image_id  text not null references image.image on delete cascade,
  host_id   text references wire.host on delete cascade, -- null = every host, also one that joins later
  queued_at timestamptz not null default now(),
  unique nulls not distinct (image_id, host_id)
);

-- Data in the staging area: what a client has put there, or an import has fetched, until it lies in a store. Each has a due key
-- 'image-staged'; the row outlives its image until the file is gone, so image_id is no reference.
create table image.staged (
  file       text primary key,              -- its name in the staging area
  image_id   text not null,
  complete   boolean not null default false,
  size       bigint not null default 0,     -- of what is there for certain, in pieces also while it grows
  since      timestamptz not null default now(), -- renewed while bytes arrive
  total      bigint,                        -- of what comes in pieces (control/staging-pieces.ts); null = it comes in one
  writer     text                           -- the request that brings a piece
);
create index staged_image on image.staged (image_id);

-- Imports, step by step. `phase` says what is to be done next; `worker` does it and renews `heard_at`; where nothing is heard any more,
-- the next one takes the phase up again.
create table image.task (
  id         text primary key,
  type       text not null check (type in ('api_image_import', 'import', 'location_import')),
  status     text not null default 'pending' check (status in ('pending', 'processing', 'success', 'failure')),
  owner      text not null,
  user_id    text not null,
  request_id text not null,
  image_id   text,                          -- no reference: a task tells of its image even when that is gone
  input      jsonb not null default '{}',   -- as shown: the request, without secrets
  result     jsonb,
  message    text not null default '',
  phase      text not null default 'fetch' check (phase in ('fetch', 'prepare', 'store', 'end')),
  method     text not null,                 -- glance-direct, web-download, glance-download or copy-image
  every      boolean not null default true, -- all_stores_must_succeed
  file       text,                          -- of the staging area
  stores     text[] not null default '{}',  -- those that do not have the data yet, in order
  failed     text[] not null default '{}',  -- those that could not take it
  secret     bytea,                         -- sealed: what a fetch needs to be let in elsewhere; gone when the task ends
  worker     text,
  heard_at   timestamptz,
  expires_at timestamptz,                   -- when the ended task is forgotten
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index task_image on image.task (image_id);
create index task_created on image.task (created_at, id);

-- Metadata definitions: what properties mean, in which namespace, and to what kinds of resources they apply.
create table image.metadef_namespace (
  id           text primary key,
  namespace    text not null unique,
  display_name text,
  description  text,
  visibility   text not null default 'private' check (visibility in ('public', 'private')),
  protected    boolean not null default false,
  owner        text not null,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now()
);

create table image.metadef_object (
  namespace_id text not null references image.metadef_namespace on delete cascade,
  name         text not null,
  description  text,
  required     jsonb,                       -- names of properties
  properties   jsonb not null default '{}', -- schemas by name
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  primary key (namespace_id, name)
);

create table image.metadef_property (
  namespace_id text not null references image.metadef_namespace on delete cascade,
  name         text not null,
  schema       jsonb not null,              -- without the name
  primary key (namespace_id, name)
);

create table image.metadef_tag (
  namespace_id text not null references image.metadef_namespace on delete cascade,
  name         text not null,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  primary key (namespace_id, name)
);

create table image.metadef_resource_type (
  name       text primary key,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table image.metadef_association (
  namespace_id      text not null references image.metadef_namespace on delete cascade,
  resource_type     text not null references image.metadef_resource_type,
  prefix            text,
  properties_target text,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  primary key (namespace_id, resource_type)
);
create index association_resource_type on image.metadef_association (resource_type);
-- What an image counts for in its owner's quota. By trigger, so that no statement that changes an image can forget it.
create function image.counted(status text, size bigint, out resource text, out amount bigint) returns setof record
language sql immutable as $$
  values
    ('image_count_total', 1::bigint),
    ('image_count_uploading', (status in ('saving', 'uploading', 'importing'))::int::bigint),
    ('image_size_total', case when status in ('active', 'deactivated') then coalesce(size, 0) else 0 end),
    ('image_stage_total', case when status in ('uploading', 'importing') then coalesce(size, 0) else 0 end)
$$;

create function image.count_usage() returns trigger language plpgsql as $$
begin
  insert into identity.usage as u (project_id, service, resource, used)
  select owner, 'image', resource, sum(amount)
  from (
    select new.owner as owner, c.resource, c.amount from image.counted(new.status, new.size) c where tg_op <> 'DELETE'
    union all
    select old.owner, c.resource, -c.amount from image.counted(old.status, old.size) c where tg_op <> 'INSERT'
  ) changes
  group by owner, resource having sum(amount) <> 0
  order by owner, resource
  on conflict (project_id, service, resource) do update set used = u.used + excluded.used;
  return null;
end
$$;

create trigger image_counts after insert or delete or update of owner, status, size on image.image
  for each row execute function image.count_usage();

-- ─── placement ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
create schema placement;

create table placement.provider (
  id         text primary key,
  name       text not null unique,
  generation bigint not null default 0,
  parent_id  text references placement.provider,
  root_id    text not null
);
create index provider_root on placement.provider (root_id);

create table placement.resource_class (
  name text primary key
);
-- The standard classes (os-resource-classes); what operators add begins with CUSTOM_.
insert into placement.resource_class (name) values
  ('VCPU'), ('MEMORY_MB'), ('DISK_GB'), ('PCI_DEVICE'), ('SRIOV_NET_VF'), ('NUMA_SOCKET'), ('NUMA_CORE'), ('NUMA_THREAD'),
  ('NUMA_MEMORY_MB'), ('IPV4_ADDRESS'), ('VGPU'), ('VGPU_DISPLAY_HEAD'), ('NET_BW_EGR_KILOBIT_PER_SEC'), ('NET_BW_IGR_KILOBIT_PER_SEC'),
  ('PCPU'), ('MEM_ENCRYPTION_CONTEXT'), ('FPGA'), ('PGPU'), ('NET_PACKET_RATE_KILOPACKET_PER_SEC'),
  ('NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC'), ('NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC');

-- `used` is the sum of the allocations against this row, kept by the one function that claims and releases; the row lock orders claims.
create table placement.inventory (
  provider_id      text not null references placement.provider on delete cascade,
  resource_class   text not null references placement.resource_class,
  total            bigint not null check (total > 0),
  reserved         bigint not null default 0,
  min_unit         bigint not null default 1,
  max_unit         bigint not null default 2147483647,
  step_size        bigint not null default 1,
  allocation_ratio double precision not null default 1,
  used             bigint not null default 0 check (used >= 0),
  primary key (provider_id, resource_class)
);

create table placement.trait (
  name text primary key
);

create table placement.provider_trait (
  provider_id text not null references placement.provider on delete cascade,
  trait       text not null references placement.trait,
  primary key (provider_id, trait)
);

create table placement.provider_aggregate (
  provider_id  text not null references placement.provider on delete cascade,
  aggregate_id text not null,
  primary key (provider_id, aggregate_id)
);

create table placement.consumer (
  id         text primary key,
  project_id text not null,
  user_id    text not null,
  type       text,
  generation bigint not null default 0
);

create table placement.allocation (
  consumer_id    text not null references placement.consumer on delete cascade,
  provider_id    text not null,
  resource_class text not null,
  used           bigint not null check (used > 0),
  primary key (consumer_id, provider_id, resource_class),
  foreign key (provider_id, resource_class) references placement.inventory
);
create index allocation_provider on placement.allocation (provider_id, resource_class);

-- ─── network (Neutron) ─────────────────────────────────────────────────────────────────────────────────────────────────────────
create schema network;

create table network.network (
  id                    text primary key,
  project_id            text not null,
  name                  text not null default '',
  description           text not null default '',
  admin_state_up        boolean not null default true,
  shared                boolean not null default false,
  external              boolean not null default false,
  is_default            boolean not null default false,
  port_security_enabled boolean not null default true,
  mtu                   int not null,
  network_type          text not null check (network_type in ('local', 'flat', 'vlan', 'vxlan')),
  physical_network      text,
  segmentation_id       int,
  dns_domain            text not null default '',
  tags                  text[] not null default '{}',
  generation            bigint not null default 1,
  revision              int not null default 1,
  created_at            timestamptz not null default now(),
  updated_at            timestamptz not null default now()
);
create index network_project on network.network (project_id);
create unique index network_segment on network.network (network_type, coalesce(physical_network, ''), coalesce(segmentation_id, 0))
  where network_type <> 'local';

create table network.subnet (
  id                text primary key,
  network_id        text not null references network.network on delete cascade,
  project_id        text not null,
  name              text not null default '',
  description       text not null default '',
  ip_version        smallint not null check (ip_version in (4, 6)),
  cidr              cidr not null,
  gateway_ip        inet,
  enable_dhcp       boolean not null default true,
  ipv6_ra_mode      text,
  ipv6_address_mode text,
  dns_nameservers   text[] not null default '{}',
  host_routes       jsonb not null default '[]',
  service_types     text[] not null default '{}',
  dns_publish_fixed_ip boolean not null default false,
  tags              text[] not null default '{}',
  revision          int not null default 1,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  constraint subnet_overlap exclude using gist (network_id with =, cidr inet_ops with &&)
);
create index subnet_network on network.subnet (network_id);
create index subnet_project on network.subnet (project_id);

create table network.allocation_pool (
  subnet_id text not null references network.subnet on delete cascade,
  first_ip  inet not null,
  last_ip   inet not null,
  primary key (subnet_id, first_ip)
);

create table network.port (
  id                    text primary key,
  network_id            text not null references network.network,
  project_id            text not null,
  name                  text not null default '',
  description           text not null default '',
  mac_address           text not null,
  admin_state_up        boolean not null default true,
  status                text not null default 'DOWN' check (status in ('DOWN', 'BUILD', 'ACTIVE', 'ERROR', 'N/A')),
  device_id             text not null default '',
  device_owner          text not null default '',
  device_index          int not null default 0,         -- the NIC's place in its server
  device_tag            text,                           -- the tag that the user gave the NIC
  with_server           boolean not null default false, -- made for its server by compute: deleted with it
  host                  text not null default '',       -- binding:host_id as asked for; the document goes to this host
  vnic_type             text not null default 'normal',
  binding_profile       jsonb not null default '{}',
  port_security_enabled boolean not null default true,
  allowed_address_pairs jsonb not null default '[]',
  extra_dhcp_opts       jsonb not null default '[]',
  dns_name              text not null default '',
  tags                  text[] not null default '{}',
  generation            bigint not null default 1,
  revision              int not null default 1,
  created_at            timestamptz not null default now(),
  updated_at            timestamptz not null default now(),
  unique (network_id, mac_address)
);
create index port_project on network.port (project_id);
create index port_device on network.port (device_id) where device_id <> '';
create index port_host on network.port (host, network_id) where host <> '';
create unique index port_dhcp on network.port (network_id) where device_owner = 'network:dhcp' and device_id = 'dhcp-' || network_id;

-- The addresses of ports. The primary key is what makes two ports with one address impossible.
create table network.fixed_ip (
  subnet_id text not null references network.subnet,
  ip        inet not null,
  port_id   text not null references network.port on delete cascade,
  position  int not null default 0,
  primary key (subnet_id, ip)
);
create index fixed_ip_port on network.fixed_ip (port_id);

create table network.security_group (
  id          text primary key,
  project_id  text not null,
  name        text not null,
  description text not null default '',
  stateful    boolean not null default true,
  is_default  boolean not null default false,
  tags        text[] not null default '{}',
  generation  bigint not null default 1,
  revision    int not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);
create index security_group_project on network.security_group (project_id);
create unique index security_group_default on network.security_group (project_id) where is_default;

create table network.security_group_rule (
  id                text primary key,
  security_group_id text not null references network.security_group on delete cascade,
  project_id        text not null,
  direction         text not null check (direction in ('ingress', 'egress')),
  ethertype         text not null check (ethertype in ('IPv4', 'IPv6')),
  protocol          text,
  port_range_min    int,
  port_range_max    int,
  remote_ip_prefix  cidr,
  remote_group_id   text references network.security_group on delete cascade,
  description       text not null default '',
  revision          int not null default 1,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now()
);
create index security_group_rule_group on network.security_group_rule (security_group_id);
create index security_group_rule_remote on network.security_group_rule (remote_group_id) where remote_group_id is not null;

create table network.port_security_group (
  port_id           text not null references network.port on delete cascade,
  security_group_id text not null references network.security_group,
  primary key (port_id, security_group_id)
);
create index port_security_group_group on network.port_security_group (security_group_id);

create trigger network_counts after insert or delete or update of project_id on network.network
  for each row execute function identity.count_row('network', 'network');
create trigger subnet_counts after insert or delete or update of project_id on network.subnet
  for each row execute function identity.count_row('network', 'subnet');
create trigger port_counts after insert or delete or update of project_id on network.port
  for each row execute function identity.count_row('network', 'port');
create trigger security_group_counts after insert or delete or update of project_id on network.security_group
  for each row execute function identity.count_row('network', 'security_group');
create trigger security_group_rule_counts after insert or delete or update of project_id on network.security_group_rule
  for each row execute function identity.count_row('network', 'security_group_rule');

-- ─── compute (Nova) ────────────────────────────────────────────────────────────────────────────────────────────────────────────
create schema compute;

create table compute.flavor (
  id            text primary key,           -- what Nova calls flavorid
  name          text not null unique,
  description   text,
  memory_mb     int not null,
  vcpus         int not null,
  root_gb       int not null default 0,
  ephemeral_gb  int not null default 0,
  swap_mb       int not null default 0,
  rxtx_factor   double precision not null default 1,
  is_public     boolean not null default true,
  disabled      boolean not null default false,
  extra_specs   jsonb not null default '{}',
  created_at    timestamptz not null default now()
);

create table compute.flavor_access (
  flavor_id  text not null references compute.flavor on delete cascade,
  project_id text not null,
  primary key (flavor_id, project_id)
);

create table compute.keypair (
  id          bigint generated always as identity,
  user_id     text not null,
  name        text not null,
  type        text not null default 'ssh' check (type in ('ssh', 'x509')),
  public_key  text not null,
  fingerprint text not null,
  created_at  timestamptz not null default now(),
  primary key (user_id, name)
);

-- The compute service on a host, as an operator sees and switches it.
create table compute.service (
  id              text primary key,
  host            text not null unique,     -- wire.host.name
  disabled        boolean not null default false,
  disabled_reason text,
  forced_down     boolean not null default false,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz
);

create table compute.server (
  id               text primary key,
  project_id       text not null,
  user_id          text not null,
  name             text not null,
  hostname         text not null,
  description      text,
  -- what was asked for
  flavor           jsonb not null,          -- the flavor as it was: {id, name, memory_mb, vcpus, root_gb, ephemeral_gb, swap_mb, extra_specs}
  image_id         text,
  image            jsonb not null default '{}',   -- {name, disk_format, container_format, min_disk, size, os_hash_algo, os_hash_value, properties}
  key_name         text,
  key_data         text,
  user_data        text,                    -- base64, as given
  config_drive     boolean not null default false,
  metadata         jsonb not null default '{}',
  tags             text[] not null default '{}',
  access_ip_v4     text not null default '',
  access_ip_v6     text not null default '',
  availability_zone text,                   -- as asked for
  scheduler_hints  jsonb not null default '{}',
  security_groups  text[] not null default '{}',
  reservation_id   text not null,
  launch_index     int not null default 0,
  locked_by        text check (locked_by in ('owner', 'admin')),
  locked_reason    text,
  -- what is wanted now (written by the API and the ladder only)
  wanted           text not null default 'active' check (wanted in ('active', 'stopped', 'paused', 'suspended', 'gone')),
  starts           int not null default 1,          -- how many starts were ordered: a guest that powered itself off stays off until this rises
  reboots          int not null default 0,          -- how many reboots were asked for; the host performs up to this number
  reboot_type      text not null default 'SOFT' check (reboot_type in ('SOFT', 'HARD')),
  host             text,                            -- wire.host.name, once placed
  requested_host   text,                            -- the only host that may carry it (az:host, or `host` since 2.74)
  tried            jsonb not null default '[]',     -- hosts that could not start it: [{host, message}]
  generation       bigint not null default 1,       -- of the document that the host shall realise
  -- what follows from wanted and observed: computed by one pure function, kept here so that lists can filter by it
  vm_state         text not null default 'building',
  task_state       text,
  power_state      smallint not null default 0,     -- Nova's numbers: 0 NOSTATE 1 RUNNING 3 PAUSED 4 SHUTDOWN 6 CRASHED 7 SUSPENDED
  fault            jsonb,                           -- {code, message, details, created}
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  launched_at      timestamptz,
  terminated_at    timestamptz
);
create index server_project on compute.server (project_id, created_at desc, id);
create index server_created on compute.server (created_at desc, id);
create index server_host on compute.server (host) where host is not null;

-- What was done to a server, and by whom: os-instance-actions. Outlives the server.
create table compute.server_action (
  id          bigint generated always as identity primary key,
  server_id   text not null,
  project_id  text not null,
  user_id     text not null,
  request_id  text not null,
  action      text not null,
  message     text,
  started_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  finished_at timestamptz
);
create index server_action_server on compute.server_action (server_id, id desc);

create table compute.server_event (
  id          bigint generated always as identity primary key,
  action_id   bigint not null references compute.server_action on delete cascade,
  event       text not null,
  host        text,
  started_at  timestamptz not null default now(),
  finished_at timestamptz,
  result      text,
  details     text
);
create index server_event_action on compute.server_event (action_id);

create table compute.server_group (
  id         text primary key,
  project_id text not null,
  user_id    text not null,
  name       text not null,
  policy     text not null,
  rules      jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table compute.server_group_member (
  group_id  text not null references compute.server_group on delete cascade,
  server_id text not null,
  primary key (group_id, server_id)
);
create index server_group_member_server on compute.server_group_member (server_id);

-- One-time tickets for a console: the token itself is never kept.
create table compute.console_token (
  hash       bytea primary key,
  server_id  text not null references compute.server on delete cascade,
  protocol   text not null,
  type       text not null,
  expires_at timestamptz not null,
  used_at    timestamptz
);
create index console_token_server on compute.console_token (server_id);

-- What a server counts for in its project's quota, under the names that unified limits have for it.
create function compute.counted(flavor jsonb, out resource text, out amount bigint) returns setof record
language sql immutable as $$
  values
    ('servers', 1::bigint),
    ('class:VCPU', (flavor ->> 'vcpus')::bigint),
    ('class:MEMORY_MB', (flavor ->> 'memory_mb')::bigint),
    ('class:DISK_GB', (flavor ->> 'root_gb')::bigint + (flavor ->> 'ephemeral_gb')::bigint + ceil((flavor ->> 'swap_mb')::numeric / 1024)::bigint)
$$;

create function compute.count_usage() returns trigger language plpgsql as $$
begin
  insert into identity.usage as u (project_id, service, resource, used)
  select project_id, 'compute', resource, sum(amount)
  from (
    select new.project_id, c.resource, c.amount from compute.counted(new.flavor) c where tg_op <> 'DELETE'
    union all
    select old.project_id, c.resource, -c.amount from compute.counted(old.flavor) c where tg_op <> 'INSERT'
  ) changes
  group by project_id, resource having sum(amount) <> 0
  order by project_id, resource
  on conflict (project_id, service, resource) do update set used = u.used + excluded.used;
  return null;
end
$$;

create trigger server_counts after insert or delete or update of project_id, flavor on compute.server
  for each row execute function compute.count_usage();
