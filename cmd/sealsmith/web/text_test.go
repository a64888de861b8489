package web_test

import (
	"html"
	"regexp"
	"strings"
)

var (
	invisible = regexp.MustCompile(`(?s)<svg.*?</svg>|<head>.*?</head>`)
	anyTag    = regexp.MustCompile(`<[^>]*>`)
	spaces    = regexp.MustCompile(`\s+`)
)

// plain is the text of a page as it is read: without tags, pictures and head.
func plain(page string) string {
	page = strings.ReplaceAll(strings.ReplaceAll(page, "&nbsp;", " "), "\u00a0", " ")
	text := anyTag.ReplaceAllString(invisible.ReplaceAllString(page, " "), "")
	return strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(text), " "))
}
