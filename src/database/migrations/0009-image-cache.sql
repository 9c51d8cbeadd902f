drop table image.cached;

create table image.prefetch (
  image_id  text not null references image.image on delete cascade,
  host_id   text references wire.host on delete cascade,
  queued_at timestamptz not null default now(),
  unique nulls not distinct (image_id, host_id)
);
