#!/bin/sh
# Create Temporal's two databases, or update their schemas to the release of this image.
#
# It is safe to run again: `create-database` leaves an existing database alone, `setup-schema` writes the initial
# version only to a database without a later one, and `update-schema` starts from the version that it finds. The tool
# reads the connection from its SQL_* variables.
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
