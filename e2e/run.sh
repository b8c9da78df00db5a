#!/bin/sh
# Runs comm.js and the gateway against clients from elsewhere: npm ws, npm eventsource, curl and
# Chromium; package graphql against npm graphql and its clients; and package grpc against npm clients of
# gRPC-Web, grpcurl, grpc-health-probe, grpc-go's interoperability cases and h2spec. Installs what it needs.
# Arguments go to node --test, and then only its tests run, for example:
#
#   ./run.sh --test-name-pattern='sse: a drain'
#
# SHOTS=folder keeps screenshots of the gateway's page; CARRIERS="ws sse" limits the carriers;
# SEED=number repeats what was generated for package graphql, TRIPLES, OPERATIONS and MUTATIONS say how much of it.
set -eu
cd "$(dirname "$0")"

say() { printf 'e2e: %s\n' "$*" >&2; }

for tool in go node npm curl; do
	command -v "$tool" >/dev/null || { say "$tool is missing"; exit 1; }
done

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ]; then
	say "installing chromium"
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
export CHROMIUM
[ -d node_modules ] && [ node_modules -nt package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error

dir=$(mktemp -d)
gateway=
finish() {
	status=$?
	trap - EXIT
	if [ -n "$gateway" ]; then
		kill "$gateway" 2>/dev/null || true
		wait "$gateway" || true
	fi
	[ "$status" = 0 ] || [ ! -s "$dir/gateway.log" ] || { say "the gateway said:"; tail -n 40 "$dir/gateway.log" >&2; }
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "building"
(cd .. && go build -o "$dir/" ./examples/gateway ./examples/graphql ./e2e/testgateway ./e2e/graphql/subject)
(cd grpc && go run ./descriptor) >"$dir/hub.descriptor"
export GATEWAY="$dir/gateway" TESTGATEWAY="$dir/testgateway" GRAPHQL_SUBJECT="$dir/subject" GRAPHQL_EXAMPLE="$dir/graphql"
export HUB_DESCRIPTOR="$dir/hub.descriptor"

port=$(node --input-type=module -e "console.log(await (await import('./live.mjs')).freePort())")
export GATEWAY_URL="http://127.0.0.1:$port"
"$dir/gateway" -addr "127.0.0.1:$port" >"$dir/gateway.log" 2>&1 &
gateway=$!
for i in $(seq 600); do
	curl -fsS -o /dev/null "$GATEWAY_URL/readyz" 2>/dev/null && break
	kill -0 "$gateway" 2>/dev/null || { say "the gateway ended"; exit 1; }
	[ "$i" != 600 ] || { say "the gateway is not ready after a minute"; exit 1; }
	sleep 0.1
done
say "gateway at $GATEWAY_URL"

node --test --test-concurrency=1 "$@" ./*.test.mjs ./*.live.mjs ./graphql/*.live.mjs
[ $# != 0 ] || (cd grpc && go test -count=1 -timeout 4m ./...)
