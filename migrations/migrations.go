// Package migrations holds the schema of Sealsmith's database, twice: for SQLite
// (one machine, one file) and for PostgreSQL (many processes). The files of the two
// folders carry the same numbers and create the same tables; package sqldb applies
// the folder that fits the database it opened.
//
// A migration that has been released is never edited: a change is a new number in
// both folders. The previous release must run on the new schema, so columns are
// added first and removed a release later. Numbers of one hundred only add; what takes
// something away gets a number of the next hundred, and older releases refuse to start then.
//
// The package knows no domain word and runs nothing itself. It cannot fail; applying
// the files can, and sqldb says how.
package migrations

import "embed"

// Files holds sqlite/*.sql and postgres/*.sql in goose's format.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS
