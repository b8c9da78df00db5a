package stat

var (
	BucketOf = bucketOf
	Bounds   = bounds
)
