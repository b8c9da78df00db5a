package graphql

type federation struct{}

func (*federation) prepare(*builder) {}
