package web

import "net/http"

// read reads all grades of the activity now. When that works the browser gets the page
// anew; when it does not, the page says why.
func (s *Web) read(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	_, err = s.deps.Reader.All(r.Context(), a)
	if err == nil {
		return see303(w, r, v.path("class"))
	}
	why, ok := unreadable(err)
	if !ok {
		return err
	}
	s.deps.Logger.WarnContext(r.Context(), "grades not read", "request_id", TraceID(r.Context()), "attachment", a.ID, "err", err)
	if a, err = s.deps.Grading.Attachment(r.Context(), v.organisation.ID, a.ID); err != nil {
		return err
	}
	return s.showClass(w, r, v, a, why)
}
