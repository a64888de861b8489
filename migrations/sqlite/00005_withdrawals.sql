-- +goose Up
-- Credentials that were revoked or suspended. One number, two texts: migrations/postgres/00005_withdrawals.sql.

-- Rows are only added. The last one of a credential says how it stands; without one it is in force.
create table withdrawals (
  credential_id   text not null references credentials (id),
  number          integer not null,   -- 1, 2, 3 … of the credential: of two at once only one gets it
  organisation_id text not null references organisations (id),
  kind            text not null,      -- revoked, suspended or reinstated
  reason          text not null,      -- code; empty for reinstated
  words           text not null,      -- for everybody who asks; may be empty
  actor           text not null,      -- as in the audit trail
  at              timestamp not null,
  primary key (credential_id, number)
);

-- +goose Down
drop table withdrawals;
