package demolms

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// Activity is an external tool placed in a course: an LTI resource link.
type Activity struct {
	// ID is the resource_link id of launches.
	ID string `json:"id"`
	// CMID is Moodle's other number of the same thing; it appears in
	// lti_message_hint only.
	CMID   int    `json:"cmid"`
	Course string `json:"course"`
	// ClientID names the tool.
	ClientID    string `json:"client_id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// URL is the target link; empty means the tool's LaunchURL.
	URL    string            `json:"url,omitempty"`
	Custom map[string]string `json:"custom,omitempty"`
	// CopiedFrom is the activity this one was copied from; may be empty.
	CopiedFrom string `json:"copied_from,omitempty"`
}

// SubmissionReview is where a tool wants a submission to be looked at.
type SubmissionReview struct {
	URL    string            `json:"url,omitempty"`
	Custom map[string]string `json:"custom,omitempty"`
}

// LineItem is a column of the gradebook that belongs to a tool.
type LineItem struct {
	ID       int    `json:"id"`
	Course   string `json:"course"`
	ClientID string `json:"client_id"`
	Label    string `json:"label"`
	// Max is the highest grade, more than zero.
	Max        float64 `json:"max"`
	ResourceID string  `json:"resource_id,omitempty"`
	Tag        string  `json:"tag,omitempty"`
	// Activity is the resource link the item is coupled to; empty for an
	// item that stands alone.
	Activity string `json:"activity,omitempty"`
	// Formula calculates the grades from other line items; see SetFormula.
	Formula string            `json:"formula,omitempty"`
	Review  *SubmissionReview `json:"review,omitempty"`
}

// Grade is the grade of one learner in one line item.
type Grade struct {
	// Score is nil when there is no grade.
	Score   *float64 `json:"score,omitempty"`
	Comment string   `json:"comment,omitempty"`
	// At is when the grade last changed; the tool's own time for scores.
	At time.Time `json:"at"`
	// Overridden grades were typed by the teacher. Later scores of the tool
	// are accepted and have no effect, as in Moodle.
	Overridden bool `json:"overridden,omitempty"`
}

// state is everything a restart must not lose.
type state struct {
	Site       siteState                `json:"site"`
	Users      []User                   `json:"users"`
	Courses    []Course                 `json:"courses"`
	Activities []Activity               `json:"activities"`
	LineItems  []LineItem               `json:"line_items"`
	Grades     map[int]map[string]Grade `json:"grades"`
	NextID     int                      `json:"next_id"`
	// Tools are those that registered themselves.
	Tools []Tool `json:"tools,omitempty"`
	// Handlers are the notice handlers by client id and type of notice.
	Handlers map[string]map[string]string `json:"handlers,omitempty"`
	Key      string                       `json:"key"`
}

type siteState struct {
	GUID string `json:"guid"`
}

// User finds a person by id or by username.
func (l *LMS) User(name string) (User, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.user(name)
}

func (l *LMS) user(name string) (User, error) {
	for _, u := range l.data.Users {
		if u.ID == name || u.Username == name {
			return u, nil
		}
	}
	return User{}, fmt.Errorf("user %q: %w", name, ErrNotFound)
}

// Users are all people, administrators and teachers first.
func (l *LMS) Users() []User {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.data.Users)
}

// Courses are all courses but the front page.
func (l *LMS) Courses() []Course {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.data.Courses)
}

// course finds a course, the front page included.
func (l *LMS) course(id string) (Course, error) {
	if id == siteCourse {
		return Course{ID: siteCourse, Label: l.cfg.Site.ShortName, Title: l.cfg.Site.Name}, nil
	}
	for _, c := range l.data.Courses {
		if c.ID == id {
			return c, nil
		}
	}
	return Course{}, fmt.Errorf("course %q: %w", id, ErrNotFound)
}

// Activities are the tools placed in a course, in the order of creation.
func (l *LMS) Activities(course string) []Activity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.activities(course)
}

func (l *LMS) activities(course string) []Activity {
	var out []Activity
	for _, a := range l.data.Activities {
		if a.Course == course {
			a.Custom = maps.Clone(a.Custom)
			out = append(out, a)
		}
	}
	return out
}

func (l *LMS) activity(id string) (Activity, error) {
	for _, a := range l.data.Activities {
		if a.ID == id {
			return a, nil
		}
	}
	return Activity{}, fmt.Errorf("activity %q: %w", id, ErrNotFound)
}

// LineItems are the gradebook columns of a course, in the order of creation.
func (l *LMS) LineItems(course string) []LineItem {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lineItems(func(i LineItem) bool { return i.Course == course })
}

func (l *LMS) lineItems(want func(LineItem) bool) []LineItem {
	var out []LineItem
	for _, i := range l.data.LineItems {
		if want(i) {
			out = append(out, i)
		}
	}
	return out
}

// lineItem points into the data; the caller holds the lock.
func (l *LMS) lineItem(id int) (*LineItem, error) {
	for i := range l.data.LineItems {
		if l.data.LineItems[i].ID == id {
			return &l.data.LineItems[i], nil
		}
	}
	return nil, fmt.Errorf("line item %d: %w", id, ErrNotFound)
}

// Place puts a tool into a course as a teacher's "Save" would: the activity,
// and a line item when the content item asks for one. The course may be "1",
// the front page.
func (l *LMS) Place(course, clientID string, item ContentItem) (Activity, error) {
	l.mu.Lock()
	a, err := l.place(course, clientID, item)
	l.mu.Unlock()
	if err != nil {
		return Activity{}, err
	}
	return a, l.Save()
}

func (l *LMS) place(course, clientID string, item ContentItem) (Activity, error) {
	if _, err := l.course(course); err != nil {
		return Activity{}, err
	}
	t, err := l.toolByClient(clientID)
	if err != nil {
		return Activity{}, err
	}
	n := l.nextID()
	a := Activity{
		ID: strconv.Itoa(n), CMID: n + 100, Course: course, ClientID: clientID,
		Title: cmp.Or(item.Title, t.Name), Description: item.Text, URL: item.URL, Custom: maps.Clone(item.Custom),
	}
	l.data.Activities = append(l.data.Activities, a)
	if li := item.LineItem; li != nil && li.ScoreMaximum > 0 {
		l.data.LineItems = append(l.data.LineItems, LineItem{
			// Moodle drops the label of the item: the column takes the title.
			ID: l.nextID(), Course: course, ClientID: clientID, Label: a.Title, Max: li.ScoreMaximum,
			ResourceID: li.ResourceID, Tag: li.Tag, Activity: a.ID, Review: li.SubmissionReview,
		})
	}
	return a, nil
}

func (l *LMS) nextID() int {
	l.data.NextID++
	return l.data.NextID
}

// SetGrade types a grade into the gradebook as a teacher would; nil empties
// the cell. A column coupled to an activity becomes overridden by it.
func (l *LMS) SetGrade(lineItem int, user string, score *float64) error {
	l.mu.Lock()
	err := l.setGrade(lineItem, user, score)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

func (l *LMS) setGrade(lineItem int, user string, score *float64) error {
	i, err := l.lineItem(lineItem)
	if err != nil {
		return err
	}
	u, err := l.user(user)
	if err != nil {
		return err
	}
	if score != nil && (math.IsNaN(*score) || *score < 0 || *score > i.Max) {
		return fmt.Errorf("grade %v of %q is not between 0 and %v", *score, u.Username, i.Max)
	}
	g := l.data.Grades[i.ID][u.ID]
	g.Score, g.At = score, l.cfg.Now().UTC().Truncate(time.Second)
	g.Overridden = (i.Activity != "" || i.Formula != "") && score != nil
	if i.Formula != "" && score == nil {
		// An emptied cell is calculated again.
		delete(l.data.Grades[i.ID], u.ID)
		return nil
	}
	l.putGrade(i.ID, u.ID, g)
	return nil
}

// SetMaximum changes the highest grade of a line item as a teacher would; the
// grades in it are scaled.
func (l *LMS) SetMaximum(lineItem int, highest float64) error {
	l.mu.Lock()
	i, err := l.lineItem(lineItem)
	switch {
	case err != nil:
	case math.IsNaN(highest) || highest <= 0:
		err = fmt.Errorf("maximum %v is not more than zero", highest)
	default:
		l.rescale(*i, highest)
		i.Max = highest
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

// DeleteLineItem removes a line item and its grades as a teacher would.
func (l *LMS) DeleteLineItem(lineItem int) error {
	l.mu.Lock()
	_, err := l.lineItem(lineItem)
	if err == nil {
		l.dropLineItem(lineItem)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

func (l *LMS) dropLineItem(id int) {
	l.data.LineItems = slices.DeleteFunc(l.data.LineItems, func(o LineItem) bool { return o.ID == id })
	delete(l.data.Grades, id)
}

func (l *LMS) putGrade(item int, user string, g Grade) {
	if l.data.Grades[item] == nil {
		l.data.Grades[item] = map[string]Grade{}
	}
	l.data.Grades[item][user] = g
}

// Grade reads a cell of the gradebook; a cell nobody touched is the zero Grade.
func (l *LMS) Grade(lineItem int, user string) (Grade, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, err := l.user(user)
	if err != nil {
		return Grade{}, err
	}
	i, err := l.lineItem(lineItem)
	if err != nil {
		return Grade{}, err
	}
	return l.grade(*i, u.ID), nil
}

// LineItemURL is the address of a line item as services and launches name it.
func (l *LMS) LineItemURL(id int) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.lineItem(id)
	if err != nil {
		return "", err
	}
	return l.lineItemURL(*i), nil
}
