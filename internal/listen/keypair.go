package listen

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// defaultCheckEvery is how often a handshake looks at the certificate's files.
const defaultCheckEvery = 10 * time.Second

// KeyPair is a certificate and key read from PEM files, and read again when the files
// change. A pair that cannot be loaded never replaces one that could: the old one stays in
// use, the failure is logged once and Err reports it. It is safe for concurrent use.
type KeyPair struct {
	certFile, keyFile string
	every             time.Duration
	log               *slog.Logger

	cert    atomic.Pointer[tls.Certificate]
	checkAt atomic.Int64 // Unix nanoseconds of the next look at the files

	mu    sync.Mutex // guards the fields below
	stamp stamp      // of the files when last tried
	err   error
}

// stamp tells whether a file may have changed since.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// LoadKeyPair reads the files for the first time; they must be good. Handshakes look at
// the files' times at most once per checkEvery; zero means 10 s, and a negative value means
// never, so that only Reload reads them. A nil logger means slog.Default.
func LoadKeyPair(certFile, keyFile string, checkEvery time.Duration, log *slog.Logger) (*KeyPair, error) {
	if checkEvery == 0 {
		checkEvery = defaultCheckEvery
	}
	if log == nil {
		log = slog.Default()
	}
	p := &KeyPair{certFile: certFile, keyFile: keyFile, every: checkEvery, log: log}
	if err := p.Reload(); err != nil {
		return nil, err
	}
	return p, nil
}

// Certificate returns the pair in use, after a look at the files if one is due.
func (p *KeyPair) Certificate() *tls.Certificate {
	if p.every > 0 {
		now, due := time.Now(), p.checkAt.Load()
		// Whoever moves the time looks; the others go on with what there is.
		if now.UnixNano() >= due && p.checkAt.CompareAndSwap(due, now.Add(p.every).UnixNano()) {
			p.refresh()
		}
	}
	return p.cert.Load()
}

// Reload reads the files now, whether or not they look changed.
func (p *KeyPair) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, err := p.look()
	if err == nil {
		err = p.load(st)
	}
	p.settle(err)
	return err
}

// Err returns why the newest files are not in use, or nil if they are.
func (p *KeyPair) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *KeyPair) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, err := p.look()
	if err == nil && st == p.stamp {
		return
	}
	if err == nil {
		err = p.load(st)
	}
	p.settle(err)
}

func (p *KeyPair) look() (stamp, error) {
	c, err := os.Stat(p.certFile)
	if err != nil {
		return stamp{}, fmt.Errorf("listen: certificate: %w", err)
	}
	k, err := os.Stat(p.keyFile)
	if err != nil {
		return stamp{}, fmt.Errorf("listen: key: %w", err)
	}
	return stamp{c.ModTime(), k.ModTime(), c.Size(), k.Size()}, nil
}

// load tries the files that have stamp st; mu is held. A pair that is half written now
// changes its stamp when it is whole, so a failure is not tried again before that.
func (p *KeyPair) load(st stamp) error {
	p.stamp = st
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("listen: certificate %s with key %s: %w", p.certFile, p.keyFile, err)
	}
	p.cert.Store(&cert)
	p.checkAt.Store(time.Now().Add(p.every).UnixNano())
	return nil
}

// settle records and reports the outcome; mu is held.
func (p *KeyPair) settle(err error) {
	switch {
	case err != nil && (p.err == nil || p.err.Error() != err.Error()):
		if p.cert.Load() != nil {
			p.log.Error("listen: certificate not reloaded, the old one stays in use", "error", err)
		}
	case err == nil && p.err != nil:
		p.log.Info("listen: certificate reloaded", "file", p.certFile)
	}
	p.err = err
}
