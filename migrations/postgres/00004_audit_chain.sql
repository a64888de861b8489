-- +goose Up
-- The audit trail becomes append-only and hash-chained. One number, two texts: migrations/sqlite/00004_audit_chain.sql.
-- Rows that were there before are linked like new ones, in the order of their ids.

-- One link per row of audit. Rows are linked after their commit (sqldb.AuditChainer), so that writers never wait for each other.
create table audit_chain (
  seq       bigint primary key,       -- 1, 2, 3 … without a gap, given when the row is linked
  audit_id  bigint not null unique,
  hash      text not null,            -- hex SHA-256 over the hash before it and all fields: sqldb.AuditLink
  linked_at timestamptz not null
);

-- The last link. Who links rows holds this row in the transaction, so that there is one at a time.
create table audit_head (
  id   integer primary key check (id = 1),
  seq  bigint not null,
  hash text not null
);
insert into audit_head (id, seq, hash) values (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Rows that are committed and not linked yet, put here by a trigger.
create table audit_pending (
  audit_id bigint primary key
);

-- A row written between the copy and the trigger would be in neither: writers wait until this has committed.
lock table audit in share row exclusive mode;
insert into audit_pending (audit_id) select id from audit;

create index audit_subject on audit (subject, id);

-- +goose StatementBegin
create function audit_enter() returns trigger language plpgsql as $$
begin
  insert into audit_pending (audit_id) values (new.id);
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function audit_refuse() returns trigger language plpgsql as $$
begin
  raise exception '%', tg_argv[0];
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function audit_pending_linked() returns trigger language plpgsql as $$
begin
  if exists (select 1 from audit_chain where audit_id = old.audit_id) then
    return old;
  end if;
  raise exception 'a row of the audit trail that is not linked must be linked';
end $$;
-- +goose StatementEnd

create trigger audit_enter after insert on audit for each row execute function audit_enter();
create trigger audit_refuse before update or delete on audit for each row execute function audit_refuse('the audit trail is append-only');
create trigger audit_refuse_truncate before truncate on audit execute function audit_refuse('the audit trail is append-only');
create trigger audit_chain_refuse before update or delete on audit_chain for each row execute function audit_refuse('the chain of the audit trail is append-only');
create trigger audit_chain_refuse_truncate before truncate on audit_chain execute function audit_refuse('the chain of the audit trail is append-only');
create trigger audit_head_forward before update on audit_head for each row
  when (new.id <> old.id or new.seq < old.seq or new.seq = old.seq and new.hash <> old.hash)
  execute function audit_refuse('the head of the audit trail only moves forward');
create trigger audit_head_refuse before delete on audit_head for each row execute function audit_refuse('the head of the audit trail only moves forward');
create trigger audit_head_refuse_truncate before truncate on audit_head execute function audit_refuse('the head of the audit trail only moves forward');
create trigger audit_pending_linked before delete on audit_pending for each row execute function audit_pending_linked();
create trigger audit_pending_refuse before update on audit_pending for each row
  execute function audit_refuse('a row of the audit trail that is not linked must be linked');
create trigger audit_pending_refuse_truncate before truncate on audit_pending
  execute function audit_refuse('a row of the audit trail that is not linked must be linked');

-- +goose Down
drop trigger audit_enter on audit;
drop trigger audit_refuse on audit;
drop trigger audit_refuse_truncate on audit;
drop index audit_subject;
drop table audit_pending;
drop table audit_head;
drop table audit_chain;
drop function audit_pending_linked();
drop function audit_refuse();
drop function audit_enter();
