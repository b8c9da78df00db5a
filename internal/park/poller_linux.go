package park

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// Available reports whether sockets can be parked here.
func Available() bool { return true }

// Count returns how many sockets are parked.
func Count() int {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return shared.parked
}

// poller is the process's epoll instance with what waits in it.
type poller struct {
	mu      sync.Mutex // guards all below; held for a few instructions and one system call at most
	file    *os.File   // the epoll instance, once there was a use for it; it stays
	sys     syscall.RawConn
	epfd    int
	waiters []*Waiter // by file descriptor
	round   uint32
	wheel   wheel

	parked  int
	parks   uint64 // how often anything was parked
	going   bool   // the goroutine exists
	alarm   time.Time
	pending [128]syscall.EpollEvent // the goroutine's, without the lock
	found   int                     // in pending
	poll    func(fd uintptr) bool   // its callback
}

var shared poller

// lull is how long the goroutine outlives the last parked socket.
const lull = 50 * time.Millisecond

// open makes the epoll instance. It is nonblocking for the sake of os.NewFile, which then waits for it with
// Go's network poller.
func (p *poller) open() error {
	if p.file != nil {
		return nil
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd) // nothing is in it
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	sys, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // fails where the network poller does not take it
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	p.file, p.sys, p.epfd, p.poll = file, sys, fd, p.collect
	return nil
}

// Prepare has every Wake from now on keep the next Park from parking.
func (w *Waiter) Prepare() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	w.state = prepared
}

// Park hands the waiter to the poller. It may be called again only once the waiter is woken. With parked
// true the caller must not touch what the waiter's owner owns any more: the next owner may be at work
// already. With false it goes on itself: it was woken since Prepare or closed, or the system refuses, which
// is the error then. wait is the time after which the waiter is woken in any case, late by up to 1/30 s; 0
// is for ever.
func (w *Waiter) Park(sys Control, wait time.Duration) (handed bool, _ error) {
	p := &shared
	p.mu.Lock()
	err := p.open()
	w.due = 0
	if err == nil && wait != 0 {
		w.due = after(wait)
	}
	p.mu.Unlock()
	if err == nil {
		err = sys.Control(w.arm)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := w.state
	w.state = running
	if err == nil && was == prepared && !w.closed {
		err = errRefused
	}
	if err != nil || was != armed {
		w.due = 0
		return false, err
	}
	w.state = parked
	p.parked++
	p.parks++
	if w.due != 0 {
		p.wheel.add(w)
	}
	p.attend()
	return true, nil
}

var errRefused = errors.New("park: epoll takes no more descriptors")

// register makes epoll look at the descriptor once. It runs inside Control, so the descriptor is the socket's
// until it returns.
func (w *Waiter) register(fd uintptr) {
	p := &shared
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.closed || w.state != prepared {
		return
	}
	p.round++
	w.round = p.round
	known := p.claim(w, int(fd))
	// The round travels with the event: one of an earlier registration wakes nobody.
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(fd), Pad: int32(w.round)}
	if p.control(known, int(fd), &event) == nil {
		w.state = armed
	}
}

// claim enters w as the one who waits for fd, and reports whether it was that before. Where another is still
// entered, its socket was closed behind its back: it is woken to see that.
func (p *poller) claim(w *Waiter, fd int) (known bool) {
	for fd >= len(p.waiters) {
		p.waiters = append(p.waiters, make([]*Waiter, 256)...)
	}
	before := p.waiters[fd]
	p.waiters[fd], w.fd = w, int32(fd)
	if before != nil && before != w {
		before.fd = none
		p.fire(before)
	}
	return before == w
}

// control adds or changes fd's registration, whichever is right: a socket closed elsewhere has taken its own
// with it.
func (p *poller) control(known bool, fd int, event *syscall.EpollEvent) error {
	op, other := syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_MOD
	if known {
		op, other = other, op
	}
	err := syscall.EpollCtl(p.epfd, op, fd, event)
	if err == syscall.ENOENT || err == syscall.EEXIST {
		err = syscall.EpollCtl(p.epfd, other, fd, event)
	}
	return err
}

