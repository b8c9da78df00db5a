//go:build !unix || comm_portable

package rawconn

import "errors"

// Under finds no socket here.
func Under(any) Conn { return nil }

// UnderTLS finds no socket here.
func UnderTLS(any) Conn { return nil }

// Read is not called here: there is no Conn to be had.
func Read(Conn, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is not called here either.
func Write(Conn, []byte) (int, error) { return 0, errors.ErrUnsupported }
