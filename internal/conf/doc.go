// Package conf fills typed Config structs from a JSON file and from environment variables, strictly.
//
// A value is looked for in four layers, each over the one before: defaults, file, environment, options. The defaults
// are what the struct holds when it comes here, the file is [Section.Decode], the environment is [Env.Decode], and
// options are plain assignments of the caller, checked with [Check]. Only keys that are present override.
//
// A key is a struct field with a json tag that names it; fields without one cannot be configured. Supported are bool,
// signed and unsigned integers (range-checked for their kind), floats, string, [time.Duration] ("30s", never a bare
// number), every type with an UnmarshalText method (such as [ByteSize], netip.Prefix, slog.Level), slices of these,
// nested structs, and pointers to any of these, where nil means "not given". Embedded structs without a tag are
// inlined. The tags min, max and oneof bound a value, written as the value itself would be written; format:"host" takes
// what can stand before a port, or nothing; unit:"bytes" has an integer written as a [ByteSize] is:
//
//	type Config struct {
//		Host        string        `json:"host" format:"host"`
//		Port        int           `json:"port" min:"0" max:"65535"`
//		PingPeriod  time.Duration `json:"ping_period" min:"1s"`
//		MaxMessage  conf.ByteSize `json:"max_message_size" min:"1"`
//		QueueBytes  int           `json:"queue_bytes" min:"1" unit:"bytes"`
//		Compression string        `json:"compression" oneof:"off,on"`
//	}
//
// Nothing stops at the first problem: each call reports all it found, in the order of the document, as an errors.Join
// of [*Error] values, each on one line.
package conf
