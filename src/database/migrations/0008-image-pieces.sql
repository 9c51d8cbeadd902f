-- Data may be staged in pieces, which survive the connection that brought them.
alter table image.staged add column total bigint;
alter table image.staged add column writer text;
