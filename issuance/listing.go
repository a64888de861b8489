package issuance

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Listed is a sealed credential in a list for staff.
type Listed struct {
	Standing
	Name string // of the learner, as it was sealed
}

// Search says which credentials staff look for.
type Search struct {
	OrganisationID string
	// Name are words of the learner's name, or their beginnings: all of them have to be
	// there, in any order, with or without accents. Empty: everybody.
	Name         string
	InForce      InForce // empty: however they stand
	AttachmentID string  // empty: of all activities
	VersionID    string  // empty: of all versions
	// SealedFrom is the first moment that counts, SealedUntil the first that does not; zero:
	// no bound.
	SealedFrom, SealedUntil time.Time
	// After is where the page before has ended; empty, or nowhere: the first page.
	After string
	Limit int
}

// Search lists credentials, a page at a time: the ones sealed last first, or by the name that
// was looked for. next is the After of the next page, empty at the end. What a page costs does
// not depend on how many there are: each is one step on an index (credential_listing,
// credential_words).
func (d *Desk) Search(ctx context.Context, s Search) (page []Listed, next string, err error) {
	q := newListing(s)
	var rows []struct {
		ID       string    `db:"credential_id"`
		Word     string    `db:"word"`
		SealedAt time.Time `db:"sealed_at"`
	}
	if err := d.db.Select(ctx, &rows, q.text, q.args...); err != nil {
		return nil, "", fmt.Errorf("search credentials: %w", err)
	}
	if len(rows) > s.Limit {
		rows = rows[:s.Limit]
		last := rows[len(rows)-1]
		key := last.Word
		if key == "" {
			key = last.SealedAt.UTC().Format(time.RFC3339Nano)
		}
		next = base64.RawURLEncoding.EncodeToString([]byte(key + " " + last.ID))
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	page, err = d.listed(ctx, s.OrganisationID, ids)
	return page, next, err
}

// listing is a query that is put together.
type listing struct {
	text string
	args []any
}

func (l *listing) add(text string, args ...any) {
	l.text, l.args = l.text+text, append(l.args, args...)
}

// newListing goes along the index of words when a name is looked for, by its longest word,
// which the fewest people have; else along one of the indexes of the list.
func newListing(s Search) *listing {
	words := fold(s.Name)
	at, id := after(s.After)
	q := &listing{}
	if len(words) == 0 {
		q.add(`select l.credential_id, '' as word, l.sealed_at from credential_listing l where l.organisation_id = ?`, s.OrganisationID)
		if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
			q.add(` and (l.sealed_at, l.credential_id) < (?, ?)`, sqldb.UTC(t), id)
		}
		q.filter(s)
		q.add(` order by l.sealed_at desc, l.credential_id desc limit ?`, s.Limit+1)
		return q
	}
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	q.add(`select x.credential_id, x.word, l.sealed_at from credential_words x join credential_listing l on l.credential_id = x.credential_id
		where x.organisation_id = ? and x.word >= ? and x.word < ?`, s.OrganisationID, words[0], words[0]+lastRune)
	if at != "" {
		q.add(` and (x.word, x.credential_id) > (?, ?)`, at, id)
	}
	// A name of which two words begin alike is found once.
	q.add(` and not exists (select 1 from credential_words y where y.credential_id = x.credential_id and y.word >= ? and y.word < x.word)`, words[0])
	for _, word := range words[1:] {
		q.add(` and exists (select 1 from credential_words y where y.credential_id = x.credential_id and y.word >= ? and y.word < ?)`, word, word+lastRune)
	}
	q.filter(s)
	q.add(` order by x.word, x.credential_id limit ?`, s.Limit+1)
	return q
}

// lastRune stands behind every other.
const lastRune = "\U0010FFFF"

func (l *listing) filter(s Search) {
	if s.InForce != "" {
		l.add(` and l.standing = ?`, s.InForce)
	}
	if s.AttachmentID != "" {
		l.add(` and l.attachment_id = ?`, s.AttachmentID)
	}
	if s.VersionID != "" {
		l.add(` and l.version_id = ?`, s.VersionID)
	}
	if !s.SealedFrom.IsZero() {
		l.add(` and l.sealed_at >= ?`, sqldb.UTC(s.SealedFrom))
	}
	if !s.SealedUntil.IsZero() {
		l.add(` and l.sealed_at < ?`, sqldb.UTC(s.SealedUntil))
	}
}

