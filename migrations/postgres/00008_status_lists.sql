-- +goose Up
-- Status lists: where each credential stands in them, and the lists as they were signed. One number, two texts: migrations/sqlite/00008_status_lists.sql.
-- Everything here is added, so the previous release runs on this schema; what it seals gets its place when this one is there.

-- A list has room for many credentials of one organisation. Its values are the rows of status_entries; version counts their changes.
create table status_lists (
  id              text primary key,       -- random name in the public address
  organisation_id text not null references organisations (id),
  number          integer not null,       -- 1, 2, 3 … of the organisation
  entries         integer not null,       -- places, most of them never given
  full_at         timestamptz,            -- no more places are given from then on
  version         bigint not null,        -- changes so far
  signed_version  bigint not null,        -- up to which the signed lists tell; 0: nothing is signed
  expires_at      timestamptz,            -- when the first of the signed lists runs out
  not_before      timestamptz not null,   -- next try
  renew_at        timestamptz not null,   -- when to look at it although nothing has changed
  attempts        integer not null,       -- tries in a row that failed
  last_error      text not null,          -- of the last try, in words; empty: it did not fail
  lease_until     timestamptz,            -- a process is at it until then
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  unique (organisation_id, number)
);

-- The place of one credential, for ever. The index is random, so that it tells nothing of when or to whom.
create table status_entries (
  list_id         text not null references status_lists (id),
  idx             integer not null,
  credential_id   text not null unique references credentials (id),
  organisation_id text not null references organisations (id),
  status          integer not null,       -- 0 valid, 1 invalid, 2 suspended
  assigned_at     timestamptz not null,
  primary key (list_id, idx)
);
create index status_entries_set on status_entries (list_id, idx) where status <> 0;

-- What is served: one signed text for each kind.
create table status_tokens (
  list_id         text not null references status_lists (id),
  kind            text not null,          -- revocation, suspension, token or index
  organisation_id text not null references organisations (id),
  file            bytea not null,
  digest          text not null,          -- of what it says, whoever signs it and when
  key_id          text not null,          -- hex SHA-256 of the certificate that signed it
  signed_at       timestamptz not null,
  expires_at      timestamptz not null,
  primary key (list_id, kind)
);

-- The values follow the standing of the credential in the same transaction, whoever changes it: this program, its previous release, a later one.
-- +goose StatementBegin
create function status_withdrawn() returns trigger language plpgsql as $$
begin
  update status_entries set status = case new.kind when 'revoked' then 1 when 'suspended' then 2 else 0 end
  where credential_id = new.credential_id and (status <> 1 or new.kind = 'revoked');
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function status_ended() returns trigger language plpgsql as $$
begin
  update status_entries set status = 1 where credential_id in (select id from credentials where claim_id = new.id);
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function status_replaced() returns trigger language plpgsql as $$
begin
  update status_entries set status = 1 where credential_id = new.id;
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function status_changed() returns trigger language plpgsql as $$
begin
  update status_lists set version = version + 1 where id = new.list_id;
  return null;
end $$;
-- +goose StatementEnd

create trigger status_withdrawn after insert on withdrawals for each row execute function status_withdrawn();
create trigger status_ended after update of state on claims for each row
  when (new.state <> old.state and new.state = 'revoked') execute function status_ended();
create trigger status_replaced after update of replaced_by on credentials for each row when (new.replaced_by is not null) execute function status_replaced();
create trigger status_changed after update of status on status_entries for each row when (new.status <> old.status) execute function status_changed();

-- +goose Down
drop trigger status_changed on status_entries;
drop trigger status_replaced on credentials;
drop trigger status_ended on claims;
drop trigger status_withdrawn on withdrawals;
drop function status_changed();
drop function status_replaced();
drop function status_ended();
drop function status_withdrawn();
drop table status_tokens;
drop table status_entries;
drop table status_lists;
