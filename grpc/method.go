package commgrpc

import "strings"

// splitMethod takes a full method, "/pkg.Service/Method", apart. Without its leading slash it is none: whoever compares
// whole paths would otherwise be passed by with another spelling (CVE-2026-33186).
func splitMethod(full string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(full, "/")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}
