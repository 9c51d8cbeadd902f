create table image.data (
  id            text primary key,
  store         text not null,
  size          bigint not null,
  os_hash_algo  text not null,
  os_hash_value text not null,
  created_at    timestamptz not null default now()
);
create index data_content on image.data (os_hash_value);

alter table image.image add column locations jsonb not null default '[]';
create index image_locations on image.image using gin (locations jsonb_path_ops);
alter table image.leftover add column store text not null default 'file';

insert into image.data (id, store, size, os_hash_algo, os_hash_value)
  select upload, 'file', size, os_hash_algo, os_hash_value
  from image.image
  where status in ('active', 'deactivated') and upload is not null;
update image.image set upload = null,
  locations = jsonb_build_array(jsonb_build_object('store', 'file', 'data', upload, 'metadata', jsonb_build_object()))
  where status in ('active', 'deactivated') and upload is not null;

create table image.cached (
  image_id   text primary key references image.image on delete cascade,
  queued_at  timestamptz not null default now(),
  cached_at  timestamptz,
  hits       int not null default 0,
  read_at    timestamptz
);
