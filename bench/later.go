package main

var idleRows, broadcastRows, streamRows, jobRows, pacedRows, stalledRows, microRows []row

func driveIdle(*spec) (metrics, error)      { return nil, nil }
func driveBroadcast(*spec) (metrics, error) { return nil, nil }
func drivePaced(*spec) (metrics, error)     { return nil, nil }
func driveJob(*spec) (metrics, error)       { return nil, nil }
func drivePacedJob(*spec) (metrics, error)  { return nil, nil }
func driveStalled(*spec) (metrics, error)   { return nil, nil }
