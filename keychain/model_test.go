//go:build linux

package keychain_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/session"
)

const (
	modelClients   = 8
	modelNames     = 12
	modelService   = "model"
	modelTimeout   = 400 * time.Millisecond
	clientVariable = "KEYTRAY_TEST_MODEL_CLIENT"
)

var modelOps = flag.Int("keychain.ops", 400, "operations of the eight processes")

// order is what a client process is told to do.
type order struct{ Op, Name, Value string }

// report is what came of it.
type report struct{ Value, Kind string }

// The kinds of a report.
const (
	done    = "done"
	absent  = "absent"
	wedged  = "wedged"
	failed  = "failed" // said to have failed; a write may have been applied
	corrupt = "corrupt"
)

// modelClient is the main of a client process.
func modelClient(address string, in io.Reader, out io.Writer) int {
	k := keychain.Open(keychain.Options{Service: modelService, Bus: address})
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if orders.Decode(&o) != nil {
			return 0
		}
		if reports.Encode(carryOut(k, o)) != nil {
			return 1
		}
	}
}

func carryOut(k *keychain.Keychain, o order) report {
	ctx, cancel := context.WithTimeout(context.Background(), modelTimeout)
	defer cancel()
	var value []byte
	var err error
	switch o.Op {
	case "get":
		value, err = k.Get(ctx, o.Name)
	case "set":
		err = k.Set(ctx, o.Name, []byte(o.Value))
	case "delete":
		err = k.Delete(ctx, o.Name)
	case "barrier":
		err = k.Barrier(ctx)
	}
	switch {
	case err == nil:
		return report{string(value), done}
	case errors.Is(err, keychain.ErrNotFound):
		return report{Kind: absent}
	case errors.Is(err, keychain.ErrWedged):
		return report{Kind: wedged}
	case errors.Is(err, keychain.ErrCorrupt):
		return report{err.Error(), corrupt}
	}
	return report{err.Error(), failed}
}

// client is a client process as the test sees it.
type client struct {
	mu      sync.Mutex // guards cmd, which the chaos signals
	cmd     *exec.Cmd
	orders  *json.Encoder
	reports *json.Decoder
}

func (c *client) start() error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), clientVariable+"="+desktop.Address())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd, c.orders, c.reports = cmd, json.NewEncoder(in), json.NewDecoder(out)
	return cmd.Start()
}

// signal signals the process, unless it is being replaced.
func (c *client) signal(sig syscall.Signal) {
	if c.mu.TryLock() {
		_ = c.cmd.Process.Signal(sig)
		c.mu.Unlock()
	}
}

// do gives an order; a killed client is replaced.
func (c *client) do(o order) (report, error) {
	var r report
	if err := errors.Join(c.orders.Encode(o), c.reports.Decode(&r)); err == nil {
		return r, nil
	}
	c.mu.Lock()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.mu.Unlock()
	return report{Kind: wedged}, c.start()
}

// cell is what the model knows of one item: the values that it may have ("" is
// none), more than one after a write of unknown outcome.
type cell struct {
	mu       sync.Mutex // one operation at a time, as the profile's lock has it
	possible map[string]bool
	unsure   bool
}

func (c *cell) only(v string) { c.possible, c.unsure = map[string]bool{v: true}, false }

// model runs the operations.
type model struct {
	t     *testing.T
	cells []*cell
	left  chan int
	stats [6]int
	mu    sync.Mutex // guards stats
}

func (m *model) count(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats[i]++
}

// work lets one client do operations until there are none left.
func (m *model) work(c *client, r *rand.Rand) {
	for n := range m.left {
		i := r.IntN(len(m.cells))
		op := []string{"get", "get", "set", "set", "set", "delete"}[r.IntN(6)]
		value := fmt.Sprintf("v%d-%0*d", n, r.IntN(3000), 0)
		if err := m.step(c, i, order{op, fmt.Sprintf("item%d", i), value}); err != nil {
			m.t.Errorf("operation %d, %s item%d: %v", n, op, i, err)
			for range m.left {
			}
		}
	}
}

func (m *model) step(c *client, i int, o order) error {
	cell := m.cells[i]
	cell.mu.Lock()
	defer cell.mu.Unlock()
	if cell.unsure {
		if err := m.settle(c, cell, o.Name); err != nil {
			return err
		}
	}
	r, err := c.do(o)
	if err != nil {
		return err
	}
	if o.Op == "get" {
		if err := observe(cell, r); err != nil {
			return err
		}
	} else {
		wrote(cell, o, r)
	}
	if r.Kind == wedged {
		m.count(3)
		return m.barrier(c)
	}
	m.count(map[string]int{done: 0, absent: 1, failed: 2}[r.Kind])
	return nil
}

