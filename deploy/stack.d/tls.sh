# shellcheck shell=bash
# Certificates and a user for the listeners SECURE and TLS of the brokers, and for PostgreSQL: real TLS and SASL on a
# developer's machine.

readonly KAFKA_USER=orderflow

# All settings that OpenSSL would otherwise read from the openssl.cnf of the machine.
readonly TLS_CONFIG="
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[broker]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"

# Creates the folder under another name and renames it, so that an incomplete one is never used. Of the servers that
# start at the same time, the first one creates it. The key of the CA is deleted, since no further certificate is
# signed.
tls_prepare() (
  exec {lock}> "$STATE/run/tls.lock"
  flock "$lock"
  [[ ! -d $STATE/tls ]] || exit 0
  umask 077
  rm -rf "$STATE/tls.new"
  mkdir "$STATE/tls.new"
  cd "$STATE/tls.new"
  tls_request ca "orderflow stack $NAME" -x509 -days 3650 -extensions ca -out ca.pem
  tls_certificate broker localhost
  tls_certificate client "$KAFKA_USER"
  KAFKA_PASSWORD=$KAFKA_PASSWORD openssl pkcs8 -topk8 -v2 aes-256-cbc -in client.key -passout env:KAFKA_PASSWORD \
    -out client-encrypted.key
  cat broker.key >> broker.pem # Kafka requires both in one file
  rm ca.key broker.key ./*.csr ./*.srl
  mv "$STATE/tls.new" "$STATE/tls"
)

# An elliptic curve key, since an RSA key takes longer to create. Its format is PKCS#8, the only one that Kafka reads.
tls_request() { # NAME COMMON-NAME OPTIONS...
  local name=$1 subject=/CN=$2
  shift 2
  openssl req -config <(echo "$TLS_CONFIG") -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
    -keyout "$name.key" -subj "$subject" "$@"
}

tls_certificate() { # NAME COMMON-NAME
  tls_request "$1" "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -sha256 \
    -extfile <(echo "$TLS_CONFIG") -extensions "$1" -out "$1.pem"
}

tls_env() { # --secure | --tls
  local folder
  printf -v folder %q "$STATE/tls"
  echo "export DB_TLS=verify-full"
  echo "export DB_CA=$folder/ca.pem"
  if [[ $1 == --secure ]]; then
    cat << END
export KAFKA_SECURITY_PROTOCOL=sasl_ssl
export KAFKA_SASL_MECHANISM=SCRAM-SHA-512
export KAFKA_SASL_USERNAME=$KAFKA_USER
export KAFKA_SASL_PASSWORD=$KAFKA_PASSWORD
export KAFKA_TLS_CA=$folder/ca.pem
END
  else
    cat << END
export KAFKA_SECURITY_PROTOCOL=ssl
export KAFKA_TLS_CA=$folder/ca.pem
export KAFKA_TLS_CERTIFICATE=$folder/client.pem
export KAFKA_TLS_KEY=$folder/client.key
END
  fi
}
