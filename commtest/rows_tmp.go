package commtest

var groupRows []row
var authRows []row
var refusalRows []row
var callRows []row
var resumeRows []row
var lifeRows []row
