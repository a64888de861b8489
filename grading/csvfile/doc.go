// Package csvfile reads a file of results, as spreadsheets and MOOCs export them, into
// observations about the learners of a course.
//
// The file has a header line. A column names the learner (the id by which the platform
// knows them in LTI, or an e-mail address or a student number that exactly one member of
// the course has), another the score; maximum, date, evidence and names are optional.
// Read takes what people really save: UTF-8 with or without a byte order mark, UTF-16,
// Windows-1252; commas, semicolons, tabs; decimal commas; the oddities of Excel. It goes
// through the whole file and says of every row that cannot be used which column it is and
// what to do; it never guesses who is meant.
//
// The package deliberately stores nothing and decides nothing: what it returns is shown to
// a person first, and only what that person has confirmed becomes evidence, through
// grading.Store. It knows no credential and asks no platform; who is in the course is
// given to it.
//
// It fails with a FileError when the file as a whole is unusable, in words that say what
// to do. Rows that are unusable are no failure: each carries its Trouble.
package csvfile
