package conf

import (
	"reflect"
	"slices"
	"strings"
)

// reserved is the section whose variables are ours alone, so that an unknown one is a mistake. HTTP_, GRPC_ and the
// like are shared with other programs (HTTP_PROXY, GRPC_GO_LOG_SEVERITY_LEVEL) and cannot be policed.
const reserved = "COMMUNICATION_"

// Env is the environment of a program, as given; this package never reads the process's own. The zero value and nil
// are an empty environment. Decode and Unknown must not run at once.
type Env struct {
	prefix string
	names  []string // in the order given
	values map[string]string
	links  []string // names of Kubernetes services, "HTTP", whose variables are not ours
	known  []string // variables that some struct reads
}

// NewEnv takes variables as os.Environ lists them. A variable's name is prefix, section and key in capitals, joined by
// underscores: HTTP_PORT, or MYAPP_HTTP_PORT with the prefix "MYAPP" (or "MYAPP_", which is the same). With a prefix
// only variables that bear it are read.
func NewEnv(environ []string, prefix string) (*Env, error) {
	e := &Env{values: make(map[string]string, len(environ))}
	if prefix != "" {
		e.prefix = strings.TrimSuffix(prefix, "_") + "_"
		if !isName(e.prefix) {
			return e, e.error(prefix, causef(ErrValue, "prefix: want capitals, digits and underscores, a capital first"))
		}
	}
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if _, twice := e.values[name]; !ok || name == "" || twice { // the first wins, as in package os
			continue
		}
		e.names = append(e.names, name)
		e.values[name] = value
	}
	for _, name := range e.names {
		if service, ok := strings.CutSuffix(name, "_PORT"); ok && isServiceLink(e.values[name]) {
			e.links = append(e.links, service)
		}
	}
	return e, nil
}

func isName(s string) bool {
	return s[0] >= 'A' && s[0] <= 'Z' && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// isServiceLink recognises what Kubernetes puts into every pod for a service in its namespace: a service "http" sets
// HTTP_PORT=tcp://10.0.0.1:80, whoever else uses that name.
func isServiceLink(value string) bool {
	for _, scheme := range []string{"tcp://", "udp://", "sctp://"} {
		if strings.HasPrefix(value, scheme) {
			return true
		}
	}
	return false
}

// Decode sets the fields of the struct that dst points to from the variables of a section ("http"); a nested struct's
// keys follow its own: HTTP_TLS_CERT. Values are written as in a file; lists are separated by commas, and an empty
// variable is an empty string or list and otherwise an error. A service link of Kubernetes (*_PORT=tcp://ip:port) is
// no value. Every refused variable is reported in the order of the fields and leaves its field as it was.
func (e *Env) Decode(section string, dst any) error {
	v, err := target(dst)
	if err != nil || e == nil {
		return err
	}
	var all problems
	e.fill(&all, e.prefix+variable(section), v)
	return all.err()
}

func variable(key string) string { return strings.ReplaceAll(strings.ToUpper(key), "-", "_") }

// fill reads the variables of a struct and reports whether there was any.
func (e *Env) fill(all *problems, name string, v reflect.Value) (any bool) {
	fs, err := fields(v.Type())
	if err != nil {
		all.add(e.error(name, err))
		return false
	}
	for _, f := range fs {
		any = e.field(all, name+"_"+variable(f.key), &f, v.FieldByIndex(f.index)) || any
	}
	return any
}

func (e *Env) field(all *problems, name string, f *field, v reflect.Value) (any bool) {
	switch t := v.Type(); {
	case isSection(t):
		return e.fill(all, name, v)
	case t.Kind() == reflect.Pointer && isSection(t.Elem()):
		fresh := reflect.New(t.Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		if any = e.fill(all, name, fresh.Elem()); any {
			v.Set(fresh)
		}
		return any
	}
	e.known = append(e.known, name)
	value, ok := e.values[name]
	if !ok || strings.HasSuffix(name, "_PORT") && isServiceLink(value) {
		return false
	}
	fresh := reflect.New(f.written(v.Type())).Elem()
	err := setVariable(fresh, value)
	if err == nil {
		err = f.check(fresh)
	}
	if err == nil {
		err = f.set(v, fresh)
	}
	if err != nil {
		all.add(e.error(name, err))
	}
	return true
}

// setVariable reads a variable's value: what setText reads, or a list of it.
func setVariable(v reflect.Value, s string) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer && !readsText(t):
		v.Set(reflect.New(t.Elem()))
		return setVariable(v.Elem(), s)
	case isList(t):
		return setList(v, s)
	case s == "" && t.Kind() != reflect.String:
		return causef(ErrValue, "empty: unset the variable to keep the value below it")
	}
	return setText(v, s)
}

