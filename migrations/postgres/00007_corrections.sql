-- +goose Up
-- A credential with a wrong name gets a corrected one in its place. One number, two texts: migrations/sqlite/00007_corrections.sql.
-- What is new has defaults, so the previous release runs on this schema.

-- A claim becomes one credential per revision; the first is 1.
alter table claims add column revision integer not null default 1;

alter table credentials add column revision integer not null default 1;       -- of the claim, from which it was made
alter table credentials add column replaces text references credentials (id);    -- whose place it takes
alter table credentials add column replaced_by text references credentials (id); -- set in the transaction in which that one was sealed
alter table credentials add column replaced_at timestamptz;
alter table credentials add constraint credentials_claim_id_revision_key unique (claim_id, revision);
alter table credentials drop constraint credentials_claim_id_key;

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
  asked_at        timestamptz not null,
  state           text not null,     -- asked, confirmed, done, declined, withdrawn, dropped
  evidence        text not null,     -- code: what was seen; empty until confirmed
  reference       text not null,     -- where that can be found again; no copy is kept
  answer          text not null,     -- of whoever decided
  decided_by      text not null,
  decided_at      timestamptz,
  ended_at        timestamptz,       -- nothing follows any more
  revision        integer not null,  -- of the claim, for which it was confirmed; 0 until then
  claim_state     text not null      -- before: where the claim goes back to when nothing comes of it
);
create unique index corrections_open on corrections (claim_id) where state in ('asked', 'confirmed');
create index corrections_list on corrections (organisation_id, state, asked_at);
create index corrections_claim on corrections (claim_id, asked_at);

-- +goose Down
drop table corrections;
alter table credentials add constraint credentials_claim_id_key unique (claim_id);
alter table credentials drop constraint credentials_claim_id_revision_key;
alter table credentials drop column replaced_at;
alter table credentials drop column replaced_by;
alter table credentials drop column replaces;
alter table credentials drop column revision;
alter table claims drop column revision;
