-- Tokens of a project or domain that was disabled stay void when it is enabled again; passwords remember who set them.
alter table identity.project add column lives bigint not null default 0;
alter table identity.password add column self_service boolean not null default false;
