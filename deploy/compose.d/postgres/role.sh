#!/bin/bash
# Runs when the cluster is created. The role of the programs owns its database and is no superuser. psql reads the
# password from its file: other users of the machine can read a command line.
set -euo pipefail
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres << 'END'
\set password `cat /run/orderflow/postgres/password`
CREATE ROLE orderflow LOGIN PASSWORD :'password';
CREATE DATABASE orderflow OWNER orderflow;
END
