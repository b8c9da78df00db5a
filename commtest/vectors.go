package commtest

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/anasamu/comm"
)

//go:embed testdata/protocol/*.json
var vectorFiles embed.FS

// Vector is one frame of PROTOCOL.md in the codec comm.v1.json, with what it means or why it is
// refused: an element of the files in testdata/protocol.
type Vector struct {
	File      string `json:"-"`
	Name      string `json:"name"`
	Direction string `json:"direction"` // who sends it: client, server or both
	Frame     string `json:"frame"`
	// Members are those that the frame decodes into, by their names in the frame; from and to of a
	// gap are gap_from and offset. Nil for a frame that is refused.
	Members map[string]any `json:"members,omitempty"`
	// Error is the code with which the frame is refused, and ID the id that the refusal carries.
	Error comm.Code `json:"error,omitempty"`
	ID    string    `json:"id,omitempty"`
}

// Vectors returns every vector, in the order of the files.
func Vectors() ([]Vector, error) {
	names, err := fs.Glob(vectorFiles, "testdata/protocol/*.json")
	if err != nil {
		return nil, err
	}
	var all []Vector
	for _, name := range names {
		b, err := vectorFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var list []Vector
		if err := json.Unmarshal(b, &list); err != nil {
			return nil, fmt.Errorf("commtest: %s: %w", name, err)
		}
		for _, v := range list {
			v.File = name[len("testdata/protocol/"):]
			all = append(all, v)
		}
	}
	return all, nil
}
