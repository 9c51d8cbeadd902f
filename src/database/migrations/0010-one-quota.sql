-- Quotas of compute and network move to where those of images are: one table of limits, one of usage, counted by triggers on the rows
-- themselves. A controller that is not upgraded yet refuses launches and quota sets until it is; nothing that it has done is lost.
create table identity.quota (
  service    text not null,
  project_id text not null,                 -- 'default' = every project that has none of its own
  user_id    text not null default '',      -- '' = the project as a whole
  resource   text not null,
  hard_limit int not null,
  primary key (project_id, service, resource, user_id)
);

insert into identity.quota (service, project_id, resource, hard_limit)
select 'compute', project_id, coalesce(known.name, quota.resource), hard_limit
from compute.quota left join (values
  ('instances', 'servers'), ('cores', 'class:VCPU'), ('ram', 'class:MEMORY_MB'), ('metadata_items', 'server_metadata_items'),
  ('injected_files', 'server_injected_files'), ('injected_file_content_bytes', 'server_injected_file_content_bytes'),
  ('injected_file_path_bytes', 'server_injected_file_path_bytes'), ('key_pairs', 'server_key_pairs')
) as known(resource, name) using (resource);

insert into identity.quota (service, project_id, resource, hard_limit) select 'network', project_id, resource, hard_limit from network.quota;

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

insert into identity.usage (project_id, service, resource, used)
select project_id, 'compute', c.resource, sum(c.amount) from compute.server s, compute.counted(s.flavor) c group by project_id, c.resource
union all select project_id, 'network', 'network', count(*) from network.network group by project_id
union all select project_id, 'network', 'subnet', count(*) from network.subnet group by project_id
union all select project_id, 'network', 'port', count(*) from network.port group by project_id
union all select project_id, 'network', 'security_group', count(*) from network.security_group group by project_id
union all select project_id, 'network', 'security_group_rule', count(*) from network.security_group_rule group by project_id;

drop table compute.usage;
drop table compute.quota;
drop table network.quota;
