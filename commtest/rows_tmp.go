package commtest

var resumeRows []row
var lifeRows []row
