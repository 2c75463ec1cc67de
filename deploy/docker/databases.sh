#!/bin/sh
# Run by the PostgreSQL image on an empty data folder: a database for each service, and nothing that they share.
set -eu
for service in user auth; do
    psql --username postgres --set ON_ERROR_STOP=1 --set name="${service}_service" <<SQL
\\set password \`cat /run/secrets/$service-database-password\`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
