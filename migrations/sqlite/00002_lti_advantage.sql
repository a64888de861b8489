-- +goose Up
-- One number, two texts: migrations/postgres/00002_lti_advantage.sql says the same for PostgreSQL.
-- Everything here is added, so the previous release runs on this schema. The table
-- login_states is not used any more (see .decisions/0007) and goes with the next release.

alter table registrations add column status text not null default 'active'; -- pending, active, paused
alter table registrations add column login_key text not null default '';    -- a name besides the id in /lti/login/{key}
alter table registrations add column product_family text not null default '';
alter table registrations add column settings text not null default '{}';   -- JSON: lti.Settings
create unique index registrations_login_key on registrations (login_key) where login_key <> '';

alter table deployments add column status text not null default 'approved'; -- pending, approved

create table invitations (
  ticket_hash     text primary key, -- hex SHA-256 of the ticket in the address
  organisation_id text not null references organisations (id),
  name            text not null,    -- for people
  created_by      text not null,
  created_at      timestamp not null,
  expires_at      timestamp not null,
  used_at         timestamp,
  registration_id text not null     -- what it became; empty until used
);

create table launch_traces (
  id              text primary key, -- as shown on the page of the person
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  at              timestamp not null,
  code            text not null,    -- empty: the launch succeeded
  detail          text not null     -- JSON: lti.Trace
);
create index launch_traces_newest on launch_traces (registration_id, at);

alter table tool_keys add column use_from timestamp;                     -- null: since it was made
alter table tool_keys add column encrypted boolean not null default false; -- private is sealed with the key file

create table lti11_keys (
  id              text primary key,
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  consumer_key    text not null,
  secret          blob not null,    -- sealed with the key file
  created_at      timestamp not null
);
create index lti11_keys_registration on lti11_keys (registration_id, consumer_key);

create table notices ( -- seen, so that a notice that comes again has no effect
  registration_id text not null references registrations (id) on delete cascade,
  notice_id       text not null,
  notice_type     text not null,
  received_at     timestamp not null,
  primary key (registration_id, notice_id)
);

create table notice_handlers (
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  deployment_id   text not null,
  notice_type     text not null,
  service_url     text not null,
  handler         text not null,
  put_at          timestamp,        -- when the platform took it; null: not yet
  heard_at        timestamp,        -- last notice of this type; null: none yet
  last_error      text not null,
  primary key (registration_id, deployment_id, notice_type)
);

create table scores ( -- what a column that is ours shall show, and what the platform has
  organisation_id text not null references organisations (id),
  registration_id text not null references registrations (id) on delete cascade,
  line_item_url   text not null,
  learner         text not null,    -- LTI subject
  score           text not null,    -- JSON: lti.Score without its timestamp
  version         integer not null, -- counts what was wanted
  sent_version    integer not null, -- 0: nothing was sent
  sent_stamp      timestamp,        -- timestamp of the last score sent; the next is later
  attempts        integer not null,
  not_before      timestamp not null,
  state           text not null,    -- waiting, sent, refused, overridden
  last_error      text not null,
  updated_at      timestamp not null,
  primary key (registration_id, line_item_url, learner)
);
create index scores_due on scores (state, not_before);

alter table attachments add column state text not null default 'active';     -- draft: copied with its course, a teacher has to confirm
alter table attachments add column copied_from text not null default '';     -- attachment whose id stands in the copied activity
alter table attachments add column mark boolean not null default false;      -- tell the platform who has claimed, in a column of its own
alter table attachments add column mark_url text not null default '';        -- that column; empty: not made yet
alter table attachments add column mark_at timestamp;                          -- claims up to then were handed on
create unique index attachments_copies on attachments (registration_id, copied_from, context_id, resource_link_id) where copied_from <> '';

-- +goose Down
drop index attachments_copies;
alter table attachments drop column mark_at;
alter table attachments drop column mark_url;
alter table attachments drop column mark;
alter table attachments drop column copied_from;
alter table attachments drop column state;
drop table scores;
drop table notice_handlers;
drop table notices;
drop table lti11_keys;
alter table tool_keys drop column encrypted;
alter table tool_keys drop column use_from;
drop table launch_traces;
drop table invitations;
alter table deployments drop column status;
drop index registrations_login_key;
alter table registrations drop column settings;
alter table registrations drop column product_family;
alter table registrations drop column login_key;
alter table registrations drop column status;
