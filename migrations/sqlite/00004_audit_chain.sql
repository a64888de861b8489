-- +goose Up
-- The audit trail becomes append-only and hash-chained. One number, two texts: migrations/postgres/00004_audit_chain.sql.
-- Rows that were there before are linked like new ones, in the order of their ids.

-- One link per row of audit. Rows are linked after their commit (sqldb.AuditChainer), so that writers never wait for each other.
create table audit_chain (
  seq       integer primary key,      -- 1, 2, 3 … without a gap, given when the row is linked
  audit_id  integer not null unique,
  hash      text not null,            -- hex SHA-256 over the hash before it and all fields: sqldb.AuditLink
  linked_at timestamp not null
);

-- The last link. Who links rows holds this row in the transaction, so that there is one at a time.
create table audit_head (
  id   integer primary key check (id = 1),
  seq  integer not null,
  hash text not null
);
insert into audit_head (id, seq, hash) values (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Rows that are committed and not linked yet, put here by a trigger.
create table audit_pending (
  audit_id integer primary key
);
insert into audit_pending (audit_id) select id from audit;

create index audit_subject on audit (subject, id);

-- +goose StatementBegin
create trigger audit_enter after insert on audit begin
  insert into audit_pending (audit_id) values (new.id);
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_no_update before update on audit begin
  select raise(abort, 'the audit trail is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_no_delete before delete on audit begin
  select raise(abort, 'the audit trail is append-only');
end;
-- +goose StatementEnd
-- "insert or replace" deletes without firing delete triggers.
-- +goose StatementBegin
create trigger audit_no_replace before insert on audit when exists (select 1 from audit where id = new.id) begin
  select raise(abort, 'the audit trail is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_chain_no_update before update on audit_chain begin
  select raise(abort, 'the chain of the audit trail is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_chain_no_delete before delete on audit_chain begin
  select raise(abort, 'the chain of the audit trail is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_chain_no_replace before insert on audit_chain
when exists (select 1 from audit_chain where seq = new.seq or audit_id = new.audit_id) begin
  select raise(abort, 'the chain of the audit trail is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_head_forward before update on audit_head when new.id <> old.id or new.seq < old.seq or new.seq = old.seq and new.hash <> old.hash begin
  select raise(abort, 'the head of the audit trail only moves forward');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_head_no_delete before delete on audit_head begin
  select raise(abort, 'the head of the audit trail only moves forward');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_pending_linked before delete on audit_pending when not exists (select 1 from audit_chain where audit_id = old.audit_id) begin
  select raise(abort, 'a row of the audit trail that is not linked must be linked');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_pending_no_update before update on audit_pending begin
  select raise(abort, 'a row of the audit trail that is not linked must be linked');
end;
-- +goose StatementEnd

-- +goose Down
drop trigger audit_enter;
drop trigger audit_no_update;
drop trigger audit_no_delete;
drop trigger audit_no_replace;
drop index audit_subject;
drop table audit_pending;
drop table audit_head;
drop table audit_chain;
