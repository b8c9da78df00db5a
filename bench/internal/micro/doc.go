// Package micro has the rivals' side of comm's micro-benchmarks: functions of
// other libraries that do what a hot path of comm does, under the same names
// and with the same input. comm's own stand beside the code that they measure;
// the last part of each name, /impl=, says whose it is, and benchstat puts
// them side by side:
//
//	go run . micro        in the folder bench
package micro
