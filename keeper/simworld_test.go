package keeper_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/machine"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// The simulated world: a keychain, a disk, locks, an authorization server and a
// clock, on which several processes run the real engine. Every act of a process
// on the world is a step; at a step it may be killed, or the world may fail it.
// All of it lives in one synctest bubble, so time passes only when everybody
// waits.

// fault is what goes wrong at a step. Which ones make sense depends on the step.
type fault string

const (
	killBefore   fault = "kill before"
	killAfter    fault = "kill after"
	failNot      fault = "error, not applied"
	failApplied  fault = "error, applied"
	silentNot    fault = "nil, not applied" // what a dismissed dialog does; read-back finds it
	hang         fault = "hangs, applied late"
	hangKilled   fault = "hangs, killed, applied late"
	torn         fault = "killed, item torn"
	pause        fault = "stopped for a while" // SIGSTOP, a debugger, a swapped-out machine
	fullLocked   fault = "disk full, and the keychain locked for minutes"
	asDial       fault = "server unreachable"
	asDropBefore fault = "request lost"
	asDropAfter  fault = "answer lost"
	as500Before  fault = "500, not processed"
	as500After   fault = "500, processed"
	as503        fault = "503"
	asHTML       fault = "200 with HTML, processed"
	asCut        fault = "answer cut short"
	asRedirect   fault = "307 elsewhere"
	asOdd        fault = "answer with an odd access token"
	asOddLost    fault = "answer with an odd access token, and the next request lost"
)

var (
	killFaults     = []fault{killBefore, killAfter, pause}
	keychainFaults = []fault{failNot, failApplied, silentNot, hang}
	writeFaults    = []fault{hangKilled, torn}
	diskFaults     = []fault{failNot, failApplied}
	serverFaults   = []fault{asDial, asDropBefore, asDropAfter, as500Before, as500After, as503, asHTML, asCut, asRedirect, asOdd, asOddLost}
)

var (
	errKilled   = errors.New("killed")
	errKeychain = errors.New("the keychain does not answer")
	errNoSpace  = errors.New("no space left on device")
)

// world is everything that outlives a process.
type world struct {
	// mu guards everything, for the race detector's sake: two processes are never
	// awake at the same time, which it cannot know.
	mu sync.Mutex

	rng   *rand.Rand
	plan  map[int]fault // by step number
	steps int
	kinds []string // of the steps so far
	parts []string // of a random run's plan
	doom  fault    // of the next request
	trace []string
	quiet bool // no faults any more

	items  map[string][]byte
	late   []lateWrite
	locked time.Time // the keychain answers nothing until then
	frozen time.Time // it takes no writes until then
	files  map[string][]byte
	locks  map[string]*proc
	bodies map[string]sink.LockBody
	offset time.Duration // of the wall clock
	server *server

	events     []event
	violations []string
	highest    map[string]uint64 // generation seen in each agent's mirror
	mayBeOut   map[string]bool   // agents that somebody signed out
	gone       map[string]bool   // those that are, in the end
}

// event happens to the world at the first step after its time.
type event struct {
	at time.Time
	do func()
}

func (w *world) at(after time.Duration, do func()) {
	w.events = append(w.events, event{time.Now().Add(after), do})
}

func (w *world) happen() {
	w.events = slices.DeleteFunc(w.events, func(e event) bool {
		if time.Now().Before(e.at) {
			return false
		}
		e.do()
		return true
	})
}

// lateWrite is a write whose client gave up, or died.
type lateWrite struct {
	at    time.Time
	name  string
	value []byte
}

func newWorld(seed uint64, policy provider.Policy) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), plan: map[int]fault{},
		highest: map[string]uint64{}, mayBeOut: map[string]bool{}, gone: map[string]bool{}, items: map[string][]byte{}, files: map[string][]byte{}, locks: map[string]*proc{}, bodies: map[string]sink.LockBody{},
	}
	w.server = &server{w: w, policy: policy, refresh: map[string]*simRefresh{}, access: map[string]time.Time{}}
	return w
}

func (w *world) wall() time.Time { return time.Now().Add(w.offset) }

