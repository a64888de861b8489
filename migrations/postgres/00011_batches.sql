-- +goose Up
-- Many credentials at once, and credentials that end. One number, two texts: migrations/sqlite/00011_batches.sql.
-- Everything here is added, so the previous release runs on this schema.

create table batches (
  id              text primary key,
  organisation_id text not null references organisations (id),
  attachment_id   text not null references attachments (id) on delete cascade,
  kind            text not null,      -- award, import or renewal
  title           text not null,
  state           text not null,      -- draft, running, finished or cancelled
  award           boolean not null,   -- seals what it completes; false: the learners claim by themselves
  file_name       text not null,      -- of an import
  file_sha256     text not null,      -- of an import, hex
  digest          text not null,      -- hex SHA-256 over what was shown; whoever confirms names it
  created_by      text not null,
  created_at      timestamptz not null,
  confirmed_by    text not null,      -- empty: nobody has
  confirmed_at    timestamptz,
  starts_at       timestamptz not null, -- nothing is done before
  ended_at        timestamptz,          -- finished or cancelled
  lease_until     timestamptz,          -- a process is at it until then
  last_error      text not null       -- of the last page of rows, in words; empty: it went well
);
create index batches_list on batches (organisation_id, attachment_id, created_at);
create index batches_due on batches (starts_at) where state = 'running';

create table batch_rows (
  batch_id        text not null references batches (id) on delete cascade,
  number          integer not null,   -- 1, 2, 3 …; of an import: the line of the file
  organisation_id text not null references organisations (id),
  learner         text not null,      -- LTI subject; empty: nobody was found
  shown           text not null,      -- whom the file names, while nobody was found
  given_name      text not null,      -- until the claim has it
  family_name     text not null,
  score           double precision,         -- of an import
  maximum         double precision not null,
  raw             text not null,      -- of an import: what becomes the evidence
  outcome         text not null,      -- empty: to be done; else what came of it, as a code
  words           text not null,      -- more about the outcome
  claim_id        text not null,
  revision        integer not null default 1, -- of the claim, which the row has brought about
  primary key (batch_id, number)
);
create index batch_rows_due on batch_rows (batch_id, number) where outcome = '';
create index batch_rows_learner on batch_rows (organisation_id, learner);

-- Where the platform tells who is in the course, as of the last launch: names are needed without anybody there.
alter table attachments add column memberships_url text not null default '';

-- The revision with which the present term of a claim began: 1, or that of its last renewal.
alter table claims add column term integer not null default 1;

-- Null: the credential does not end.
alter table credentials add column valid_until timestamptz;
create index credentials_ending on credentials (organisation_id, valid_until) where valid_until is not null;

-- +goose Down
drop index credentials_ending;
alter table credentials drop column valid_until;
alter table claims drop column term;
alter table attachments drop column memberships_url;
drop table batch_rows;
drop table batches;
