package commgrpc

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// handedOver are the credentials of connections whose TLS handshake is done already: they tell handlers, by
// peer.FromContext, what it came to.
type handedOver struct{}

// ServerHandshake has nothing left to do.
func (handedOver) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	nc, ok := c.(*nativeConn)
	if !ok || nc.tls == nil {
		return insecure.NewCredentials().ServerHandshake(c)
	}
	return c, credentials.TLSInfo{
		State:          *nc.tls,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// ClientHandshake is for clients, which have no use for these credentials.
func (handedOver) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("commgrpc: credentials of a server")
}

// Info says no more than that the protocol is TLS where there is one.
func (handedOver) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone returns the same, which holds nothing.
func (c handedOver) Clone() credentials.TransportCredentials { return c }

// OverrideServerName is for clients.
func (handedOver) OverrideServerName(string) error { return nil }
