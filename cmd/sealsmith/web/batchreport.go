package web

import (
	"bytes"
	"net/http"
	"strings"
)

// batchReport gives the report with every row. It is complete before the first byte leaves.
func (s *Web) batchReport(w http.ResponseWriter, r *http.Request, v *visit) error {
	b, err := s.oneBatch(r, v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("\ufeff") // without it, spreadsheets take UTF-8 for something else
	if err := s.deps.Batches.WriteReport(r.Context(), b.OrganisationID, b.ID, &out); err != nil {
		return err
	}
	return s.sendCSV(w, r, "report-"+strings.ToLower(b.ID[max(0, len(b.ID)-6):])+".csv", out.Bytes())
}

// sendCSV sends a table to be saved.
func (s *Web) sendCSV(w http.ResponseWriter, r *http.Request, name string, table []byte) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, err := w.Write(table)
	return s.gone(r, err)
}
