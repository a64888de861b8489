-- +goose Up
-- Revoking with a second person and many at once, and the list of all sealed credentials. One number, two texts: migrations/sqlite/00009_withdrawal_requests.sql.

-- One order to revoke one credential or many: waits for a second person where the rules say so, and carries what is left to do after a crash.
create table withdrawal_requests (
  id              text primary key,
  organisation_id text not null references organisations (id),
  selection       text not null,      -- JSON: issuance.Selection without its ids
  reason          text not null,      -- code
  words           text not null,      -- for everybody who asks; may be empty
  state           text not null,      -- asked, confirmed, declined, withdrawn or expired
  second          boolean not null,   -- a second person has to confirm it
  total           integer not null,   -- rows of withdrawal_items
  asked_by        text not null,      -- as in the audit trail
  asked_at        timestamptz not null,
  expires_at      timestamptz not null, -- asked counts as expired from then on
  decided_by      text not null,      -- empty: nobody has
  decided_at      timestamptz,
  done_at         timestamptz           -- every row of withdrawal_items has its outcome
);
create index withdrawal_requests_listed on withdrawal_requests (organisation_id, asked_at, id);
create index withdrawal_requests_asked on withdrawal_requests (organisation_id, expires_at) where state = 'asked';
create index withdrawal_requests_left on withdrawal_requests (decided_at, id) where state = 'confirmed' and done_at is null;

-- What an order is about, one row per credential, fixed when it was asked for.
create table withdrawal_items (
  request_id      text not null references withdrawal_requests (id) on delete cascade,
  credential_id   text not null references credentials (id) on delete cascade,
  organisation_id text not null,
  outcome         text not null,      -- empty: not tried; revoked, already or failed
  cause           text not null,      -- of already and failed, in words
  primary key (request_id, credential_id)
);
create index withdrawal_items_left on withdrawal_items (request_id, credential_id) where outcome = '';
create index withdrawal_items_credential on withdrawal_items (credential_id);

-- Of a credential that was revoked by an order: which, and who was the second person.
alter table withdrawals add column request_id text not null default '';
alter table withdrawals add column confirmed_by text not null default '';

-- What staff search by, beside the credentials: a row of those is long, and all columns that a list is made from stand behind the sealed file. Kept by triggers, so that a server of the release before keeps it too.
create table credential_listing (
  credential_id   text primary key references credentials (id) on delete cascade,
  organisation_id text not null,
  version_id      text not null,
  attachment_id   text not null,
  sealed_at       timestamptz not null,
  standing        text not null,      -- in_force, suspended, revoked or replaced
  named           boolean not null    -- credential_words has its words
);

-- Words of the name as it was sealed, folded (issuance.fold): searched by their beginning.
create table credential_words (
  organisation_id text not null,
  word            text collate "C" not null,
  credential_id   text not null references credentials (id) on delete cascade,
  primary key (organisation_id, word, credential_id)
);

-- +goose StatementBegin
create function credential_list() returns trigger language plpgsql as $$
begin
  insert into credential_listing (credential_id, organisation_id, version_id, attachment_id, sealed_at, standing, named)
    select new.id, new.organisation_id, c.version_id, c.attachment_id, new.sealed_at, case when new.replaced_by is not null then 'replaced' when c.state = 'revoked' then 'revoked' else 'in_force' end, false
    from claims c where c.id = new.claim_id on conflict do nothing;
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function claim_list() returns trigger language plpgsql as $$
begin
  update credential_listing set standing = 'revoked' where credential_id in (select id from credentials where claim_id = new.id and replaced_by is null);
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function credential_replace() returns trigger language plpgsql as $$
begin
  update credential_listing set standing = 'replaced' where credential_id = new.id;
  return null;
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function withdrawal_list() returns trigger language plpgsql as $$
begin
  update credential_listing set standing = case when new.kind = 'suspended' then 'suspended' else 'in_force' end where credential_id = new.credential_id;
  return null;
end $$;
-- +goose StatementEnd
-- Making a trigger holds writers off until the commit: nothing is sealed between the copy below and the first row that a trigger lists.
create trigger credential_sealed after update of sealed_at on credentials for each row when (old.sealed_at is null and new.sealed_at is not null) execute function credential_list();
create trigger credential_added after insert on credentials for each row when (new.sealed_at is not null) execute function credential_list();
create trigger claim_ended after update of state on claims for each row when (new.state = 'revoked' and old.state <> new.state) execute function claim_list();
create trigger credential_replaced after update of replaced_by on credentials for each row when (new.replaced_by is not null) execute function credential_replace();
create trigger withdrawal_listed after insert on withdrawals for each row when (new.kind in ('suspended', 'reinstated')) execute function withdrawal_list();

insert into credential_listing (credential_id, organisation_id, version_id, attachment_id, sealed_at, standing, named)
  select k.id, k.organisation_id, c.version_id, c.attachment_id, k.sealed_at,
    case when k.replaced_by is not null then 'replaced' when c.state = 'revoked' then 'revoked' when w.kind = 'suspended' then 'suspended' else 'in_force' end, false
  from credentials k join claims c on c.id = k.claim_id
  left join withdrawals w on w.credential_id = k.id and w.number = (select max(x.number) from withdrawals x where x.credential_id = k.id)
  where k.sealed_at is not null;

create index credential_listing_all on credential_listing (organisation_id, sealed_at, credential_id);
create index credential_listing_standing on credential_listing (organisation_id, standing, sealed_at, credential_id);
create index credential_listing_version on credential_listing (organisation_id, version_id, sealed_at, credential_id);
create index credential_listing_attachment on credential_listing (organisation_id, attachment_id, sealed_at, credential_id);
create index credential_listing_unnamed on credential_listing (credential_id) where not named;
create index credential_words_of on credential_words (credential_id);

-- +goose Down
drop trigger credential_sealed on credentials;
drop trigger credential_added on credentials;
drop trigger claim_ended on claims;
drop trigger credential_replaced on credentials;
drop trigger withdrawal_listed on withdrawals;
drop function credential_list();
drop function claim_list();
drop function credential_replace();
drop function withdrawal_list();
drop table credential_words;
drop table credential_listing;
alter table withdrawals drop column confirmed_by;
alter table withdrawals drop column request_id;
drop table withdrawal_items;
drop table withdrawal_requests;
