-- Endpoint filters, policies of single endpoints, unified limits, and the configuration of single domains.

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
