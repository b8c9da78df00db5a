package commgrpc

import (
	"slices"
	"strings"
)

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

// method is what is known of a method before it is called.
type method struct {
	label   string // of logs and statistics: what clients make up is none
	unknown bool   // it is registered nowhere
	own     bool   // it sees to identity and rights by itself
	public  bool   // everybody may call it
	missing bool   // nothing serves it
	endless bool   // its streams end for nothing but the server's end
}

// methods are those of the registered services, by full method.
type methods struct {
	known   map[string]*method
	unknown *method
}

// lasting reports whether streams of the method last as long as their client is there: the hub's are connections, whose
// ends the manager logs and counts.
func (m *method) lasting() bool { return m.own || m.endless }

// endless are the services of which a stream lasts as long as its client likes.
var endless = []string{healthName, reflectionName}

// hubName is the service that authenticates and authorises by itself, for its streams are connections. One that the user
// brings in its place does not.
const hubName = "comm.v1.HubService"

func (p *Provider) methods() *methods {
	all := &methods{known: make(map[string]*method), unknown: &method{label: "unknown", unknown: true, public: p.unknown == nil, missing: p.unknown == nil}}
	for _, s := range p.services.list {
		name := s.desc.ServiceName
		add := func(m string) {
			full := "/" + name + "/" + m
			all.known[full] = &method{label: full, own: name == hubName && p.hub != nil, public: p.isPublic(name, full), endless: slices.Contains(endless, name)}
		}
		for _, m := range s.desc.Methods {
			add(m.MethodName)
		}
		for _, m := range s.desc.Streams {
			add(m.StreamName)
		}
	}
	return all
}

func (m *methods) find(full string) *method {
	if found := m.known[full]; found != nil {
		return found
	}
	return m.unknown
}

// isPublic reports whether everybody may call a method.
func (p *Provider) isPublic(service, full string) bool {
	return service == healthName || service == reflectionName ||
		slices.Contains(p.public, full) || slices.Contains(p.public, "/"+service+"/*")
}

// unservedPublic are public methods that nothing serves: probably they are misspelt, and others are not public.
func (p *Provider) unservedPublic() []string {
	return slices.DeleteFunc(slices.Clone(p.public), func(full string) bool {
		service, name, _ := splitMethod(full)
		desc := p.services.index[service]
		if desc == nil {
			return p.unknown != nil
		}
		for _, m := range desc.Methods {
			if m.MethodName == name {
				return true
			}
		}
		for _, m := range desc.Streams {
			if m.StreamName == name {
				return true
			}
		}
		return name == "*"
	})
}
