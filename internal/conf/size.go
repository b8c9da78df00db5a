package conf

import (
	"math"
	"strconv"
)

// ByteSize is a number of bytes that a file or variable may write as "4MiB", "64KiB", "10MB" or plain digits, in a
// file also as a bare number.
type ByteSize int64

// sizeUnits, the largest that divides first; binary before decimal.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// ParseByteSize reads digits and one of B, kB, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of
// 1024); digits alone are bytes. Signs, spaces and fractions are refused.
func ParseByteSize(s string) (ByteSize, error) {
	digits := 0
	for digits < len(s) && digit(s[digits]) {
		digits++
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit := int64(0)
	if digits == len(s) {
		unit = 1
	}
	for _, u := range sizeUnits {
		if s[digits:] == u.name {
			unit = u.bytes
		}
	}
	switch {
	case digits == 0 || unit == 0:
		return 0, causef(ErrValue, `%s: want a size such as "4MiB", "64KiB", "10MB" or a number of bytes`, show(s))
	case err != nil || n > math.MaxInt64/unit:
		return 0, causef(ErrValue, "%s: allowed are 0 to %d bytes", shown(s), int64(math.MaxInt64))
	}
	return ByteSize(n * unit), nil
}

// UnmarshalText is [ParseByteSize]; b keeps its value when text is refused.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := ParseByteSize(string(text))
	if err == nil {
		*b = n
	}
	return err
}

// MarshalText writes what [ParseByteSize] reads.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String is exact: the largest binary unit that divides the size, else bytes: "4MiB", "1000B".
func (b ByteSize) String() string {
	for _, u := range sizeUnits[:4] {
		if b != 0 && int64(b)%u.bytes == 0 {
			return strconv.FormatInt(int64(b)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
