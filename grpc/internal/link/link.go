// Package link is where packages that are linked by their import leave what package commgrpc then has.
package link

import "google.golang.org/grpc"

// Channelz registers the service grpc.channelz.v1. It is nil unless package grpc/channelz is linked.
var Channelz func(grpc.ServiceRegistrar)