func setList(v reflect.Value, s string) error {
	if !supportsItems(v.Type()) {
		return causef(ErrType, "a list of objects cannot be written in a variable")
	}
	if s = strings.TrimSpace(s); s == "" {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return nil
	}
	parts := strings.Split(s, ",")
	v.Set(reflect.MakeSlice(v.Type(), len(parts), len(parts)))
	for i, part := range parts {
		if part = strings.TrimSpace(part); part == "" {
			return causef(ErrValue, "item %d of the list is empty", i+1)
		}
		if err := setText(v.Index(i), part); err != nil {
			return err
		}
	}
	return nil
}

func supportsItems(t reflect.Type) bool { return !isSection(t.Elem()) && !isList(t.Elem()) }

// Unknown reports the variables that no Decode so far could read: all under the prefix if there is one, else those
// under COMMUNICATION_. Variables that Kubernetes sets for a service of such a name (MYAPP_SERVICE_HOST beside
// MYAPP_PORT=tcp://...) are passed over. Call it once, after the last Decode.
func (e *Env) Unknown() error {
	if e == nil {
		return nil
	}
	ours := e.prefix
	if ours == "" {
		ours = reserved
	}
	var all problems
	for _, name := range e.names {
		if all.full() || !strings.HasPrefix(name, ours) || slices.Contains(e.known, name) || e.isLink(name) {
			continue
		}
		err := e.error(name, causef(ErrUnknown, "unknown variable"))
		err.Nearest = e.nearest(name, ours)
		all.add(err)
	}
	return all.err()
}

// nearest compares what follows the part that all names share, which would make any two of them look close.
func (e *Env) nearest(name, ours string) string {
	var rests []string
	for _, k := range e.known {
		if rest, ok := strings.CutPrefix(k, ours); ok {
			rests = append(rests, rest)
		}
	}
	if found := nearest(name[len(ours):], rests); found != "" {
		return ours + found
	}
	return ""
}

// isLink reports whether Kubernetes set a variable: NAME_PORT, NAME_PORT_80_TCP..., NAME_SERVICE_HOST,
// NAME_SERVICE_PORT and NAME_SERVICE_PORT_METRICS of a service NAME.
func (e *Env) isLink(name string) bool {
	for _, service := range e.links {
		rest, ok := strings.CutPrefix(name, service+"_")
		if !ok {
			continue
		}
		if rest == "PORT" || rest == "SERVICE_HOST" || rest == "SERVICE_PORT" ||
			strings.HasPrefix(rest, "SERVICE_PORT_") || isPortName(rest) {
			return true
		}
	}
	return false
}

// isPortName recognises PORT_80_TCP, PORT_80_TCP_ADDR and so on.
func isPortName(s string) bool {
	s, ok := strings.CutPrefix(s, "PORT_")
	n := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if !ok || n == 0 {
		return false
	}
	for _, proto := range []string{"_TCP", "_UDP", "_SCTP"} {
		if rest, ok := strings.CutPrefix(s[n:], proto); ok {
			return rest == "" || rest == "_PROTO" || rest == "_PORT" || rest == "_ADDR"
		}
	}
	return false
}

func (e *Env) error(name string, err error) *Error {
	return &Error{Source: "environment", Path: name, Err: err}
}