// after reads where a page has ended.
func after(s string) (key, id string) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", ""
	}
	key, id, _ = strings.Cut(string(raw), " ")
	return key, id
}

// listed reads credentials of the organisation in the order of ids.
func (d *Desk) listed(ctx context.Context, organisationID string, ids []string) ([]Listed, error) {
	type listedRow struct {
		standingRow
		GivenName  string `db:"given_name"`
		FamilyName string `db:"family_name"`
	}
	byID := make(map[string]Listed, len(ids))
	for some := range slices.Chunk(ids, selectChunk) {
		args := []any{organisationID}
		for _, id := range some {
			args = append(args, id)
		}
		var rows []listedRow
		err := d.db.Select(ctx, &rows, listedFrom+marks(len(some))+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read credentials of a list: %w", err)
		}
		for _, row := range rows {
			byID[row.ID] = Listed{Standing: row.standing(), Name: strings.TrimSpace(row.GivenName + " " + row.FamilyName)}
		}
	}
	out := make([]Listed, 0, len(ids))
	for _, id := range ids {
		if one, ok := byID[id]; ok {
			out = append(out, one)
		}
	}
	return out, nil
}

// thisOrganisation says whose the credentials are in a way that no index fits: SQLite would
// walk along all credentials of an organisation rather than look up a few of them by their ids.
const thisOrganisation = `k.organisation_id || '' = ?`

// The name in a credential is that of its claim, unless it was corrected since.
const (
	sealedName     = `coalesce(y.old_given, c.given_name) as given_name, coalesce(y.old_family, c.family_name) as family_name`
	sealedNameJoin = ` left join corrections y on y.claim_id = k.claim_id and y.credential_id = k.id and y.state in ('confirmed', 'done')`
)

const listedFrom = `select ` + standingColumns + `, ` + sealedName + standingJoin + sealedNameJoin + ` where ` + thisOrganisation + ` and k.id in (`

// SealedName returns the learner's name in a credential of the organisation, or ErrNotFound.
func (d *Desk) SealedName(ctx context.Context, organisationID, credentialID string) (string, error) {
	all, err := d.listed(ctx, organisationID, []string{credentialID})
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", ErrNotFound
	}
	return all[0].Name, nil
}

// What a name has at most of in the index.
const (
	foldWords = 12
	foldRunes = 40
)

// letters that Unicode does not take apart, though people type them without.
var plainLetters = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ß", "ss", "ı", "i")

// fold cuts a name into words as they are searched by: small letters without accents.
func fold(name string) []string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(name) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteByte(' ')
		}
	}
	var words []string
	for word := range strings.FieldsSeq(plainLetters.Replace(b.String())) {
		if runes := []rune(word); len(runes) > foldRunes {
			word = string(runes[:foldRunes])
		}
		if !slices.Contains(words, word) && len(words) < foldWords {
			words = append(words, word)
		}
	}
	return words
}

// nameBatch is how many names are cut into words in one transaction.
const nameBatch = 200

// nameListed puts the names of credentials that were sealed lately into the index of words,
// and returns how many that were.
func (d *Desk) nameListed(ctx context.Context) (int, error) {
	var rows []struct {
		ID             string `db:"credential_id"`
		OrganisationID string `db:"organisation_id"`
		GivenName      string `db:"given_name"`
		FamilyName     string `db:"family_name"`
	}
	// Whose turn it is comes from the small index alone; the long rows of credentials are met by their key.
	err := d.db.Select(ctx, &rows, `select k.id as credential_id, k.organisation_id, `+sealedName+` from credentials k join claims c on c.id = k.claim_id and c.organisation_id = k.organisation_id`+sealedNameJoin+`
		where k.id in (select credential_id from credential_listing where not named order by credential_id limit ?) order by k.id`, nameBatch)
	if err != nil {
		return 0, fmt.Errorf("list names for the index: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	return len(rows), d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		for _, row := range rows {
			for _, word := range fold(row.GivenName + " " + row.FamilyName) {
				_, err := tx.Exec(ctx, `insert into credential_words (organisation_id, word, credential_id) values (?, ?, ?) on conflict do nothing`, row.OrganisationID, word, row.ID)
				if err != nil {
					return fmt.Errorf("put a name into the index: %w", err)
				}
			}
			if _, err := tx.Exec(ctx, `update credential_listing set named = true where organisation_id = ? and credential_id = ?`, row.OrganisationID, row.ID); err != nil {
				return fmt.Errorf("note a name in the index: %w", err)
			}
		}
		return nil
	})
}
