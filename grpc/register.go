package commgrpc

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/grpc"
)

// registrations are the services of a provider. They are taken once and served by each start's servers, for a
// grpc.Server serves but once.
type registrations struct {
	list  []registration
	index map[string]*grpc.ServiceDesc
	errs  []error
}

type registration struct {
	desc *grpc.ServiceDesc
	impl any
}

// RegisterService is what generated code calls. What grpc.Server ends the process for is an error of comm.New here.
func (r *registrations) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if err := r.add(desc, impl); err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *registrations) add(desc *grpc.ServiceDesc, impl any) error {
	if desc == nil || desc.ServiceName == "" || strings.ContainsAny(desc.ServiceName, "/{} ") {
		return errors.New("commgrpc: Register: a service with a name is needed")
	}
	if impl != nil && desc.HandlerType != nil {
		want := reflect.TypeOf(desc.HandlerType).Elem()
		if got := reflect.TypeOf(impl); !got.Implements(want) {
			return fmt.Errorf("commgrpc: Register: service %s: %v is no %v", desc.ServiceName, got, want)
		}
	}
	if r.index[desc.ServiceName] != nil {
		return fmt.Errorf("commgrpc: Register: service %s is registered twice", desc.ServiceName)
	}
	if r.index == nil {
		r.index = make(map[string]*grpc.ServiceDesc)
	}
	r.index[desc.ServiceName] = desc
	r.list = append(r.list, registration{desc, impl})
	return nil
}

// has reports whether a service of that name is registered.
func (r *registrations) has(name string) bool { return r.index[name] != nil }

// GetServiceInfo makes registrations what services about services take (reflection.GRPCServer).
func (r *registrations) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := make(map[string]grpc.ServiceInfo, len(r.list))
	for _, s := range r.list {
		info := grpc.ServiceInfo{Metadata: s.desc.Metadata}
		for _, m := range s.desc.Methods {
			info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
		}
		for _, m := range s.desc.Streams {
			info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams})
		}
		all[s.desc.ServiceName] = info
	}
	return all
}

// call runs a user's registration, which may panic.
func (r *registrations) call(register func(grpc.ServiceRegistrar)) (err error) {
	if register == nil {
		return errors.New("commgrpc: Register(nil): a function is needed")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("commgrpc: Register panicked: %v", p)
		}
	}()
	register(r)
	return nil
}

// on registers all services with s.
func (r *registrations) on(s grpc.ServiceRegistrar) {
	for _, reg := range r.list {
		s.RegisterService(unariesInCodec(reg.desc), reg.impl)
	}
}
