package leak

// CheckTo is Check with the output and the patience given.
var CheckTo = check
