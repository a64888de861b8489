-- +goose Up
-- What is added to a sealed credential afterwards. One number, two texts: migrations/sqlite/00003_proofs.sql.

-- The seal itself never changes: file is the sealed file with time-stamps and validation data beside the seal.
create table credential_proofs (
  credential_id   text primary key references credentials (id),
  organisation_id text not null references organisations (id),
  goal            text not null,       -- JAdES level the organisation asked for when it was sealed: T, LT or LTA
  level           text not null,       -- level of file: B while there is none
  file            bytea,
  not_before      timestamptz not null,  -- next try
  attempts        integer not null,    -- tries in a row that failed
  last_error      text not null,       -- of the last try, in words; empty: it did not fail
  lease_until     timestamptz,           -- a process is at it until then
  renew_at        timestamptz,           -- when the archive time-stamp needs another one over it
  updated_at      timestamptz not null
);
create index credential_proofs_due on credential_proofs (not_before);

-- The certificate as PDF, made on first download and never again.
create table credential_pdfs (
  credential_id   text primary key references credentials (id),
  organisation_id text not null references organisations (id),
  file            bytea not null,
  key_id          text not null,       -- hex SHA-256 of the certificate that sealed the PDF
  level           text not null,       -- PAdES level: B or T
  made_at         timestamptz not null
);

-- +goose Down
drop table credential_pdfs;
drop table credential_proofs;
