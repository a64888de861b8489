package templates

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// RevokingTakesTwo reports whether a second person has to confirm before credentials of these
// template versions are revoked: the organisation says so, or one of the versions. What a
// newer version says does not count, as for everything else that was promised.
func RevokingTakesTwo(ctx context.Context, q sqldb.Queryer, organisationID string, versionIDs []string) (bool, error) {
	o, err := readOrganisation(ctx, q, `id = ?`, organisationID)
	if err != nil || o.SecondPerson {
		return o.SecondPerson, err
	}
	const most = 500 // names in one query
	for some := range slices.Chunk(versionIDs, most) {
		args := []any{organisationID}
		for _, id := range some {
			args = append(args, id)
		}
		var rows []versionRow
		err := q.Select(ctx, &rows, versionColumns+` where organisation_id = ? and id in (`+strings.TrimSuffix(strings.Repeat("?, ", len(some)), ", ")+`)`, args...)
		if err != nil {
			return false, fmt.Errorf("read template versions: %w", err)
		}
		for _, row := range rows {
			v, err := row.version()
			if err != nil || v.Content.SecondPerson {
				return v.Content.SecondPerson, err
			}
		}
	}
	return false, nil
}
