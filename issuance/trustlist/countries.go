package trustlist

import "strings"

// territoryOf is how the lists write a country of ISO 3166-1: Greece and the United Kingdom
// differ (TS 119 612 section 5.3.10).
func territoryOf(code string) string {
	switch code = strings.ToUpper(strings.TrimSpace(code)); code {
	case "GR":
		return "EL"
	case "GB":
		return "UK"
	}
	return code
}

// Country is the English name of a territory that has a trusted list, to stand after "of"; of
// others the code.
func Country(territory string) string {
	names := map[string]string{
		"AT": "Austria", "BE": "Belgium", "BG": "Bulgaria", "CY": "Cyprus", "CZ": "Czechia", "DE": "Germany", "DK": "Denmark", "EE": "Estonia",
		"EL": "Greece", "ES": "Spain", "EU": "the European Union", "FI": "Finland", "FR": "France", "HR": "Croatia", "HU": "Hungary", "IE": "Ireland",
		"IS": "Iceland", "IT": "Italy", "LI": "Liechtenstein", "LT": "Lithuania", "LU": "Luxembourg", "LV": "Latvia", "MT": "Malta",
		"NL": "the Netherlands", "NO": "Norway", "PL": "Poland", "PT": "Portugal", "RO": "Romania", "SE": "Sweden", "SI": "Slovenia",
		"SK": "Slovakia", "UK": "the United Kingdom",
	}
	if name, ok := names[territory]; ok {
		return name
	}
	return territory
}
