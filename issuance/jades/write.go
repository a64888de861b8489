package jades

import "unicode/utf8"

// write makes the sealed file in general JSON form (RFC 7515, 7.2.1) with one seal. header and
// signature are base64url; content has passed CheckContent.
func write(content []byte, header, signature string) []byte {
	const frame = len(`{"payload":"","signatures":[{"protected":"","signature":""}]}`)
	out := make([]byte, 0, frame+len(content)+len(content)/8+len(header)+len(signature))
	out = append(out, `{"payload":`...)
	out = appendQuoted(out, content)
	out = append(out, `,"signatures":[{"protected":"`...)
	out = append(out, header...)
	out = append(out, `","signature":"`...)
	out = append(out, signature...)
	return append(out, `"}]}`...)
}

// appendQuoted writes text as a JSON string as encoding/json does without its escapes for
// HTML: what must be escaped is, and with it the line separators of JavaScript.
func appendQuoted(out, text []byte) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	for len(text) > 0 {
		n := ordinary(text)
		out = append(out, text[:n]...)
		if text = text[n:]; len(text) == 0 {
			break
		}
		c, size := utf8.DecodeRune(text)
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', byte(c))
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c == '\u2028' || c == '\u2029':
			out = append(out, '\\', 'u', '2', '0', '2', digits[c&15])
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return append(out, '"')
}
