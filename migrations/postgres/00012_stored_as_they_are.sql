-- +goose Up
-- One number, two texts: migrations/sqlite/00012_stored_as_they_are.sql. The previous release runs on this schema; rows that are there stay as they are.

-- PostgreSQL tries to compress what is long. Most of these files is the base64 of a compressed image, of which nothing can be gained: what was tried cost half of the database's time.
alter table credentials alter column payload set storage external;
alter table credentials alter column sealed set storage external;
alter table credential_proofs alter column file set storage external;
alter table credential_pdfs alter column file set storage external;

-- +goose Down
alter table credential_pdfs alter column file set storage extended;
alter table credential_proofs alter column file set storage extended;
alter table credentials alter column sealed set storage extended;
alter table credentials alter column payload set storage extended;
