package web

import (
	"strings"
	"testing"
)

// marked writes parts with brackets around what differs.
func marked(parts []namePart) string {
	var out strings.Builder
	for _, p := range parts {
		if p.Same {
			out.WriteString(p.Text)
		} else {
			out.WriteString("[" + p.Text + "]")
		}
	}
	return out.String()
}

func TestNameDiff(t *testing.T) {
	t.Parallel()
	for _, test := range [][4]string{
		{"Noor van den Berg", "Noora van den Berg", "Noor van den Berg", "Noor[a] van den Berg"},
		{"Maija Meikäläinen", "Maija Meikalainen", "Maija Meik[älä]inen", "Maija Meik[ala]inen"},
		{"Zoe\u0308 Ng\u0303ugi\u0303", "Zoë Ngugi", "Zoë [Ng\u0303ugĩ]", "Zoë [Ngugi]"},
		{"Anna Ng\u0303ugia", "Anna Ngugia", "Anna N[g\u0303]ugia", "Anna N[g]ugia"},
		{"Κωνσταντίνος Παπαδόπουλος", "Κωνσταντινος Παπαδόπουλος", "Κωνσταντ[ί]νος Παπαδόπουλος", "Κωνσταντ[ι]νος Παπαδόπουλος"},
		{"ليلى حدّاد", "ليلى حداد", "ليلى [حدّاد]", "ليلى [حداد]"},
		{"स्मिता शर्मा", "स्मिता वर्मा", "स्मिता [शर्मा]", "स्मिता [वर्मा]"},
		{"Anna Maria Berg", "Anna Berg", "Anna [Maria] Berg", "Anna Berg"},
		{"Berg", "Anna Maria Berg", "Berg", "[Anna] [Maria] Berg"},
		{"Maria Anna", "Anna Maria", "Maria [Anna]", "[Anna] Maria"},
		{"Pavel", "Pаvel", "P[a]vel", "P[а]vel"}, // the second has a Cyrillic letter
		{"", "Anna", "", "[Anna]"},
		{"Same Name", "Same  Name", "Same Name", "Same Name"},
	} {
		was, is := nameDiff(test[0], test[1])
		if marked(was) != test[2] || marked(is) != test[3] {
			t.Errorf("%q and %q: %q and %q", test[0], test[1], marked(was), marked(is))
		}
	}
}
