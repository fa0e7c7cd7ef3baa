#!/bin/sh
# Wait for the Temporal server, then create the namespace unless it is there. The CLI takes both from its own
# variables, TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

attempts_left=${ATTEMPTS:-60}

# A server that has just started may refuse to look and to create for a while, so both are tried again, and each try
# has a limit: a connection that is neither answered nor refused would hang for ever. Looking comes last, so that it
# makes no difference who created the namespace.
operator() {
  temporal operator namespace "$@" --namespace "$TEMPORAL_NAMESPACE" --command-timeout 10s
}

until operator describe >/dev/null 2>&1; do
  if reason=$(operator create 2>&1); then
    continue
  fi
  attempts_left=$((attempts_left - 1))
  if [ "$attempts_left" -le 0 ]; then
    echo "namespace $TEMPORAL_NAMESPACE is not there and could not be created: $reason" >&2
    exit 1
  fi
  sleep 1
done
echo "namespace $TEMPORAL_NAMESPACE is ready"
