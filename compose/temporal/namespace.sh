#!/bin/sh
# Wait for the Temporal server, then create the namespace unless it exists. The CLI reads the server's address from
# TEMPORAL_ADDRESS and the namespace from TEMPORAL_NAMESPACE.
set -eu

attempts_left=${ATTEMPTS:-60}

# For a while after its start, the server may refuse `describe` and `create`, so both are retried. Each call has a
# timeout, because a connection that is neither answered nor refused would hang for ever. The script succeeds
# only if `describe` finds the namespace, so it makes no difference who created the namespace.
operator() {
  temporal operator namespace "$@" --namespace "$TEMPORAL_NAMESPACE" --command-timeout 10s
}

until operator describe >/dev/null 2>&1; do
  if reason=$(operator create 2>&1); then
    continue
  fi
  attempts_left=$((attempts_left - 1))
  if [ "$attempts_left" -le 0 ]; then
    echo "namespace $TEMPORAL_NAMESPACE does not exist and could not be created: $reason" >&2
    exit 1
  fi
  sleep 1
done
echo "namespace $TEMPORAL_NAMESPACE is ready"
