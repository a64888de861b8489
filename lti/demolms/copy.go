package demolms

// contextHistory are the ids of the courses a course was copied from, nearest
// first; the caller holds the lock.
func (l *LMS) contextHistory(c Course) []string {
	var out []string
	for c.CopiedFrom != "" {
		out = append(out, c.CopiedFrom)
		next, err := l.course(c.CopiedFrom)
		if err != nil {
			break
		}
		c = next
	}
	return out
}

// linkHistory does the same for the activities; the caller holds the lock.
func (l *LMS) linkHistory(a Activity) []string {
	var out []string
	for a.CopiedFrom != "" {
		out = append(out, a.CopiedFrom)
		next, err := l.activity(a.CopiedFrom)
		if err != nil {
			break
		}
		a = next
	}
	return out
}
