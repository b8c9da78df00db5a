package main

var stalledRows, microRows []row

func driveStalled(*spec) (metrics, error) { return nil, nil }
