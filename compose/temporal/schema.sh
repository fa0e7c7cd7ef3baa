#!/bin/sh
# Create Temporal's two databases, or bring them up to the release of this image.
#
# Safe to run again: a database that exists is left alone, the initial version is written only to a database that has
# no later one, and an update starts from the version it finds. The connection is in the tool's own SQL_* variables.
set -eu

schemas=/etc/temporal/schema/postgresql/v12

# bring_up DATABASE SCHEMA
bring_up() {
  temporal-sql-tool --database "$1" create-database
  temporal-sql-tool --database "$1" setup-schema -v 0.0
  temporal-sql-tool --database "$1" update-schema --schema-dir "$schemas/$2/versioned"
}

bring_up temporal temporal
bring_up temporal_visibility visibility
