-- +goose Up
-- One number, two texts: migrations/postgres/00001_init.sql says the same for PostgreSQL.
-- Every row that belongs to an organisation carries its id; every query names it.

create table organisations (
  id          text primary key,
  slug        text not null unique,
  profile     text not null, -- JSON: templates.Organisation without id and slug
  created_at  timestamp not null
);

create table templates (
  id              text primary key,
  organisation_id text not null references organisations (id),
  slug            text not null,
  created_at      timestamp not null,
  unique (organisation_id, slug)
);

create table template_versions (
  id              text primary key,
  organisation_id text not null references organisations (id),
  template_id     text not null references templates (id),
  number          integer not null,
  content         text not null, -- JSON: templates.Content
  created_by      text not null,
  created_at      timestamp not null,
  unique (template_id, number)
);

create table registrations (
  id              text primary key,
  organisation_id text not null references organisations (id),
  name            text not null,
  issuer          text not null,
  client_id       text not null,
  auth_url        text not null,
  token_url       text not null,
  jwks_url        text not null,
  token_audience  text not null, -- empty: the token URL
  created_at      timestamp not null,
  unique (issuer, client_id)
);

create table deployments (
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  deployment_id   text not null,
  created_at      timestamp not null,
  primary key (registration_id, deployment_id)
);

create table login_states (
  state_hash      text primary key,
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  nonce_hash      text not null,
  browser_hash    text not null,
  target_link_uri text not null,
  deployment_hint text not null,
  created_at      timestamp not null,
  expires_at      timestamp not null,
  used_at         timestamp
);
create index login_states_expiry on login_states (expires_at);

create table sessions (
  id              text primary key,
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  secret_hash     text not null,
  launch          text not null, -- JSON: lti.Launch
  created_at      timestamp not null,
  expires_at      timestamp not null
);
create index sessions_expiry on sessions (expires_at);

create table tool_keys (
  kid        text primary key,
  private    blob not null, -- PKCS #8 DER
  created_at timestamp not null,
  retired_at timestamp
);

create table attachments (
  id               text primary key,
  organisation_id  text not null references organisations (id),
  registration_id  text not null references registrations (id) on delete cascade,
  deployment_id    text not null,
  context_id       text not null,
  context_title    text not null,
  resource_link_id text not null, -- empty until the first launch
  template_id      text not null references templates (id),
  version_id       text not null references template_versions (id),
  min_percent      real not null,
  line_item_url    text not null, -- empty: the platform has not named one
  line_items_url   text not null,
  created_by       text not null, -- LTI subject of the teacher
  created_at       timestamp not null,
  read_at          timestamp,     -- last reading of all results, also one that failed
  read_error       text not null  -- why the last reading failed, in words; empty: it did not
);
create index attachments_link on attachments (registration_id, deployment_id, resource_link_id);

create table evidence (
  id              text primary key,
  organisation_id text not null references organisations (id),
  attachment_id   text not null references attachments (id) on delete cascade,
  learner         text not null, -- LTI subject
  source          text not null,
  score           real,          -- null: the learner has no score
  maximum         real not null,
  raw             text not null, -- the record as it was received
  raw_sha256      text not null,
  observed_at     timestamp not null,
  unique (attachment_id, learner, source, raw_sha256)
);

create table decisions (
  id              text primary key,
  organisation_id text not null references organisations (id),
  attachment_id   text not null references attachments (id) on delete cascade,
  evidence_id     text not null references evidence (id),
  version_id      text not null references template_versions (id),
  learner         text not null,
  complete        boolean not null,
  reasons         text not null, -- JSON: []grading.Reason
  rule            text not null, -- JSON: templates.Rule as it stood
  decided_at      timestamp not null
);
create index decisions_learner on decisions (attachment_id, learner, decided_at);

create table claims (
  id              text primary key,
  organisation_id text not null references organisations (id),
  attachment_id   text not null references attachments (id),
  decision_id     text not null references decisions (id),
  version_id      text not null references template_versions (id),
  registration_id text not null references registrations (id),
  learner         text not null,
  state           text not null,
  given_name      text not null,
  family_name     text not null,
  consent_at      timestamp,
  attempts        integer not null,
  not_before      timestamp not null,
  lease_token     text not null,
  lease_until     timestamp,
  last_error      text not null,
  created_at      timestamp not null,
  updated_at      timestamp not null,
  unique (attachment_id, learner)
);
create index claims_due on claims (state, not_before);

create table credentials (
  id              text primary key, -- UUID; the credential's id is urn:credential:<id>
  organisation_id text not null references organisations (id),
  claim_id        text not null unique references claims (id),
  issued_at       timestamp not null,
  payload         blob not null,    -- intent: the exact bytes to be sealed
  payload_sha256  text not null,
  key_id          text not null,    -- empty until sealed: hex SHA-256 of the seal certificate
  sealed          blob,
  sealed_at       timestamp,
  link            text not null unique, -- unguessable name of the public page
  created_at      timestamp not null
);

create table audit (
  id              integer primary key autoincrement,
  organisation_id text not null, -- empty: the server itself
  at              timestamp not null,
  actor           text not null,
  action          text not null,
  subject         text not null,
  detail          text not null
);

create table pin_attempts (
  token_serial text not null,
  fingerprint  text not null,
  state        text not null, -- pending, good, bad; allowed: one more login (fingerprint "operator")
  host         text not null,
  at           timestamp not null,
  primary key (token_serial, fingerprint)
);

create table secrets (
  name       text primary key,
  value      blob not null,
  created_at timestamp not null
);

-- +goose Down
drop table secrets;
drop table pin_attempts;
drop table audit;
drop table credentials;
drop table claims;
drop table decisions;
drop table evidence;
drop table attachments;
drop table tool_keys;
drop table sessions;
drop table login_states;
drop table deployments;
drop table registrations;
drop table template_versions;
drop table templates;
drop table organisations;
