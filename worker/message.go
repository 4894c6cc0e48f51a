package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

// lineLimit is the length of the longest line on a worker's pipes, bytes.
const lineLimit = 64 << 10

// ErrBadRequest is a request that a worker does not understand.
var ErrBadRequest = errors.New("not a request to a worker")

// Request is what a worker is asked to do: the first line that it reads.
type Request struct {
	// Do is one of:
	//
	//	renew    what is due, see [keeper.Keeper.Renew]
	//	refresh  renew now: a person wants it
	//	login    sign in through the browser, or with a code
	//	add      ask for a secret in a dialog, until it is a good one, and keep it
	//	copy     hold an access token in the clipboard for 30 s, or until cancel
	//	logout   remove the login
	//	first    put the login before others of its provider
	//	restore  the entry in the profile file; without a profile all that are missing,
	//	         after the end of imports that were killed
	//	probe    the keychain
	//	unlock   it, which asks the person
	//	sync     write the files that are kept current and are due
	//	terminal open a window with the command that does the same: doctor; with a
	//	         kind the one that asks for a secret
	Do string `json:"do"`
	// Agent empty means the default one.
	Agent string `json:"agent,omitempty"`
	// Profile is the id; login and add may go without.
	Profile string `json:"profile,omitempty"`
	// Provider is for login, add and terminal.
	Provider string `json:"provider,omitempty"`
	// Code has login show a code in a dialog, to be entered in a browser anywhere,
	// and terminal the command that does the same.
	Code bool `json:"code,omitempty"`
	// Kind is for add and terminal: setup-token, token or api_key.
	Kind keeper.Pasted `json:"kind,omitempty"`
	// Confirm lets logout ask the person first; a no is an error, cancelled.
	Confirm bool `json:"confirm,omitempty"`
	// Person says that a person waits for this: a keychain that is locked may ask
	// them to unlock it, before anything else.
	Person bool `json:"person,omitempty"`
	// Say is what a dialog of login, add and logout says, in the person's language;
	// empty parts are said in English.
	Say Say `json:"say,omitzero"`
}

// Say is the text of a dialog.
type Say struct {
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	OK    string `json:"ok,omitempty"`
	// Other is the second button, where there are two.
	Other string `json:"other,omitempty"`
}

// Command is a later line for a worker: cancel, or, during a login, paste, for
// which the worker shows a dialog of its own, since secrets never pass through
// the pipe. While that dialog is open a second paste does nothing.
type Command struct {
	Cmd string `json:"cmd"`
}

// Event is a line that a worker writes. The last one is done or error.
type Event struct {
	// Event is one of:
	//
	//	started    with pid
	//	url        the sign-in page waits, with url and perhaps manual
	//	code       a code waits to be entered, with userCode, url, perhaps complete,
	//	           and expiresAt
	//	open       the person wants to see a page, url
	//	asking     a dialog waits for the person, who takes the time they need
	//	answered   and they have answered it
	//	refused    a paste was no good, or a command cannot be followed; it goes on
	//	sending    a refresh token is about to be spent
	//	received   a login has its tokens, which are saved next
	//	journalled the answer is safe
	//	committed  and saved
	//	copied     the token is in the clipboard
	//	farewell   a login is gone from here; with farewell, and perhaps why the
	//	           provider does not know
	//	done, error
	Event string `json:"event"`
	// PID comes with started.
	PID int `json:"pid,omitempty"`
	// URL is the sign-in page. It is of use only in the browser of this person.
	URL string `json:"url,omitempty"`
	// UserCode comes with code: what is to be entered at URL, or is part of Complete
	// already, until ExpiresAt, in Unix milliseconds. It is for the person alone: in
	// no log and no notification.
	UserCode  string `json:"userCode,omitempty"`
	Complete  string `json:"complete,omitempty"`
	ExpiresAt int64  `json:"expiresAt,omitempty"`
	// Manual comes with url where the browser cannot come back by itself, and says
	// why: the person has to paste what it ends on.
	Manual string `json:"manual,omitempty"`
	// Farewell comes with farewell.
	Farewell keeper.Farewell `json:"farewell,omitempty"`
	// Profile comes with done where there is one.
	Profile *Report `json:"profile,omitempty"`
	// Failure comes with error and refused.
	*Failure
}

// Report is a login as programs are told of it.
type Report struct {
	Agent      string `json:"agent"`
	ID         string `json:"id"`
	Provider   string `json:"provider"`
	Email      string `json:"email,omitempty"`
	Plan       string `json:"plan,omitempty"`
	Generation uint64 `json:"generation"`
	// State, Message and Command are a [keeper.Condition].
	State   string `json:"state"`
	Message string `json:"message"`
	Command string `json:"command,omitempty"`
	// ExpiresAt is in Unix milliseconds, 0 where it is not known.
	ExpiresAt int64 `json:"expiresAt,omitempty"`
}

// Failure is an error as programs are told of it. It holds no secret.
type Failure struct {
	// Code is one word.
	Code string `json:"code"`
	// Exit is the exit code that the command has for it.
	Exit int `json:"exit"`
	// Reason is one word for why a login is gone, where it is.
	Reason string `json:"reason,omitempty"`
	// Message says it to a person, Hint what helps.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

func readRequest(lines *bufio.Scanner) (Request, error) {
	var r Request
	if !lines.Scan() {
		return r, ErrBadRequest
	}
	d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil {
		return r, ErrBadRequest // its text may quote the line
	}
	if r.Agent == "" {
		r.Agent = sink.DefaultAgent
	}
	if err := sink.CheckAgent(r.Agent); err != nil {
		return r, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return r, nil
}

func report(p sink.Profile, now time.Time) *Report {
	c := keeper.ConditionOf(p, now)
	r := &Report{
		Agent: p.Agent, ID: p.ID, Provider: p.Provider, Email: p.Account.Email, Plan: p.Account.Plan,
		Generation: p.Generation, State: c.Word, Message: c.Sentence, Command: c.Command,
	}
	if !p.Expires.IsZero() {
		r.ExpiresAt = p.Expires.UnixMilli()
	}
	return r
}
