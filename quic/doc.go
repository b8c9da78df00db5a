// Package commquic is QUIC for comm.
package commquic
