-- Users and groups that come from LDAP.

-- Users and groups that come from a domain's directory (LDAP), and as what they are known here. public_id is made of the other three, so that
-- it is the same in every cloud that has this directory under this domain's id.
create table identity.id_mapping (
  public_id   text primary key,
  domain_id   text not null references identity.project on delete cascade,
  entity_type text not null check (entity_type in ('user', 'group')),
  local_id    text not null,
  unique (domain_id, entity_type, local_id)
);
