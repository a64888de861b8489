package web

import "net/http"

// front says what this server is.
func (s *Web) front(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, view{name: "front", frame: Frame{Home: "/"}})
}
