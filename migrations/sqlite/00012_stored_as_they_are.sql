-- +goose Up
-- One number, two texts: migrations/postgres/00012_stored_as_they_are.sql. SQLite compresses nothing.

-- +goose Down
