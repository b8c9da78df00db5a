package conf_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/anasamu/comm/internal/conf"
)

func Example() {
	type Config struct {
		Host    string        `json:"host"`
		Port    int           `json:"port" min:"0" max:"65535"`
		Timeout time.Duration `json:"read_timeout" min:"1ms"`
	}
	c := Config{Host: "localhost", Port: 80, Timeout: 30 * time.Second}

	file, err := conf.Parse("config.json", []byte(`{"http": {"host": "0.0.0.0", "port": 8080}}`))
	http, err2 := file.Section("http")
	env, err3 := conf.NewEnv([]string{"HTTP_PORT=9090", "HTTP_PROXY=http://proxy:3128"}, "")
	fmt.Println(errors.Join(err, err2, err3, http.Decode(&c), env.Decode("http", &c), env.Unknown()))
	fmt.Println(c.Host, c.Port, c.Timeout)
	// Output:
	// <nil>
	// 0.0.0.0 9090 30s
}

func ExampleSection_Decode() {
	var c struct {
		Port    int           `json:"port"`
		Timeout time.Duration `json:"read_timeout"`
	}
	file, err := conf.Parse("config.json", []byte(`{
  "prot": 8080,
  "read_timeout": 30
}`))
	fmt.Println(errors.Join(err, file.Decode(&c)))
	// Output:
	// config.json:2:3: prot: unknown key (did you mean "port"?)
	// config.json:3:19: read_timeout: want a duration such as "30s", found a number
}