// clock is what a process reads; it may be in the middle of an act.
func (p *proc) clock() sink.Moment {
	if !p.holds {
		p.hold()
		defer p.done()
	}
	return p.w.clock()
}

func (w *world) clock() sink.Moment {
	return sink.Moment{Wall: w.wall(), Boot: "boot", Up: time.Since(simStart)}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%9s  ", time.Since(simStart).Truncate(time.Millisecond))+fmt.Sprintf(format, args...))
}

// simStart is when every bubble begins.
var simStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) violation(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	w.note("VIOLATION: %s", v)
	w.violations = append(w.violations, v)
}

// proc is one process: an engine with its own memory, its own connection to the
// keychain, and a number.
type proc struct {
	w      *world
	pid    int
	rng    *rand.Rand
	holds  bool // w.mu
	dead   bool
	wedged bool
	// flight is the refresh token whose successor this process has in memory
	// and nowhere else.
	flight *simRefresh
	// asked is the generation that a person wants renewed, 0 if nobody asks.
	asked  uint64
	ref    sink.Ref
	keeper *keeper.Keeper
}

const (
	simDir   = "/sim/root"
	simPlace = "/sim/place"
)

func (w *world) start(pid int) *proc {
	p := &proc{w: w, pid: pid, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 3))}
	store := sink.OpenOn(simDir, simPlace, simSecrets{p}, sink.Seams{Disk: simDisk{p}, Locker: simLocker{p}, Clock: p.clock, Seed: w.rng.Uint64()})
	p.keeper = &keeper.Keeper{
		Store: store, Client: &oauth.Client{Transport: simTransport{p}}, Providers: provider.Catalog{w.server.provider()},
		Log: slog.New(slog.DiscardHandler), Clock: p.clock,
	}
	store.Revoke = p.keeper.Forsake
	return p
}

// step is one act on the world: time passes, and what the plan has for it
// happens. It returns the fault that the act itself must show.
func (p *proc) step(kind, what string) fault {
	w := p.w
	p.sleep(time.Duration(100+p.rng.IntN(4000)) * time.Microsecond)
	w.happen()
	w.steps++
	w.kinds = append(w.kinds, kind)
	f := w.plan[w.steps]
	if w.quiet {
		f = ""
	}
	w.note("%4d p%d %s %s %s", w.steps, p.pid, kind, what, f)
	switch f {
	case killBefore:
		p.kill(kind)
	case pause:
		p.sleep(time.Duration(1+p.rng.IntN(90)) * time.Second)
	}
	return f
}

// sleep lets time pass for everybody, and then has the world to itself until
// done. A dead process does nothing any more, not even in its defers.
func (p *proc) sleep(d time.Duration) {
	p.done()
	if p.dead {
		panic(errKilled)
	}
	time.Sleep(d)
	p.hold()
}

func (p *proc) hold() {
	if p.dead {
		panic(errKilled)
	}
	p.w.mu.Lock()
	p.holds = true
}

// done ends what hold began; every act defers it.
func (p *proc) done() {
	if p.holds {
		p.holds = false
		p.w.mu.Unlock()
	}
}

// after ends an act that was done.
func (p *proc) after(f fault, kind string) {
	if f == killAfter {
		p.kill(kind)
	}
}

// kill ends the process as kill -9 does: its locks are free, and what only it
// knew is gone. Where it dies decides whether that may cost the login.
func (p *proc) kill(kind string) {
	p.dead = true
	for path, holder := range p.w.locks {
		if holder == p {
			delete(p.w.locks, path)
		}
	}
	switch {
	case p.flight == nil:
	case p.flight.unjournalled:
		p.flight.lost = "W3"
	case kind == "post" || kind == "fill":
		p.flight.lost = "W2"
	}
	p.w.note("     p%d killed", p.pid)
	panic(errKilled)
}

// ---- keychain

// simSecrets keeps the contract of package keychain: it reads back, bounds its
// calls, and refuses to work while a write of its own is unfinished.
type simSecrets struct{ p *proc }

func (s simSecrets) ready(ctx context.Context) error {
	s.p.w.applyLate(false)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.p.w.wall().Before(s.p.w.locked) && !s.p.w.quiet:
		return fmt.Errorf("%w: locked", errKeychain)
	case s.p.wedged:
		return fmt.Errorf("%w: a write is unfinished", errKeychain)
	}
	return nil
}