// observe compares what was read with the model. An error says nothing.
func observe(c *cell, r report) error {
	switch {
	case r.Kind == wedged || r.Kind == failed:
		return nil
	case r.Kind == corrupt:
		return errors.New(r.Value)
	case !c.possible[r.Value]:
		return fmt.Errorf("read %.20q, possible are %.20q", r.Value, slices.Collect(maps.Keys(c.possible)))
	}
	c.only(r.Value)
	return nil
}

func wrote(c *cell, o order, r report) {
	if o.Op == "delete" {
		o.Value = ""
	}
	if r.Kind == done {
		c.only(o.Value)
		return
	}
	c.possible[o.Value], c.unsure = true, true
}

// settle finds out, behind a barrier, what became of an unknown write. From then
// on it must not change any more.
func (m *model) settle(c *client, cell *cell, name string) error {
	m.count(4)
	for {
		if err := m.barrier(c); err != nil {
			return err
		}
		r, err := c.do(order{Op: "get", Name: name})
		if err != nil {
			return err
		}
		if r.Kind == done || r.Kind == absent {
			return observe(cell, r)
		}
		if r.Kind == corrupt {
			return errors.New(r.Value)
		}
	}
}

// barrier repeats the barrier until it holds. The daemon may be gone for a while.
func (m *model) barrier(c *client) error {
	end := time.After(20 * time.Second)
	for {
		r, err := c.do(order{Op: "barrier"})
		if err != nil || r.Kind == done {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-end:
			return fmt.Errorf("no barrier in 20 s: %s", r.Value)
		}
	}
}

// chaos stops and kills, until end is closed.
func (m *model) chaos(s *session.Session, clients []*client, r *rand.Rand, end <-chan struct{}) {
	pause := func(d time.Duration) bool {
		select {
		case <-end:
			return false
		case <-time.After(d):
			return true
		}
	}
	for pause(time.Duration(10+r.IntN(50)) * time.Millisecond) {
		c := clients[r.IntN(len(clients))]
		stop := time.Duration(r.IntN(300)) * time.Millisecond
		if r.IntN(4) == 0 {
			stop = modelTimeout + 200*time.Millisecond
		}
		m.count(5)
		switch r.IntN(6) {
		case 0:
			_ = session.Stop(s.KeyringPID())
			pause(stop)
			_ = session.Continue(s.KeyringPID())
		case 1:
			s.KillKeyring()
			pause(stop / 4)
			if err := s.StartKeyring(context.Background()); err != nil {
				m.t.Error(err)
			}
		case 2, 3:
			c.signal(syscall.SIGSTOP)
			pause(stop)
			c.signal(syscall.SIGCONT)
		default:
			c.signal(syscall.SIGKILL)
		}
	}
}

// TestEightProcessesAndChaos does random operations from eight processes while
// the daemon and the processes are stopped and killed. After each barrier the
// keychain agrees with the model, and in the end everything does.
func TestEightProcessesAndChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	s := gnome(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &model{t: t, left: make(chan int)}
	k := keychain.Open(keychain.Options{Service: modelService, Bus: desktop.Address()})
	for i := range modelNames {
		if err := k.Delete(t.Context(), fmt.Sprintf("item%d", i)); err != nil {
			t.Fatal(err)
		}
		c := &cell{}
		c.only("")
		m.cells = append(m.cells, c)
	}
	clients := make([]*client, modelClients)
	for i := range clients {
		clients[i] = &client{}
		if err := clients[i].start(); err != nil {
			t.Fatal(err)
		}
	}
	end := make(chan struct{})
	var workers, chaos sync.WaitGroup
	chaos.Go(func() { m.chaos(s, clients, rand.New(rand.NewPCG(seed, 0)), end) })
	for i, c := range clients {
		workers.Go(func() { m.work(c, rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	for n := range *modelOps {
		m.left <- n
	}
	close(m.left)
	workers.Wait()
	close(end)
	chaos.Wait()
	for _, c := range clients {
		c.signal(syscall.SIGKILL)
		_ = c.cmd.Wait()
	}
	m.finish()
	t.Logf("done %d, absent %d, failed %d, wedged %d, settled %d, acts of chaos %d", m.stats[0], m.stats[1], m.stats[2], m.stats[3],
		m.stats[4], m.stats[5])
	if m.stats[0] < *modelOps/4 || m.stats[4] == 0 {
		t.Error("too much or too little chaos to say anything")
	}
}

// finish reads everything, twice, and after the daemon has read its file again.
func (m *model) finish() {
	k := keychain.Open(keychain.Options{Service: modelService, Bus: desktop.Address()})
	for round := range 2 {
		if err := k.Barrier(m.t.Context()); err != nil {
			m.t.Error(err)
		}
		for i, cell := range m.cells {
			name := fmt.Sprintf("item%d", i)
			if err := observe(cell, carryOut(k, order{"get", name, ""})); err != nil {
				m.t.Errorf("in the end, %s: %v", name, err)
			}
		}
		if round == 0 {
			if err := desktop.RestartKeyring(m.t.Context()); err != nil {
				m.t.Error(err)
			}
		}
	}
}
