package main

import (
	"bufio"
	"log"
	"net"
	"sync"
	"syscall"
)

// gobwasEpollSubject is gobwas/ws without a goroutine a connection: an epoll
// with one-shot events wakes a goroutine and lends it buffers, as the netpoll
// of its examples does.
type gobwasEpollSubject struct{}

func init() { register(gobwasEpollSubject{}) }

func (gobwasEpollSubject) Name() string   { return "gobwas-epoll" }
func (gobwasEpollSubject) Module() string { return "github.com/gobwas/ws" }
func (gobwasEpollSubject) Config() string {
	return "the same without a goroutine a connection: one-shot epoll, a goroutine and pooled buffers while there is something to read; not over TLS, whose buffered bytes an epoll does not see, and not deflated"
}

func (gobwasEpollSubject) Echo(s *spec) (entry, error) {
	if s.TLS || s.Deflate {
		return entry{}, errUnsupported
	}
	ln, err := s.listen()
	if err != nil {
		return entry{}, err
	}
	p, err := newPoller()
	if err != nil {
		return entry{}, err
	}
	go p.run(s.Text)
	go acceptAll(ln, func(c net.Conn) {
		if gobwasUpgrade(c, false) != nil || p.watch(c.(*net.TCPConn)) != nil {
			c.Close()
		}
	})
	return entry{Addr: ln.Addr().String(), WS: "/"}, nil
}

// poller is an epoll with one-shot events.
type poller struct {
	fd    int
	mu    sync.RWMutex
	conns map[int32]*net.TCPConn
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &poller{fd: fd, conns: make(map[int32]*net.TCPConn)}, err
}

const oneShot = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<30 // EPOLLONESHOT

func (p *poller) watch(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		p.mu.Lock()
		p.conns[int32(fd)] = c
		p.mu.Unlock()
		failed = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: oneShot, Fd: int32(fd)})
	})
	if err == nil {
		err = failed
	}
	return err
}

func (p *poller) run(text bool) {
	events := make([]syscall.EpollEvent, 256)
	for {
		n, err := syscall.EpollWait(p.fd, events, -1)
		if err != nil && err != syscall.EINTR {
			log.Fatal(err)
		}
		for _, e := range events[:max(0, n)] {
			p.mu.RLock()
			c := p.conns[e.Fd]
			p.mu.RUnlock()
			go p.handle(e.Fd, c, text)
		}
	}
}

// lent is what a connection holds only while it is read from.
type lent struct {
	r *bufio.Reader
	e gobwasEcho
}

var lents = sync.Pool{New: func() any { return &lent{r: bufio.NewReader(nil)} }}

// handle echoes what is there and has the next event come.
func (p *poller) handle(fd int32, c *net.TCPConn, text bool) {
	l := lents.Get().(*lent)
	defer lents.Put(l)
	l.r.Reset(c)
	l.e.text = text
	for again := true; again; again = l.r.Buffered() > 0 {
		if l.e.echo(l.r, c) != nil {
			p.drop(fd, c)
			return
		}
	}
	if syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, int(fd), &syscall.EpollEvent{Events: oneShot, Fd: fd}) != nil {
		p.drop(fd, c)
	}
}

func (p *poller) drop(fd int32, c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, fd)
	p.mu.Unlock()
	c.Close()
}
