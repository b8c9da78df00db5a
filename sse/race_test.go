//go:build race

package sse_test

// raceDetector makes every byte cost about twenty times as much.
const raceDetector = true
