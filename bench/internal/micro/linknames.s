// Empty: it lets linknames_test.go declare functions without bodies.
