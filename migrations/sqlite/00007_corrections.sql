-- +goose Up
-- A credential with a wrong name gets a corrected one in its place. One number, two texts: migrations/postgres/00007_corrections.sql.
-- What is new has defaults, so the previous release runs on this schema.

-- A claim becomes one credential per revision; the first is 1.
alter table claims add column revision integer not null default 1;

-- Up to now a claim could have one credential only. SQLite cannot drop a constraint: the table is made anew, as its documentation of ALTER TABLE says (section 7).
-- That needs foreign keys off, which sqldb.Migrate sees to; all is checked below, before the commit.
create table credentials_new (
  id              text primary key, -- UUID; the credential's id is urn:credential:<id>
  organisation_id text not null references organisations (id),
  claim_id        text not null references claims (id),
  issued_at       timestamp not null,
  payload         blob not null,    -- intent: the exact bytes to be sealed
  payload_sha256  text not null,
  key_id          text not null,    -- empty until sealed: hex SHA-256 of the seal certificate
  sealed          blob,
  sealed_at       timestamp,
  link            text not null unique, -- unguessable name of the public page
  created_at      timestamp not null,
  revision        integer not null default 1,       -- of the claim, from which it was made
  replaces        text references credentials (id), -- whose place it takes
  replaced_by     text references credentials (id), -- set in the transaction in which that one was sealed
  replaced_at     timestamp,
  unique (claim_id, revision)
);
insert into credentials_new (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
select id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at from credentials;
drop table credentials;
-- Without this, renaming wants all triggers that name the table to find it at every moment.
pragma legacy_alter_table = on;
alter table credentials_new rename to credentials;
pragma legacy_alter_table = off;
create index credentials_sealed on credentials (organisation_id, sealed_at);
create temp table pointing_nowhere (n integer constraint rows_that_point_nowhere check (n is null));
insert into pointing_nowhere select 1 from pragma_foreign_key_check;
drop table pointing_nowhere;

-- Names that somebody has found to be wrong. Of a claim one waits at most.
create table corrections (
  id              text primary key,
  organisation_id text not null references organisations (id),
  claim_id        text not null references claims (id),
  credential_id   text not null references credentials (id), -- in which the name is wrong
  old_given       text not null,
  old_family      text not null,
  new_given       text not null,
  new_family      text not null,
  words           text not null,     -- of whoever asked
  asked_by        text not null,     -- learner, or as in the audit trail
  asked_at        timestamp not null,
  state           text not null,     -- asked, confirmed, done, declined, withdrawn, dropped
  evidence        text not null,     -- code: what was seen; empty until confirmed
  reference       text not null,     -- where that can be found again; no copy is kept
  answer          text not null,     -- of whoever decided
  decided_by      text not null,
  decided_at      timestamp,
  ended_at        timestamp,         -- nothing follows any more
  revision        integer not null,  -- of the claim, for which it was confirmed; 0 until then
  claim_state     text not null      -- before: where the claim goes back to when nothing comes of it
);
create unique index corrections_open on corrections (claim_id) where state in ('asked', 'confirmed');
create index corrections_list on corrections (organisation_id, state, asked_at);
create index corrections_claim on corrections (claim_id, asked_at);

-- +goose Down
drop table corrections;
create table credentials_old (
  id              text primary key,
  organisation_id text not null references organisations (id),
  claim_id        text not null unique references claims (id),
  issued_at       timestamp not null,
  payload         blob not null,
  payload_sha256  text not null,
  key_id          text not null,
  sealed          blob,
  sealed_at       timestamp,
  link            text not null unique,
  created_at      timestamp not null
);
insert into credentials_old select id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at from credentials;
drop table credentials;
pragma legacy_alter_table = on;
alter table credentials_old rename to credentials;
pragma legacy_alter_table = off;
create index credentials_sealed on credentials (organisation_id, sealed_at);
alter table claims drop column revision;
