package main

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// loop is the whole client: one goroutine, one epoll, one buffer. It is meant
// to cost so little that the server is what is measured.
type loop struct {
	epoll  int
	byFD   []*wire
	all    []*wire
	buf    []byte
	events []syscall.EpollEvent
	now    int64 // when the last read returned
}

func newLoop() (*loop, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &loop{epoll: ep, buf: make([]byte, 256<<10), events: make([]syscall.EpollEvent, 512)}, err
}

func (l *loop) add(w *wire) error {
	for len(l.byFD) <= w.fd {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[w.fd] = w
	l.all = append(l.all, w)
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, w.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(w.fd)})
}

// mute stops reading from w for good.
func (l *loop) mute(w *wire) error {
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, w.fd, nil)
}

// turn waits for input, at most ms milliseconds, and delivers it.
func (l *loop) turn(ms int, deliver func(*wire, serverFrame) error) error {
	n, err := syscall.EpollWait(l.epoll, l.events, ms)
	return l.woken(n, err, deliver)
}

func (l *loop) read() int64 { return l.now }

// turnFor is turn with a wait finer than a millisecond.
func (l *loop) turnFor(d time.Duration, deliver func(*wire, serverFrame) error) error {
	wait := syscall.NsecToTimespec(int64(d))
	n, _, errno := syscall.Syscall6(epollPwait2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(unsafe.Pointer(&wait)), 0, 0)
	if errno != 0 {
		return l.woken(0, errno, deliver)
	}
	return l.woken(int(n), nil, deliver)
}

const epollPwait2 = 441 // the system call's number on every architecture; Linux 5.11

func (l *loop) woken(n int, err error, deliver func(*wire, serverFrame) error) error {
	if err == syscall.EINTR {
		return nil
	}
	for _, e := range l.events[:max(0, n)] {
		if err := l.drain(l.byFD[e.Fd], deliver); err != nil {
			return fmt.Errorf("connection %d: %w", l.byFD[e.Fd].index, err)
		}
	}
	return err
}

// drain reads once from a socket, or all that TLS has decrypted.
func (l *loop) drain(w *wire, deliver func(*wire, serverFrame) error) error {
	for {
		held := copy(l.buf, w.carry)
		if held == len(l.buf) {
			return errors.New("a message is longer than the client's buffer")
		}
		n, err := w.read(l.buf[held:])
		if err != nil {
			return err
		}
		l.now = time.Now().UnixNano()
		rest, err := w.frames.parse(w, l.buf[:held+n], deliver)
		if err != nil {
			return err
		}
		w.carry = append(w.carry[:0], rest...)
		if w.tls == nil || n == 0 {
			return nil
		}
	}
}

// webSocketFraming hands on every frame.
type webSocketFraming struct{}

func (webSocketFraming) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	for {
		f, rest, ok, err := parseServerFrame(b)
		if err != nil || !ok {
			return b, err
		}
		switch {
		case f.op == opClose:
			return nil, closedBy(f.payload)
		case f.op == opPing:
			err = w.write(appendClientFrame(nil, opPing+1, false, f.payload))
		case f.op > opBinary:
		case !f.fin || f.op == 0:
			return nil, errors.New("a message in fragments, which this client does not read")
		default:
			err = deliver(w, f)
		}
		if err != nil {
			return nil, err
		}
		b = rest
	}
}

// plainStream is an event stream whose bytes come as they are: what is
// delivered is an event.
type plainStream struct{}

var eventEnd = []byte("\n\n")

func (plainStream) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	for {
		end := bytes.Index(b, eventEnd)
		if end < 0 {
			return b, nil
		}
		if err := deliver(w, serverFrame{op: opText, fin: true, payload: b[:end]}); err != nil {
			return nil, err
		}
		b = b[end+len(eventEnd):]
	}
}

// chunked is an event stream in HTTP/1.1 chunks (RFC 9112 7.1).
type chunked struct {
	left  int    // of the chunk, with its line end
	event []byte // decoded and not whole
}

func (c *chunked) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	for len(b) > 0 {
		if c.left == 0 {
			end := bytes.Index(b, []byte("\r\n"))
			if end < 0 {
				break
			}
			n, err := hex(b[:end])
			if err != nil || n == 0 {
				return nil, fmt.Errorf("the stream ended: chunk %q", b[:end])
			}
			c.left, b = n+2, b[end+2:]
			continue
		}
		n := min(c.left, len(b))
		data := b[:min(n, max(0, c.left-2))]
		c.left, b = c.left-n, b[n:]
		if len(c.event) > 0 { // else nothing need be copied
			c.event = append(c.event, data...)
			data = c.event
		}
		rest, err := plainStream{}.parse(w, data, deliver)
		if err != nil {
			return nil, err
		}
		c.event = append(c.event[:0], rest...)
	}
	return b, nil
}

func hex(b []byte) (n int, err error) {
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return 0, errors.New("not a hexadecimal digit")
		}
	}
	return n, nil
}

// readFD and writeFD are the bare system calls, without telling the scheduler:
// the sockets do not block.
func readFD(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeFD writes all of p. A full socket is waited for: what the rows send
// fits, unless the server has stopped reading.
func writeFD(fd int, p []byte) error {
	for len(p) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			p = p[n:]
		case syscall.EAGAIN:
			if err := waitFD(fd, pollOut); err != nil {
				return err
			}
		case syscall.EINTR:
		default:
			return errno
		}
	}
	return nil
}

var errWait = errors.New("the server neither reads nor writes")

const (
	pollIn  = 1
	pollOut = 4
)

// waitFD waits until a socket can be read or written, but not for ever.
func waitFD(fd int, events int16) error {
	for {
		set := struct {
			fd              int32
			events, revents int16
		}{int32(fd), events, 0}
		timeout := syscall.Timespec{Sec: int64(patience / time.Second)}
		n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&set)), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return errno
		case n == 0:
			return errWait
		default:
			return nil
		}
	}
}