func (w *world) applyLate(all bool) {
	w.late = slices.DeleteFunc(w.late, func(l lateWrite) bool {
		if !all && time.Now().Before(l.at) {
			return false
		}
		w.note("     late write of %s lands", short(l.name))
		w.put(l.name, l.value)
		return true
	})
}

func (w *world) put(name string, value []byte) {
	if value == nil {
		delete(w.items, name)
		return
	}
	w.items[name] = value
}

func (s simSecrets) Get(ctx context.Context, name string) ([]byte, error) {
	defer s.p.done()
	f := s.p.step("get", short(name))
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if slices.Contains(keychainFaults, f) {
		return nil, errKeychain
	}
	v, ok := s.p.w.items[name]
	s.p.after(f, "get")
	if !ok {
		return nil, fs.ErrNotExist
	}
	if string(v) == tornValue {
		return nil, fs.ErrInvalid
	}
	return slices.Clone(v), nil
}

func (s simSecrets) Set(ctx context.Context, name string, value []byte) error {
	return s.write(ctx, "set", name, value)
}

func (s simSecrets) Delete(ctx context.Context, name string) error {
	return s.write(ctx, "delete", name, nil)
}

// tornValue is an item whose writer died in the middle of it.
const tornValue = "torn"

func (s simSecrets) write(ctx context.Context, verb, name string, value []byte) error {
	defer s.p.done()
	f := s.p.step(verb, short(name))
	if err := s.ready(ctx); err != nil {
		return err
	}
	w := s.p.w
	if w.wall().Before(w.frozen) && !w.quiet {
		return fmt.Errorf("%w: it takes no writes", errKeychain)
	}
	switch f {
	case failNot, silentNot:
		return errKeychain // silence is found out by reading back
	case torn: // only what may be split over several items can be
		if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
			w.put(name, []byte(tornValue))
		}
		s.p.kill(verb)
	case hang, hangKilled:
		s.p.wedged = true
		w.late = append(w.late, lateWrite{time.Now().Add(time.Duration(w.rng.Int64N(int64(40 * time.Minute)))), name, value})
		if f == hangKilled {
			s.p.kill(verb)
		}
		s.p.sleep(5 * time.Second)
		return errKeychain
	}
	w.put(name, value)
	if strings.Contains(name, ".slot.") && value != nil {
		s.p.saved()
	}
	s.p.after(f, verb)
	return nil // also for failApplied: reading back finds it there
}

// Barrier is answered behind all older writes, of the living and the dead.
func (s simSecrets) Barrier(ctx context.Context) error {
	defer s.p.done()
	f := s.p.step("barrier", "")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if slices.Contains(keychainFaults, f) || (s.p.w.wall().Before(s.p.w.locked) && !s.p.w.quiet) {
		return errKeychain
	}
	s.p.w.applyLate(true)
	s.p.wedged = false
	s.p.after(f, "barrier")
	return nil
}

// saved notes that the newest refresh token survives this process.
func (p *proc) saved() { p.flight = nil }

func short(name string) string {
	if i := strings.IndexByte(name, '.'); i > 6 {
		return name[:6] + name[i:]
	}
	return name
}

// ---- disk

type simDisk struct{ p *proc }

func (d simDisk) Prepare(string, ...string) error { return nil }

func (d simDisk) Read(path string, limit int64) ([]byte, error) {
	d.p.hold()
	defer d.p.done()
	b, ok := d.p.w.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if int64(len(b)) > limit {
		return nil, errors.New("too large")
	}
	return slices.Clone(b), nil
}

func (d simDisk) Replace(path string, b []byte) error {
	defer d.p.done()
	f := d.p.step("replace", base(path))
	if f == failNot {
		return errNoSpace
	}
	d.p.w.store(path, b)
	d.p.after(f, "replace")
	if f == failApplied {
		return errNoSpace
	}
	return nil
}

