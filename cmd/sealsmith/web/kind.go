package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// kindPage explains one kind of problem; kindsPage lists them.
type kindPage struct {
	Kind, Title, Detail, Type string
	Status                    int
	Do                        []string
}

type kindsPage struct{ Kinds []kindPage }

func (s *Web) kindPage(kind string) kindPage {
	words := s.problems[kind]
	return kindPage{Kind: kind, Title: words.Title, Detail: words.Detail, Type: s.problemType(kind), Status: words.Status, Do: words.Do}
}

// kind is the page behind the type of a problem document.
func (s *Web) kind(w http.ResponseWriter, r *http.Request) error {
	kind := mux.Vars(r)["kind"]
	if _, ok := s.problems[kind]; !ok {
		return errNoPage
	}
	return s.show(w, r, http.StatusOK, view{name: "kind", frame: Frame{Home: "/", Narrow: true}, page: new(s.kindPage(kind))})
}

func (s *Web) kinds(w http.ResponseWriter, r *http.Request) error {
	page := kindsPage{}
	for kind := range s.problems {
		page.Kinds = append(page.Kinds, s.kindPage(kind))
	}
	slices.SortFunc(page.Kinds, func(a, b kindPage) int { return strings.Compare(a.Kind, b.Kind) })
	return s.show(w, r, http.StatusOK, view{name: "kinds", frame: Frame{Home: "/", Narrow: true}, page: &page})
}
