package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// kernelBytes is what the kernel holds for sockets, files and all else that it
// allocates in small pieces: the slabs, and the pages of socket buffers.
func kernelBytes() int64 {
	return field("/proc/meminfo", "Slab:")<<10 + socketPages()*int64(os.Getpagesize())
}

// receiveMemory is what the kernel holds of what came to a socket: the first
// of the numbers that SO_MEMINFO gives.
func receiveMemory(fd int) (int64, error) {
	const soMeminfo = 55
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, soMeminfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int64(info[0]), nil
}

// socketPages is "mem" of TCP in /proc/net/sockstat: pages of all buffers.
func socketPages() int64 {
	doc, _ := os.ReadFile("/proc/net/sockstat") // without it: none
	for line := range strings.Lines(string(doc)) {
		f := strings.Fields(line)
		for i := 1; i+1 < len(f) && f[0] == "TCP:"; i += 2 {
			if f[i] == "mem" {
				n, _ := strconv.ParseInt(f[i+1], 10, 64)
				return n
			}
		}
	}
	return 0
}

// field is the number behind a name in a file of /proc, 0 without it.
func field(file, name string) int64 {
	doc, _ := os.ReadFile(file)
	for line := range strings.Lines(string(doc)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}