func (d simDisk) Reserve(path string, size int) error {
	defer d.p.done()
	f := d.p.step("reserve", base(path))
	if f == failNot {
		return errNoSpace
	}
	d.p.w.files[path] = make([]byte, size)
	d.p.after(f, "reserve")
	if f == failApplied {
		return errNoSpace
	}
	return nil
}

func (d simDisk) Fill(reserved, path string, b []byte) error {
	defer d.p.done()
	f := d.p.step("fill", base(path))
	if f == fullLocked {
		d.p.w.locked = d.p.w.wall().Add(5 * time.Minute)
	}
	if f == failNot || f == fullLocked || d.p.w.files[reserved] == nil {
		if d.p.flight != nil {
			d.p.flight.unjournalled = true
		}
		return errNoSpace
	}
	delete(d.p.w.files, reserved)
	d.p.w.store(path, b)
	d.p.saved()
	d.p.after(f, "fill")
	if f == failApplied {
		return errNoSpace
	}
	return nil
}

func (d simDisk) Remove(paths ...string) error {
	defer d.p.done()
	f := d.p.step("remove", base(paths[0]))
	if f == failNot {
		return errNoSpace
	}
	for _, path := range paths {
		delete(d.p.w.files, path)
	}
	d.p.after(f, "remove")
	if f == failApplied {
		return errNoSpace
	}
	return nil
}

// base is the last part of a path, or whose mirror it is.
func base(path string) string {
	if strings.HasSuffix(path, "auth-profiles.json") {
		return strings.Split(path, "/")[4] + "'s mirror"
	}
	return lastPart(path)
}

func lastPart(path string) string { return short(path[strings.LastIndexByte(path, '/')+1:]) }

// store puts a file down and looks at it as a thief would.
func (w *world) store(path string, b []byte) {
	w.files[path] = slices.Clone(b)
	if bytes.Contains(b, []byte("rt-")) || bytes.Contains(b, []byte("at-")) {
		w.violation("I8: %s holds a secret", path)
	}
	if strings.HasSuffix(path, "auth-profiles.json") {
		w.checkMirror(path, b)
	}
}

// simMirror is what we look for in a mirror.
type simMirror struct {
	Profiles map[string]struct {
		Keytray struct {
			Key        string
			Generation uint64
		}
	}
}

// keyOf is the key of an agent's profile, by its mirror.
func (w *world) keyOf(agent string) string {
	var m simMirror
	_ = json.Unmarshal(w.files[mirrorOf(agent)], &m) // no mirror, no key
	return m.Profiles[simID].Keytray.Key
}

func (w *world) checkMirror(path string, b []byte) {
	var m simMirror
	if err := json.Unmarshal(b, &m); err != nil {
		w.violation("the mirror is not JSON: %v", err)
		return
	}
	e, ok := m.Profiles[simID]
	switch {
	case !ok:
		w.highest[path] = 0 // signed out
	case e.Keytray.Generation < w.highest[path]:
		w.violation("I6: the mirror went from generation %d to %d", w.highest[path], e.Keytray.Generation)
	default:
		w.highest[path] = e.Keytray.Generation
	}
}

// ---- locks

type simLocker struct{ p *proc }

func (l simLocker) TryLock(path string) (func(), error) {
	l.p.hold()
	defer l.p.done()
	holder := l.p.w.locks[path]
	if holder != nil {
		if holder == l.p {
			l.p.w.violation("one process asks twice for %s", base(path))
		}
		return nil, nil
	}
	l.p.w.locks[path] = l.p
	return func() { l.unlock(path) }, nil
}

func (l simLocker) unlock(path string) {
	if l.p.dead { // the system has done it
		return
	}
	l.p.hold()
	defer l.p.done()
	if l.p.w.locks[path] == l.p {
		delete(l.p.w.locks, path)
	}
}

func (l simLocker) Body(path string) sink.LockBody {
	l.p.hold()
	defer l.p.done()
	return l.p.w.bodies[path]
}

func (l simLocker) WriteBody(path string, b sink.LockBody) error {
	l.p.hold()
	defer l.p.done()
	l.p.w.bodies[path] = b
	return nil
}

func (l simLocker) Self() machine.Process { return machine.Process{PID: l.p.pid, Start: 1} }

// Lives: by the lock file that was not replaced, a holder that lives would have
// kept us out.
func (l simLocker) Lives(machine.Process) bool { return false }

