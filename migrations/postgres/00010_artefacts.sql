-- +goose Up
-- Where the bytes of credentials are. One number, two texts: migrations/sqlite/00010_artefacts.sql.
-- Everything here is added, so the previous release runs on this schema as long as nothing was carried to objects.

-- An artefact is in its row while its …_object is empty, else it is the object with that name in the object store, and
-- …_sha256 (hex) and …_bytes are those of the object. …_moves counts how often it was carried: no name comes twice.
alter table credentials add column sealed_object text not null default '';
alter table credentials add column sealed_sha256 text not null default '';
alter table credentials add column sealed_bytes bigint not null default 0;
alter table credentials add column sealed_moves integer not null default 0;
alter table credentials add column erased_at timestamptz; -- the bytes are gone for good, here and there
alter table credential_proofs add column file_object text not null default '';
alter table credential_proofs add column file_sha256 text not null default '';
alter table credential_proofs add column file_bytes bigint not null default 0;
alter table credential_proofs add column file_moves integer not null default 0;
alter table credential_pdfs add column file_object text not null default '';
alter table credential_pdfs add column file_sha256 text not null default '';
alter table credential_pdfs add column file_bytes bigint not null default 0;
alter table credential_pdfs add column file_moves integer not null default 0;

-- What is still in its row, in the order in which it is carried.
create index credentials_here on credentials (sealed_at, id) where sealed_object = '' and sealed is not null;
create index credential_proofs_here on credential_proofs (updated_at, credential_id) where file_object = '' and file is not null;
create index credential_pdfs_here on credential_pdfs (made_at, credential_id) where file_object = '';

-- Objects that no row names any more and that are to be deleted. Written in the transaction that lets go of them.
create table artefact_leftovers (
  object          text primary key,
  organisation_id text not null,
  since           timestamptz not null
);

-- Questions that are asked often and whose answers are few rows of many.
create index credential_proofs_open on credential_proofs (organisation_id) where level <> goal;
create index credential_proofs_trouble on credential_proofs (organisation_id, updated_at) where last_error <> '';
create index claims_person on claims (registration_id, learner);
create index decisions_person on decisions (learner);

-- +goose Down
drop index decisions_person;
drop index claims_person;
drop index credential_proofs_trouble;
drop index credential_proofs_open;
drop table artefact_leftovers;
drop index credential_pdfs_here;
drop index credential_proofs_here;
drop index credentials_here;
alter table credential_pdfs drop column file_moves;
alter table credential_pdfs drop column file_bytes;
alter table credential_pdfs drop column file_sha256;
alter table credential_pdfs drop column file_object;
alter table credential_proofs drop column file_moves;
alter table credential_proofs drop column file_bytes;
alter table credential_proofs drop column file_sha256;
alter table credential_proofs drop column file_object;
alter table credentials drop column erased_at;
alter table credentials drop column sealed_moves;
alter table credentials drop column sealed_bytes;
alter table credentials drop column sealed_sha256;
alter table credentials drop column sealed_object;
