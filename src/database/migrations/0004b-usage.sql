-- One count for all quotas, and images as the first that are counted in it.

-- How much each project has of what services count, raised and lowered in the transactions that make and delete things: no count to repair,
-- and a check costs the same with ten things and ten thousand. Whoever changes a row holds its lock until commit, so none is counted twice.
create table identity.usage (
  project_id text not null,
  service    text not null,                 -- the type of the service, as in the catalog
  resource   text not null,
  used       bigint not null default 0,     -- no check (>= 0): it would refuse the row that an upsert proposes, before that is added up
  primary key (project_id, service, resource)
);

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

insert into identity.usage (project_id, service, resource, used)
select owner, 'image', c.resource, sum(c.amount) from image.image i, image.counted(i.status, i.size) c group by owner, c.resource;