// Wake wakes the waiter if it is parked or about to be. Safe for concurrent use.
func (w *Waiter) Wake() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.fire(w)
	shared.attend()
}

// Close is Wake for good: the waiter cannot be parked any more, and no event reaches it. It comes before the
// socket's own Close, so that the descriptor's next user has nothing to do with it. Safe for concurrent use.
func (w *Waiter) Close() {
	p := &shared
	p.mu.Lock()
	defer p.mu.Unlock()
	w.closed = true
	p.forget(w)
	p.fire(w)
	p.attend()
}

// Leave takes a waiter that is not parked out of epoll until it is parked again: worth it for one that is not
// going to be soon, since all that comes for a registered socket costs a little more.
func (w *Waiter) Leave() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.forget(w)
}

// forget ends w's registration.
func (p *poller) forget(w *Waiter) {
	if w.fd != none && p.waiters[w.fd] == w {
		_ = syscall.EpollCtl(p.epfd, syscall.EPOLL_CTL_DEL, int(w.fd), nil) // fails where somebody else has closed it
		p.waiters[w.fd] = nil
	}
	w.fd = none
}

// fire hands w back to a goroutine, or leaves it with the one that is parking it.
func (p *poller) fire(w *Waiter) {
	switch w.state {
	case prepared, armed:
		w.state = fired
	case parked:
		w.state = running
		p.parked--
		p.wheel.remove(w)
		go w.wake()
	}
}

// attend starts the goroutine, or sets its alarm, if either is needed.
func (p *poller) attend() {
	switch {
	case p.parked > 0 && !p.going:
		p.going = true
		p.setAlarm()
		go p.run()
	case p.going:
		p.setAlarm()
	}
}

// setAlarm sets when the goroutine is to look at the wheel, or whether it is still needed. An alarm that is
// too early is left as it is, for most deadlines are moved before they come.
func (p *poller) setAlarm() {
	var at time.Time
	if p.parked == 0 {
		at = time.Now().Add(lull)
	} else if t := p.wheel.soonest(); t != 0 {
		at = t.time()
	}
	if at.IsZero() || !p.alarm.IsZero() && !at.Before(p.alarm) {
		return
	}
	p.alarm = at
	_ = p.file.SetReadDeadline(at) // it worked when the file was opened
}

// run is the goroutine.
func (p *poller) run() {
	for last := uint64(0); ; {
		p.found = 0
		_ = p.sys.Read(p.poll) // its one error is the alarm
		p.mu.Lock()
		for _, e := range p.pending[:p.found] {
			if w := p.waiters[e.Fd]; w != nil && w.round == uint32(e.Pad) {
				p.fire(w)
			}
		}
		p.wheel.expire(now(), p.fire)
		if p.parked == 0 && p.parks == last && !p.alarm.IsZero() && !time.Now().Before(p.alarm) {
			p.going, p.alarm = false, time.Time{}
			_ = p.file.SetReadDeadline(time.Time{})
			p.mu.Unlock()
			return
		}
		last = p.parks
		p.nextAlarm()
		p.mu.Unlock()
	}
}

// nextAlarm replaces an alarm that has rung.
func (p *poller) nextAlarm() {
	if !p.alarm.IsZero() && !time.Now().Before(p.alarm) {
		p.alarm = time.Time{}
		_ = p.file.SetReadDeadline(time.Time{})
	}
	p.setAlarm()
}

// collect is one look at the epoll instance; false waits.
func (p *poller) collect(fd uintptr) bool {
	n, err := syscall.EpollWait(int(fd), p.pending[:], 0)
	p.found = max(n, 0)
	return n > 0 || err == syscall.EINTR
}
