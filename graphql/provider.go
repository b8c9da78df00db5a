package graphql

// Provider is the GraphQL provider of a comm.Manager.
type Provider struct {
	schemaOpts []SchemaOption
}
