-- +goose Up
-- Whose turn it is when many wait for one token. One number, two texts: migrations/postgres/00006_turns.sql.
-- Everything here is added, so the previous release runs on this schema.

-- Claims of a batch wait in a line of their own, so that nobody waits behind all of it. Empty: a learner's own claim.
alter table claims add column batch_id text not null default '';

-- The lines: every question about who waits is answered from the rows that wait, however many are sealed already.
create index claims_lines on claims (organisation_id, batch_id, not_before, id) where state = 'queued';
create index claims_sealing on claims (lease_until) where state = 'sealing';
create index claims_failed on claims (organisation_id, updated_at) where state = 'failed';
-- What was sealed last: how long it took, and lists that begin with the newest.
create index credentials_sealed on credentials (organisation_id, sealed_at);

-- Lines that wait until a person lets them go on.
create table pauses (
  organisation_id text not null, -- empty: all organisations
  batch_id        text not null, -- empty: the whole organisation
  words           text not null, -- why, for everybody who waits
  actor           text not null, -- as in the audit trail
  at              timestamp not null,
  primary key (organisation_id, batch_id)
);

-- +goose Down
drop table pauses;
drop index credentials_sealed;
drop index claims_failed;
drop index claims_sealing;
drop index claims_lines;
alter table claims drop column batch_id;
