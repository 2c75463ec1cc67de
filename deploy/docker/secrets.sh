#!/bin/sh
# Makes what docker-compose.yml needs and no image brings along: passwords, keys and certificates of this pair alone.
#
#   deploy/docker/secrets.sh
#
# Run again, it keeps the secrets and makes the certificates anew, which the services notice by themselves; the
# certificates last for a year. The authority's key is never kept, so nobody can make another certificate.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

# 256 random bits in letters that a URL and a header can hold. A file of a container keeps its owner and mode, and
# the services run as nobody in particular: the folder keeps the others on this machine out instead.
secret() {
    [ -s "$1" ] || openssl rand -hex 32 >"$1"
    chmod 644 "$1"
}

for name in user-root auth-root user-key auth-key postgres-password; do
    secret "$name"
done
for service in user auth; do
    secret "$service-database-password"
    printf 'postgres://%s_service:%s@postgres:5432/%s_service\n' \
        "$service" "$(cat "$service-database-password")" "$service" >"$service-database-url"
    chmod 644 "$service-database-url"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# With settings of our own, since those of the machine may add extensions.
cat >"$work/settings" <<'SETTINGS'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
SETTINGS
certificate() { openssl req -config "$work/settings" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 "$@" 2>/dev/null; }

certificate -x509 -days 365 -subj '/CN=identity authority' -extensions authority \
    -keyout "$work/authority-key.pem" -out authority.pem
for service in user auth; do
    cat >"$work/leaf" <<LEAF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:$service-service, URI:spiffe://identity.localhost/$service-service
LEAF
    certificate -subj "/CN=$service-service" -keyout "$service-certificate-key.pem" -out "$work/request.pem"
    openssl x509 -req -days 365 -sha256 -in "$work/request.pem" -extfile "$work/leaf" \
        -CA authority.pem -CAkey "$work/authority-key.pem" -set_serial "0x$(openssl rand -hex 16)" \
        -out "$service-certificate.pem" 2>/dev/null
done
chmod 644 ./*.pem
echo "everything is in $PWD"