// ---- authorization server

// simRefresh is a refresh token as the server knows it.
type simRefresh struct {
	id      string
	family  *simFamily
	access  string // issued with it
	spent   time.Time
	arrived int
	// lost says why nobody may have the successor: W1, W2 or W3.
	lost string
	// unjournalled: the journal of the answer could not be written.
	unjournalled bool
}

type simFamily struct {
	revoked bool
	told    int // how often it was asked to end it
}

type server struct {
	w       *world
	policy  provider.Policy
	n       int
	refresh map[string]*simRefresh
	access  map[string]time.Time // until when it works
	logins  []*simFamily         // in the order of the sign-ins
}

const (
	simLife     = 10 * time.Minute
	simEndpoint = "https://as.example/token"
	simRevoke   = "https://as.example/revoke"
)

func (s *server) provider() provider.Provider {
	policy := s.policy
	if policy == simKeeps {
		policy = provider.Graceful
	}
	return provider.Provider{ID: "acme", Name: "Acme", OAuth: &provider.OAuth{
		Issuer: "https://as.example", AuthorizationEndpoint: "https://as.example/authorize", TokenEndpoint: simEndpoint, RevocationEndpoint: simRevoke,
		ClientID: "c", Redirect: provider.Redirect{Path: "/cb"}, Policy: policy,
	}}
}

func (s *server) issue(f *simFamily) (refresh, access string) {
	s.n++
	refresh, access = fmt.Sprintf("rt-%d", s.n), fmt.Sprintf("at-%d", s.n)
	s.refresh[refresh] = &simRefresh{id: refresh, family: f, access: access}
	s.access[access] = time.Now().Add(simLife)
	return refresh, access
}

// login is what a browser would bring.
func (s *server) login() sink.Credential {
	f := &simFamily{}
	s.logins = append(s.logins, f)
	refresh, access := s.issue(f)
	now := s.w.clock()
	return sink.Credential{
		Kind: sink.KindOAuth, Provider: "acme", Access: secret.New(access), Refresh: secret.New(refresh),
		Life: sink.Life{Minted: now, Expires: now.Wall.Add(simLife)}, Account: sink.Account{ID: "acct"},
		Pin: sink.Pin{Issuer: "https://as.example", Client: "c", TokenEndpoint: simEndpoint, RevocationEndpoint: simRevoke},
	}
}

type simTransport struct{ p *proc }

// RoundTrip is the network and the server behind it.
func (t simTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	p, w := t.p, t.p.w
	defer p.done()
	f := p.step("connect", "")
	trace := httptrace.ContextClientTrace(req.Context())
	trace.GetConn("as.example:443")
	if f == asDial {
		return nil, errors.New("connection refused")
	}
	trace.GotConn(httptrace.GotConnInfo{})
	trace.WroteHeaders()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if req.URL.String() == simRevoke {
		return t.revoke(f, form.Get("token"))
	}
	if req.URL.String() != simEndpoint {
		w.violation("I16: a refresh token went to %s", req.URL.Host)
	}
	p.after(f, "connect")
	g := p.step("post", form.Get("refresh_token"))
	f = pick(f, g)
	if w.doom != "" {
		f, w.doom = w.doom, ""
	}
	switch f {
	case asDropBefore:
		return nil, errors.New("connection reset")
	case as500Before:
		return answer(500, `{"error":"server_error"}`), nil
	case as503:
		return answer(503, ``), nil
	case asRedirect:
		r := answer(307, ``)
		r.Header.Set("Location", "https://evil.example/token")
		return r, nil
	}
	status, text, spent := w.server.handle(p, form.Get("refresh_token"))
	p.flight = spent
	switch f {
	case asDropAfter:
		spent.loseAnswer(p)
		return nil, errors.New("connection reset")
	case as500After:
		spent.loseAnswer(p)
		return answer(500, `{"error":"server_error"}`), nil
	case asHTML:
		spent.loseAnswer(p)
		return answer(200, `<html>welcome to the captive portal</html>`), nil
	case asCut:
		spent.loseAnswer(p)
		return answer(200, text[:len(text)/3]), nil
	}
	if f == asOddLost && !w.quiet {
		w.doom = asDropBefore
	}
	if f == asOdd || f == asOddLost {
		text = strings.Replace(text, `"Bearer"`, `"mac"`, 1)
	}
	p.after(f, "post")
	return answer(status, text), nil
}

