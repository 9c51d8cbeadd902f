alter table image.image drop constraint image_status_check;
alter table image.image add constraint image_status_check check (
  status in ('queued', 'saving', 'uploading', 'importing', 'active', 'deactivated', 'killed'));

create table image.staged (
  file       text primary key,
  image_id   text not null,
  complete   boolean not null default false,
  size       bigint not null default 0,
  since      timestamptz not null default now()
);
create index staged_image on image.staged (image_id);

create table image.task (
  id         text primary key,
  type       text not null check (type in ('api_image_import', 'import', 'location_import')),
  status     text not null default 'pending' check (status in ('pending', 'processing', 'success', 'failure')),
  owner      text not null,
  user_id    text not null,
  request_id text not null,
  image_id   text,
  input      jsonb not null default '{}',
  result     jsonb,
  message    text not null default '',
  phase      text not null default 'fetch' check (phase in ('fetch', 'prepare', 'store', 'end')),
  method     text not null,
  every      boolean not null default true,
  file       text,
  stores     text[] not null default '{}',
  failed     text[] not null default '{}',
  secret     bytea,
  worker     text,
  heard_at   timestamptz,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index task_image on image.task (image_id);
create index task_created on image.task (created_at, id);

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
  required     jsonb,
  properties   jsonb not null default '{}',
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  primary key (namespace_id, name)
);

create table image.metadef_property (
  namespace_id text not null references image.metadef_namespace on delete cascade,
  name         text not null,
  schema       jsonb not null,
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
