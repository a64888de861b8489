package demolms

// Role is what a person may do in the LMS; it decides the LTI roles of a
// launch.
type Role string

// The three kinds of people of the demo.
const (
	Learner Role = "learner"
	Teacher Role = "teacher"
	Admin   Role = "admin"
)

// User is a person of the LMS. Learners and teachers are enrolled in every
// course; an administrator is enrolled in none, as is usual.
type User struct {
	// ID is the sub of launches and the userId of services: a small decimal
	// number, unique only within the issuer.
	ID string `json:"id"`
	// Username is the name for addresses such as /as/maija.
	Username string `json:"username"`
	Given    string `json:"given"`
	Family   string `json:"family"`
	Email    string `json:"email"`
	// IDNumber is the institution's own number of the person; may be empty.
	IDNumber string `json:"id_number"`
	Role     Role   `json:"role"`
	// Suspended members stay in the gradebook but not in membership lists.
	Suspended bool `json:"suspended,omitempty"`
}

// Name is given and family name.
func (u User) Name() string { return u.Given + " " + u.Family }

// Course is one course of the LMS; its ID is the context id of launches.
type Course struct {
	ID       string `json:"id"`
	Label    string `json:"label"`
	Title    string `json:"title"`
	IDNumber string `json:"id_number"`
	// Summary is one sentence for the course page.
	Summary string `json:"summary"`
	// Topics are the lines a course page shows besides its tools.
	Topics []string `json:"topics"`
	// CopiedFrom is the course this one was copied from; may be empty.
	CopiedFrom string `json:"copied_from,omitempty"`
}

// Site is the content of an LMS on its first start.
type Site struct {
	// Name is the institution, ShortName its abbreviation.
	Name, ShortName string
	// Locale is the language of launches, "en" when empty.
	Locale string
	// Theme colours the pages: "blue" (when empty), "plum" or "teal", so that
	// two institutions on one screen are told apart.
	Theme   string
	Users   []User
	Courses []Course
}

// siteCourse is Moodle's front page, the context of launches that belong to
// no course.
const siteCourse = "1"

// PolderSite is an invented technical university with two courses, a teacher,
// an administrator and three learners.
func PolderSite() Site {
	return Site{
		Name: "Polder University of Technology", ShortName: "PUT",
		Users: []User{
			{ID: "2", Username: "admin", Given: "Bram", Family: "van der Sluis", Email: "admin@polder.example", Role: Admin},
			{ID: "3", Username: "teacher", Given: "Femke", Family: "Oosterdijk", Email: "teacher@polder.example", IDNumber: "EMP-001", Role: Teacher},
			{ID: "7", Username: "maija", Given: "Maija", Family: "Meikäläinen", Email: "maija@polder.example", IDNumber: "STU-1000", Role: Learner},
			{ID: "8", Username: "jan", Given: "Jan", Family: "Modaal", Email: "jan@polder.example", IDNumber: "STU-1001", Role: Learner},
			{ID: "9", Username: "erika", Given: "Erika", Family: "Mustermann", Email: "erika@polder.example", Role: Learner},
		},
		Courses: []Course{
			{
				ID: "2", Label: "SFS24", Title: "Sustainable Food Systems", IDNumber: "SIS-SFS-24",
				Summary: "How food is grown, moved and wasted, and what a region can change about it.",
				Topics:  []string{"Week 1: what a food system is", "Week 2: reading a life-cycle assessment", "Week 3: protein transition, a field visit", "Week 4: the regional plan"},
			},
			{
				ID: "3", Label: "DEP12", Title: "Data Ethics in Practice", IDNumber: "SIS-DEP-12",
				Summary: "Cases from hospitals, city halls and classrooms, decided by those who take the course.",
				Topics:  []string{"Case 1: the waiting list", "Case 2: the camera in the square", "Case 3: grading by machine"},
			},
		},
	}
}

// FjordmarkSite is an invented college in another country. Its user and course
// ids are those of PolderSite on purpose: a sub means nothing without its
// issuer.
func FjordmarkSite() Site {
	return Site{
		Name: "Fjordmark College", ShortName: "FMC", Theme: "plum",
		Users: []User{
			{ID: "2", Username: "admin", Given: "Solveig", Family: "Havn", Email: "admin@fjordmark.example", Role: Admin},
			{ID: "3", Username: "teacher", Given: "Eirik", Family: "Strandvik", Email: "teacher@fjordmark.example", IDNumber: "A-17", Role: Teacher},
			{ID: "7", Username: "ola", Given: "Ola", Family: "Nordmann", Email: "ola@fjordmark.example", IDNumber: "S-2201", Role: Learner},
			{ID: "8", Username: "kari", Given: "Kari", Family: "Nordmann", Email: "kari@fjordmark.example", IDNumber: "S-2202", Role: Learner},
			{ID: "9", Username: "anna", Given: "Anna", Family: "Malli", Email: "anna@fjordmark.example", IDNumber: "S-2203", Role: Learner},
		},
		Courses: []Course{
			{
				ID: "2", Label: "COAST", Title: "Coastal Monitoring", IDNumber: "COAST-26",
				Summary: "Plan a survey of a stretch of coast, take samples by protocol, say what is uncertain.",
				Topics:  []string{"Tides, access and safety", "Sampling water and sediment", "Reading results against limits"},
			},
			{
				ID: "3", Label: "LCT", Title: "Life-cycle Thinking", IDNumber: "LCT-26",
				Summary: "From cradle to grave: where the burden of a product really lies.",
				Topics:  []string{"Goal and scope", "Inventory", "Interpretation"},
			},
		},
	}
}
