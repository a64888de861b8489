package demolms

import (
	"net/http"
	"strings"
	"time"
)

// disturbed applies the knobs of the services; true when the answer is given.
func (l *LMS) disturbed(w http.ResponseWriter, r *http.Request) bool {
	path := servicePath(r)
	if l.disturbedAll(w, r) {
		return true
	}
	oneItem := pathLineItem.MatchString(path) || pathScores.MatchString(path) || pathResults.MatchString(path)
	switch {
	case oneItem && l.take(LineItemsGone):
		l.refuseService(w, r, http.StatusNotFound, "Not Found: Grade item doesn't exist")
	case pathResults.MatchString(path):
		return l.disturbResults(w, r)
	case pathScores.MatchString(path):
		return l.disturbScores(w, r)
	case (pathLineItems.MatchString(path) || pathLineItem.MatchString(path)) && l.take(LineItemsError),
		pathMembers.MatchString(path) && l.take(MembersError):
		l.refuseService(w, r, http.StatusInternalServerError, "Internal Server Error")
	case pathMembers.MatchString(path) && l.take(MembersLimit):
		writeBody(w, http.StatusForbidden, jsonType, `{"error":"above_response_limit"}`)
	default:
		return false
	}
	return true
}

// disturbedAll applies the knobs of all services.
func (l *LMS) disturbedAll(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case l.take(ServicesDenied):
		l.refuseService(w, r, http.StatusUnauthorized, "Unauthorized")
	case l.take(ServicesBusy):
		w.Header().Set("Retry-After", "1")
		l.refuseService(w, r, http.StatusTooManyRequests, "Too Many Requests")
	case l.take(ServicesDown):
		w.Header().Set("Retry-After", l.cfg.Now().Add(time.Second).UTC().Format(http.TimeFormat))
		l.refuseService(w, r, http.StatusServiceUnavailable, "Service Unavailable")
	case l.take(ServicesRedirect):
		http.Redirect(w, r, foreignHost+r.URL.RequestURI(), http.StatusTemporaryRedirect) //nolint:gosec // G710: leaving is what the knob is for
	default:
		return false
	}
	return true
}

func (l *LMS) disturbScores(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case l.take(ScoresError):
		l.refuseService(w, r, http.StatusInternalServerError, "Internal Server Error")
	case l.take(ScoresHTML):
		writeBody(w, http.StatusOK, htmlType, maintenancePage)
	case l.take(ScoresForbidden):
		l.refuseService(w, r, http.StatusForbidden, "Forbidden")
	case l.take(ScoresConflict):
		l.writeReply(w, r, scoreRefused(http.StatusConflict, "Refusing score with an earlier timestamp"))
	case l.take(ScoresInvalid):
		writeBody(w, http.StatusUnprocessableEntity, jsonType, `{"errors":{"type":"unprocessable_entity","message":"User not found in course or is not a student"}}`)
	default:
		return false
	}
	return true
}

func (l *LMS) disturbResults(w http.ResponseWriter, r *http.Request) bool {
	if !l.wait(r.Context(), ResultsSlow) {
		return true
	}
	switch {
	case l.take(ResultsError):
		l.refuseService(w, r, http.StatusInternalServerError, "Internal Server Error")
	case l.take(ResultsHTML):
		writeBody(w, http.StatusOK, htmlType, maintenancePage)
	case l.take(ResultsDenied):
		l.mu.Lock()
		delete(l.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		l.mu.Unlock()
		l.refuseService(w, r, http.StatusUnauthorized, "Unauthorized")
	case l.take(ResultsForbidden):
		l.refuseService(w, r, http.StatusForbidden, "Forbidden")
	case l.take(ResultsGarbage):
		writeBody(w, http.StatusOK, typeResults, `[{"id":"x","userId":"7","resultScore":4`)
	case l.take(ResultsHuge):
		row := `{"id":"x","userId":"424242","resultScore":1,"resultMaximum":100},`
		writeBody(w, http.StatusOK, typeResults, "["+strings.Repeat(row, hugeAnswer/len(row))+strings.TrimSuffix(row, ",")+"]")
	case l.take(ResultsBusy):
		w.Header().Set("Retry-After", "1")
		l.refuseService(w, r, http.StatusTooManyRequests, "Too Many Requests")
	default:
		return false
	}
	return true
}