// revoke is the server's end of a sign-out.
func (t simTransport) revoke(f fault, token string) (*http.Response, error) {
	t.p.after(f, "connect")
	g := t.p.step("revoke", token)
	switch f = pick(f, g); f {
	case asDropBefore:
		return nil, errors.New("connection reset")
	case as503, as500Before, asRedirect:
		return answer(503, ``), nil
	}
	t.p.w.server.end(token)
	if f == asDropAfter {
		return nil, errors.New("connection reset")
	}
	t.p.after(f, "revoke")
	return answer(200, ``), nil
}

// end revokes a login. Who signs out may ask again after a death, once.
func (s *server) end(token string) {
	r := s.refresh[token]
	if r == nil {
		s.w.violation("an unknown token was to be revoked: %q", token)
		return
	}
	if r.family.told++; r.family.told > 2 {
		s.w.violation("%s was to be revoked %d times", token, r.family.told)
	}
	r.family.revoked = true
}

func pick(f, g fault) fault {
	if slices.Contains(serverFaults, f) {
		return f
	}
	return g
}

func (r *simRefresh) loseAnswer(p *proc) {
	if r != nil {
		r.lost = "W1"
	}
	p.flight = nil
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// handle is the server's own work. It also judges the client: a spent token may
// come again only if the answer to its first coming may have been lost.
func (s *server) handle(p *proc, token string) (status int, body string, spent *simRefresh) {
	r := s.refresh[token]
	if r == nil {
		s.w.violation("an unknown refresh token was sent: %q", token)
		return 400, `{"error":"invalid_grant"}`, nil
	}
	r.arrived++
	fresh := time.Until(s.access[r.access]) > simLife/2 && s.w.offset == 0 && s.w.stored(r.access)
	if now := s.w.highest[mirrorOf(p.ref.Agent)]; fresh && p.asked > 0 && now > p.asked {
		s.w.violation("a renewal of generation %d was sent although %d was there", p.asked, now)
	}
	if r.arrived > 6 && s.policy != simKeeps {
		s.w.violation("I2: %s arrived %d times", token, r.arrived)
	}
	if !r.spent.IsZero() && s.policy != simKeeps {
		if r.lost == "" {
			s.w.violation("I2/I3: %s was sent again although its answer had arrived", token)
		}
		if s.policy == provider.Graceful && time.Since(r.spent) <= 20*time.Second && !r.family.revoked {
			return s.grant(r)
		}
		if left := time.Until(s.access[r.access]); left > time.Minute+time.Second && s.w.offset == 0 && s.w.stored(r.access) && p.asked == 0 && s.policy == provider.Strict && !r.family.revoked {
			s.w.violation("§4: %s was risked while its access token had %s to live", token, left)
		}
		r.family.revoked = true
	}
	if r.family.revoked {
		return 400, `{"error":"invalid_grant"}`, nil
	}
	return s.grant(r)
}

// simKeeps is a server that never rotates; to the engine it is graceful.
const simKeeps provider.Policy = "keeps"

// stored reports whether the keychain has an access token.
func (w *world) stored(access string) bool {
	for _, v := range w.items {
		if bytes.Contains(v, []byte(`"`+access+`"`)) {
			return true
		}
	}
	return false
}

func mirrorOf(agent string) string { return simDir + "/agents/" + agent + "/agent/auth-profiles.json" }

func (s *server) grant(r *simRefresh) (int, string, *simRefresh) {
	r.spent = time.Now()
	r.lost = ""
	refresh, access := s.issue(r.family)
	if s.policy == simKeeps {
		return 200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":600}`, access), nil
	}
	return 200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":600,"refresh_token":%q}`, access, refresh), r
}

// lostAny reports whether some answer may have been lost, so that a login may
// end without the engine's fault.
func (s *server) lostAny() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(s.refresh)), func(r *simRefresh) bool { return r.lost != "" })
}
